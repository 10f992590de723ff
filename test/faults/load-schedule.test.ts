/**
 * The scheduler with ten databases and their proofs on end: memory, open files, children, databases and files do not grow.
 * FAULTS_SECONDS (default 20) says how long. With 21600, it is a day of ticks; so is the other test with FAULTS_LARGE=1.
 */
import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { resolve } from "node:path";
import { installScripts } from "../support/machine/executables.ts";
import { expectSuccess } from "../support/expect/expect.ts";
import * as scheduled from "../support/machine/scheduled.ts";
import type { Day } from "./day-of-ticks.ts";
import { s3Settings } from "../support/servers/storage.ts";
import { tempDir } from "../support/machine/temp.ts";
import { until } from "../support/machine/until.ts";
import { type Usage, usageOf } from "../support/machine/usage.ts";
import { testWhere } from "../support/machine/where.ts";

const seconds = Number(process.env.FAULTS_SECONDS ?? 20);
const world = scheduled.useWorld();

const most = (samples: Usage[], key: keyof Usage): number => Math.max(...samples.map((sample) => sample[key]));
const median = (samples: Usage[], key: keyof Usage): number =>
  samples.map((sample) => sample[key]).toSorted((a, b) => a - b)[Math.floor(samples.length / 2)] ?? Number.NaN;

/** Compares the two halves of the samples. */
function expectNoGrowth(what: string, samples: Usage[]): void {
  const half = Math.floor(samples.length / 2);
  const [first, second] = [samples.slice(0, half), samples.slice(half)];
  const text = (of: Usage[]) =>
    `${median(of, "megabytes").toFixed(0)} MB, ${median(of, "open")} (${most(of, "open")}) open, ${most(of, "children")} children`;
  console.log(`${what}, ${text(first)}, later ${text(second)}`);
  expect(most(samples, "peakMegabytes")).toBeLessThan(192);
  // about twenty backups lie between the two
  expect(median(second, "megabytes") - median(first, "megabytes")).toBeLessThan(24);
  expect(median(second, "open") - median(first, "open")).toBeLessThan(5);
  expect(most(samples, "open")).toBeLessThan(48);
  expect(most(samples, "children")).toBeLessThan(8);
  // between two programs there is none
  expect(second.some(({ children }) => children === 0)).toBe(true);
}

testWhere(process.platform === "linux", "Linux")(
  "ten databases and their proofs on end: no growth in memory, descriptors, children, databases and files",
  async () => {
    const { postgres } = world;
    const names = Array.from({ length: 10 }, (_, i) => `tenant_${i}`);
    for (const name of names)
      await postgres.createDatabase(name, "CREATE TABLE t AS SELECT i FROM generate_series(1, 100) i");
    const { DB_NAME: _, ...login } = postgres.settings("postgres");
    const bucket = await world.s3.newBucket();
    const scripts = installScripts({
      ...login,
      ...s3Settings(world.s3, bucket),
      DB_NAMES: "tenant_*",
      BACKUP_INTERVAL: "* * * * * *",
      VERIFY_INTERVAL: "* * * * * *",
      LOCAL_KEEP_LAST: "2",
      BACKUP_KEEP_LAST: "2",
      REPORT_FILE: "report.html",
      METRICS_FILE: "metrics.prom",
    });
    expectSuccess(await scripts.run("backup", ["--upload"]));
    const TMPDIR = tempDir("scheduler");
    const running = scripts.start("schedule", [], { env: { TMPDIR }, limitMs: (seconds + 600) * 1000 });
    const count = (words: RegExp) => running.stderr().match(words)?.length ?? 0;
    const backups = () => count(/ INFO schedule: tenant_\d_\S+: \S+ \w+ of SQL in /g);
    const proofs = () => count(/ INFO schedule: tenant_\d_\S+ was restored into /g);
    await until("it is warm", () => backups() >= names.length && proofs() > 2, 180_000);
    const samples: Usage[] = [];
    const [end, from] = [Date.now() + seconds * 1000, { backups: backups(), proofs: proofs() }];
    await until(
      "enough runs",
      () => {
        const usage = usageOf(running.pid);
        if (usage) samples.push(usage);
        return Date.now() > end && backups() >= from.backups + 3 * names.length && proofs() > from.proofs + 4;
      },
      (seconds + 400) * 1000,
    );
    running.kill("SIGTERM");
    const { status, stderr } = await running.done;
    expect(status, stderr.slice(-2_000)).toBe(0);
    // a proof that is under way may be stopped
    expect(stderr.match(/^.* ERROR (?!schedule: stopped by SIGTERM).*$/gm)).toBeNull();

    expectNoGrowth(`schedule of ten databases: ${backups()} backups, ${proofs()} proofs`, samples);
    const left = "SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database WHERE datname LIKE 'tenant%'";
    expect(await postgres.sql("postgres", left)).toBe(names.join(","));
    expect(readdirSync(TMPDIR)).toEqual([]);
    // of each database two, the newest proved one, and one of a run that was stopped before it could delete
    const isBackup = (name: string) => /^tenant.*\.sql\.gz$/.test(name);
    for (const place of [scripts.everything(), [...world.s3.objects(bucket).keys()]]) {
      expect(place.filter(isBackup).length).toBeLessThanOrEqual(4 * names.length);
      expect(place.length).toBeLessThan(20 * names.length);
    }
    expect(readdirSync(scripts.dir).length).toBeLessThan(20);
  },
  (seconds + 700) * 1000,
);

test("a day of ticks, or half an hour of it: what the loop leaves in memory does not grow", async () => {
  const ticks = process.env.FAULTS_LARGE === "1" ? 86_400 : 1_800;
  const program = resolve(import.meta.dir, "day-of-ticks.ts");
  const argv = [process.execPath, program, tempDir("day"), String(ticks)];
  const child = Bun.spawn(argv, { cwd: "/", stdin: "ignore", stdout: "pipe", stderr: "ignore" });
  const out = await child.stdout.text();
  expect(await child.exited).toBe(0);
  const { runs, before, after } = JSON.parse(out) as Day;
  console.log(`schedule: ${runs} ticks by a clock that does not wait, ${before} objects, later ${after}`);
  expect(runs).toBe(ticks);
  // one object that is kept a run would be nine tenths of the ticks
  expect(after - before).toBeLessThan(ticks / 2);
}, 1_200_000);
