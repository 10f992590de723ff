/**
 * The scheduler at one run a second: memory, open files and children do not grow. The clock goes four times as fast
 * (libfaketime), so that a run begins as soon as the last one has ended; FAULTS_SECONDS (default 20) says how long. With 21600,
 * it is a day of ticks; so is the other test with FAULTS_LARGE=1.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join, resolve } from "node:path";
import { installScripts, startProgram } from "../support/machine/executables.ts";
import { fakeClock } from "../support/machine/fake-clock.ts";
import * as scheduled from "../support/machine/scheduled.ts";
import type { Day } from "./day-of-ticks.ts";
import { tempDir } from "../support/machine/temp.ts";
import { until } from "../support/machine/until.ts";
import { type Usage, usageOf } from "../support/machine/usage.ts";
import { testWhere } from "../support/machine/where.ts";

const seconds = Number(process.env.FAULTS_SECONDS ?? 20);
/** The first runs load what is loaded when it is needed; then two equal shares are compared. */
const [warmUp, leastRuns] = [6, 18];

let world: scheduled.World;
beforeAll(async () => {
  world = await scheduled.openWorld();
});
afterAll(() => world.stop());

const most = (samples: Usage[], key: keyof Usage): number => Math.max(...samples.map((sample) => sample[key]));
const median = (samples: Usage[], key: keyof Usage): number =>
  samples.map((sample) => sample[key]).toSorted((a, b) => a - b)[Math.floor(samples.length / 2)] ?? Number.NaN;

testWhere(process.platform === "linux", "Linux")(
  "runs on end, for a while: no growth",
  async () => {
    const { bucket, settings } = await scheduled.schedulerSettings(world);
    const scripts = installScripts();
    const argv = [join(scripts.dir, "schedule")];
    // kept by retention: the clock is ahead, and nothing in the bucket is older than a day
    const env = { ...fakeClock("+0 x4"), ...settings, BACKUP_INTERVAL: "* * * * * *", LOG_FORMAT: "text" };
    const running = startProgram(argv, { env, limitMs: (seconds + 300) * 1000 });
    const runs = () => running.stderr().match(/ INFO schedule: backup done/g)?.length ?? 0;
    const { pid } = running;
    await until("it is warm", () => runs() >= warmUp, 120_000);
    const samples: Usage[] = [];
    const end = Date.now() + seconds * 1000;
    await until(
      "enough runs",
      () => {
        const usage = usageOf(pid);
        if (usage) samples.push(usage);
        return Date.now() > end && runs() >= warmUp + leastRuns;
      },
      (seconds + 240) * 1000,
    );
    const counted = runs();
    process.kill(pid, "SIGTERM");
    const { status, stderr } = await running.done;
    expect(status, stderr.slice(-2_000)).toBe(0);
    expect(stderr).not.toMatch(/ ERROR /);
    expect(scheduled.committedIn(world.s3, bucket).length).toBeGreaterThanOrEqual(counted);

    const half = Math.floor(samples.length / 2);
    const [first, second] = [samples.slice(0, half), samples.slice(half)];
    const text = (of: Usage[]) =>
      `${median(of, "megabytes").toFixed(0)} MB, ${median(of, "open")} (${most(of, "open")}) open, ${most(of, "children")} children`;
    console.log(`schedule: ${counted} runs, ${text(first)}, later ${text(second)}`);
    expect(most(samples, "peakMegabytes")).toBeLessThan(192);
    expect(median(second, "megabytes") - median(first, "megabytes")).toBeLessThan(16);
    expect(median(second, "open") - median(first, "open")).toBeLessThan(5);
    expect(most(samples, "open")).toBeLessThan(48);
    // between two runs there is none
    expect(samples.slice(half).some(({ children }) => children === 0)).toBe(true);
    expect(most(samples, "children")).toBeLessThan(8);
  },
  (seconds + 420) * 1000,
);

test(
  "a day of ticks, or an hour of it: what the loop leaves in memory does not grow",
  async () => {
    const ticks = process.env.FAULTS_LARGE === "1" ? 86_400 : 3_600;
    const program = resolve(import.meta.dir, "day-of-ticks.ts");
    const argv = [process.execPath, program, tempDir("day"), String(ticks)];
    const child = Bun.spawn(argv, { cwd: "/", stdin: "ignore", stdout: "pipe", stderr: "ignore" });
    const out = await child.stdout.text();
    expect(await child.exited).toBe(0);
    const { runs, before, after } = JSON.parse(out) as Day;
    console.log(`schedule: ${runs} ticks by a clock that does not wait, ${before} objects, later ${after}`);
    expect(runs).toBe(ticks);
    // one object that is kept a run would be thousands
    expect(after - before).toBeLessThan(ticks / 4);
  },
  process.env.FAULTS_LARGE === "1" ? 1_200_000 : 120_000,
);
