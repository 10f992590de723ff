import { expect, test } from "bun:test";
import { believable, overdueSince, type Work } from "../../scripts-src/scheduling/health.ts";
import { readTicks } from "../../scripts-src/scheduling/ticks.ts";

const time = (text: string) => new Date(`2026-05-${text}:00Z`);
const daily = "0 3 * * *";

type Known = { good?: string; running?: string; since?: string };
const table: [what: string, interval: string, known: Known, now: string, due: string | undefined][] = [
  ["before the first run", daily, { since: "01T12:00" }, "02T02:59", undefined],
  ["the first run never came", daily, { since: "01T12:00" }, "02T03:06", "02T03:00"],
  ["the last good one is recent", daily, { good: "02T03:00" }, "03T02:59", undefined],
  ["due, and not yet begun", daily, { good: "02T03:00" }, "03T03:04", undefined],
  ["due and under way for hours", daily, { good: "02T03:00", running: "03T03:00" }, "03T22:00", undefined],
  ["due and under way for more than a day", daily, { good: "02T03:00", running: "03T03:00" }, "04T03:01", "03T03:00"],
  ["the last run failed", daily, { good: "02T03:00" }, "03T03:06", "03T03:00"],
  ["made up late", daily, { good: "03T11:00" }, "04T02:00", undefined],
  ["every minute, one lost", "* * * * *", { good: "02T03:00" }, "02T03:02", undefined],
  ["every minute, two lost", "* * * * *", { good: "02T03:00" }, "02T03:03", "02T03:01"],
  ["every minute, a long run", "* * * * *", { good: "02T03:00", running: "02T03:01" }, "02T04:00", undefined],
  ["every minute, a stuck run", "* * * * *", { good: "02T03:00", running: "02T03:01" }, "02T04:02", "02T03:01"],
];

test.each(table)("health: %s (%s)", (_, interval, { good, running, since = "01T00:00" }, now, due) => {
  const ticks = readTicks({ BACKUP_INTERVAL: interval, BACKUP_TIMEZONE: "UTC" });
  const state = { since: time(since), good: good && time(good), running: running && time(running) };
  const known = { since: state.since, good: state.good || undefined, running: state.running || undefined };
  expect(overdueSince(ticks, known, time(now))).toEqual(due === undefined ? undefined : time(due));
});

test("I3: what a wrong clock has left in the state is not believed: a schedule is not healthy for 400 days", () => {
  const ticks = readTicks({ BACKUP_INTERVAL: daily, BACKUP_TIMEZONE: "UTC" });
  const [now, ahead] = [time("03T03:06"), new Date("2027-06-07T03:00:00Z")];
  const state = believable<Work>({ since: time("01T12:00"), good: ahead, running: ahead }, now);
  expect(state).toEqual({ since: time("01T12:00"), good: undefined, running: undefined });
  expect(overdueSince(ticks, state, now)).toEqual(time("02T03:00"));
  expect(believable({ since: ahead }, now).since).toEqual(now);
  const minutes = { since: time("01T12:00"), good: time("03T03:10"), running: undefined };
  expect(believable(minutes, now)).toEqual(minutes);
});
