import { describe, expect, test } from "bun:test";
import { type Clock, type TickHandlers, keepTime } from "../../scripts-src/scheduling/keep-time.ts";
import { readTicks } from "../../scripts-src/scheduling/ticks.ts";

/** A clock that goes as far as the loop waits, at once; what was given to `at` happens in order, each at its time. */
function fakeClock(start: string) {
  let now = Date.parse(start);
  const events: { time: number; act: () => void }[] = [];
  const clock: Clock = {
    now: () => new Date(now),
    async wait(ms, signal) {
      const end = now + ms;
      now = end;
      for (let next = events[0]; next && next.time <= now; next = events[0]) {
        events.shift();
        now = next.time;
        next.act();
        if (now === next.time) now = end;
      }
      await Bun.sleep(0);
      signal.throwIfAborted();
    },
  };
  return {
    clock,
    set: (time: string) => (now = Date.parse(time)),
    at: (time: string, act: () => void) => events.push({ time: Date.parse(time), act }),
  };
}

interface Story {
  interval: string;
  zone?: string;
  from: string;
  /** Now, when the scheduler starts; default: `from`. */
  starts?: string;
  until: string;
  catchesUp?: boolean;
  /** When the run of a tick ends; default: at once. */
  runEnds?: string;
  sleep?: { at: string; to: string };
}

/** What happened, a line each: "run 2026-…", "skip …", "miss …". */
async function play(story: Story): Promise<string[]> {
  const { clock, at, set } = fakeClock(story.starts ?? story.from);
  const stop = new AbortController();
  const lines: string[] = [];
  const say = (what: string, time: Date) => lines.push(`${what} ${time.toISOString().replace(":00.000Z", "")}`);
  let runs = 0;
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  if (story.runEnds) at(story.runEnds, end);
  if (story.sleep) {
    const { to } = story.sleep;
    at(story.sleep.at, () => set(to));
  }
  at(story.until, () => {
    stop.abort(new Error("enough"));
    end();
  });
  const handlers: TickHandlers = {
    async run(tick) {
      say("run", tick);
      if (story.runEnds && ++runs === 1) await ended;
    },
    skipped: (tick) => void say("skip", tick),
    missed(tick) {
      say("miss", tick);
      return story.catchesUp ?? false;
    },
    setBack: () => void lines.push("set back"),
  };
  const ticks = readTicks({ BACKUP_INTERVAL: story.interval, BACKUP_TIMEZONE: story.zone ?? "UTC" });
  await keepTime({ ticks, start: new Date(story.from), handlers }, stop.signal, clock);
  return lines;
}

describe("the loop", () => {
  test("container 1.1: runs at every tick", async () => {
    const lines = await play({ interval: "0 3 * * *", from: "2026-05-01T00:00:00Z", until: "2026-05-03T12:00:00Z" });
    expect(lines).toEqual(["run 2026-05-01T03:00", "run 2026-05-02T03:00", "run 2026-05-03T03:00"]);
  });

  test("a daily job runs once on the day when the clocks go forward", async () => {
    const spring = { from: "2026-03-28T00:00:00Z", until: "2026-03-31T00:00:00Z", zone: "Europe/Berlin" };
    expect(await play({ interval: "30 2 * * *", ...spring })).toEqual([
      "run 2026-03-28T01:30",
      "run 2026-03-29T01:00",
      "run 2026-03-30T00:30",
    ]);
  });

  test("a daily job runs once on the day when the clocks go back", async () => {
    const autumn = { from: "2026-10-24T00:00:00Z", until: "2026-10-27T00:00:00Z", zone: "Europe/Berlin" };
    expect(await play({ interval: "30 2 * * *", ...autumn })).toEqual([
      "run 2026-10-24T00:30",
      "run 2026-10-25T00:30",
      "run 2026-10-26T01:30",
    ]);
  });

  test("of several ticks that passed before it starts, one is run, and none is called skipped", async () => {
    const late = { from: "2026-05-01T00:00:00Z", starts: "2026-05-01T00:00:35Z", until: "2026-05-01T00:00:45Z" };
    expect(await play({ interval: "*/10 * * * * *", ...late })).toEqual([
      "run 2026-05-01T00:00:10.000Z",
      "run 2026-05-01T00:00:40.000Z",
    ]);
  });

  test("skips the ticks that come while a run is under way, and goes on after it", async () => {
    const slow = { from: "2026-05-01T00:30:00Z", runEnds: "2026-05-01T03:30:00Z", until: "2026-05-01T04:30:00Z" };
    expect(await play({ interval: "0 * * * *", ...slow })).toEqual([
      "run 2026-05-01T01:00",
      "skip 2026-05-01T02:00",
      "skip 2026-05-01T03:00",
      "run 2026-05-01T04:00",
    ]);
  });

  const asleep = { from: "2026-05-01T00:30:00Z", sleep: { at: "2026-05-01T01:30:00Z", to: "2026-05-01T06:20:00Z" } };
  test("after the machine's sleep, one run is made up for all that were missed", async () => {
    const lines = await play({ interval: "0 * * * *", ...asleep, until: "2026-05-01T07:30:00Z", catchesUp: true });
    expect(lines).toEqual([
      "run 2026-05-01T01:00",
      "miss 2026-05-01T02:00",
      "run 2026-05-01T02:00",
      "run 2026-05-01T07:00",
    ]);
  });

  test("after the machine's sleep, nothing is made up unless wanted", async () => {
    const lines = await play({ interval: "0 * * * *", ...asleep, until: "2026-05-01T07:30:00Z" });
    expect(lines).toEqual(["run 2026-05-01T01:00", "miss 2026-05-01T02:00", "run 2026-05-01T07:00"]);
  });

  test("a run that was missed before the start is made up once", async () => {
    const down = { from: "2026-05-01T03:00:00Z", starts: "2026-05-04T12:00:00Z", until: "2026-05-06T00:00:00Z" };
    expect(await play({ interval: "0 3 * * *", ...down, catchesUp: true })).toEqual([
      "miss 2026-05-02T03:00",
      "run 2026-05-02T03:00",
      "run 2026-05-05T03:00",
    ]);
  });

  test("a clock that was set back does not stop the schedule", async () => {
    const back = { at: "2026-05-03T04:00:00Z", to: "2026-05-01T12:00:00Z" };
    const lines = await play({
      interval: "0 3 * * *",
      from: "2026-05-03T00:00:00Z",
      sleep: back,
      until: "2026-05-02T06:00:00Z",
    });
    expect(lines).toEqual(["run 2026-05-03T03:00", "set back", "run 2026-05-02T03:00"]);
  });
});
