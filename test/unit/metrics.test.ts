import { afterAll, expect, test } from "bun:test";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeMetrics } from "../../scripts-src/notify/metrics.ts";
import type { Outcome } from "../../scripts-src/notify/outcome.ts";
import { removeDir, tempDir } from "../support/machine/temp.ts";

const dir = tempDir("metrics");
afterAll(() => removeDir(dir));
const path = join(dir, "backup.prom");

const outcome = (changes: Partial<Outcome>): Outcome => ({
  script: "backup",
  status: "success",
  exitStatus: 0,
  site: 'shop "one"',
  host: "h",
  version: "1",
  startedAt: new Date("2026-05-01T03:00:00Z"),
  endedAt: new Date("2026-05-01T03:00:12.500Z"),
  facts: { bytes: 4096, database: "app" },
  summary: "",
  warnings: [],
  logTail: [],
  ...changes,
});

/** Samples by name and script, as a scraper reads them. */
function scrape(): Record<string, number> {
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  const samples = lines.filter((line) => !line.startsWith("#"));
  return Object.fromEntries(
    samples.map((line) => {
      const [, name, script, database, value] =
        /^backup_scripts_(\w+)\{script="(\w+)",site="shop \\"one\\"",database="(\w*)"\} (\S+)$/.exec(line)!;
      return [`${script}${database ? ` ${database}` : ""} ${name}`, Number(value)];
    }),
  );
}

test("a good run, then a failed one, and another script's in between", () => {
  writeMetrics(path, outcome({}));
  writeMetrics(path, outcome({ script: "sync", facts: {}, endedAt: new Date("2026-05-01T03:00:02Z") }));
  const later = { startedAt: new Date("2026-05-02T03:00:00Z"), endedAt: new Date("2026-05-02T03:00:01Z") };
  writeMetrics(path, outcome({ status: "failure", exitStatus: 5, facts: { bytes: 1, database: "app" }, ...later }));
  const seconds = (text: string) => Date.parse(text) / 1000;
  expect(scrape()).toEqual({
    "backup app last_run_timestamp_seconds": seconds("2026-05-02T03:00:01Z"),
    "backup app last_run_duration_seconds": 1,
    "backup app last_run_success": 0,
    "backup app last_run_warnings": 0,
    "backup app last_run_exit_status": 5,
    "backup app last_success_timestamp_seconds": seconds("2026-05-01T03:00:12.500Z"),
    "backup app last_success_duration_seconds": 12.5,
    "backup app last_success_bytes": 4096,
    "sync last_run_timestamp_seconds": seconds("2026-05-01T03:00:02Z"),
    "sync last_run_duration_seconds": 2,
    "sync last_run_success": 1,
    "sync last_run_warnings": 0,
    "sync last_run_exit_status": 0,
    "sync last_success_timestamp_seconds": seconds("2026-05-01T03:00:02Z"),
    "sync last_success_duration_seconds": 2,
  });
});

test("I5: each database has lines of its own; a run that did not get as far as its database leaves none behind", () => {
  const site = "many";
  const named = (database: string, changes: Partial<Outcome> = {}) =>
    outcome({ site, facts: { database }, ...changes });
  const failed = { status: "failure", exitStatus: 1 } as const;
  writeMetrics(path, outcome({ site, facts: {}, ...failed }));
  writeMetrics(path, named("a", failed));
  writeMetrics(path, named("b", { status: "warning", warnings: ["smaller"] }));
  const lines = () =>
    readFileSync(path, "utf8")
      .match(/^.*last_run_(success|warnings)\{.*site="many".*$/gm)
      ?.toSorted();
  const line = (metric: string, database: string, value: number) =>
    `backup_scripts_${metric}{script="backup",site="many",database="${database}"} ${value}`;
  const alone = [
    line("last_run_success", "a", 0),
    line("last_run_success", "b", 1),
    line("last_run_warnings", "a", 0),
    line("last_run_warnings", "b", 1),
  ];
  expect(lines()).toEqual(alone);
  const databases = [
    { database: "a", status: "success" as const },
    { database: "c", status: "failure" as const },
  ];
  writeMetrics(path, outcome({ site, facts: { databases }, ...failed }));
  expect(lines()?.filter((one) => one.includes("success"))).toEqual([
    line("last_run_success", "a", 1),
    line("last_run_success", "b", 1),
    line("last_run_success", "c", 0),
  ]);
});

test("lines of version 0.1, without a database, are replaced: Prometheus would take both for one", () => {
  const old = join(tempDir("old-metrics"), "old.prom");
  const labels = 'script="sync",site="s"';
  writeFileSync(
    old,
    `backup_scripts_last_run_success{${labels}} 1\nbackup_scripts_last_success_timestamp_seconds{${labels}} 5\n`,
  );
  writeMetrics(old, outcome({ script: "sync", site: "s", facts: {}, status: "failure", exitStatus: 1 }));
  const lines = readFileSync(old, "utf8").match(/^backup_scripts_last_(run_success|success_timestamp).*$/gm);
  expect(lines).toEqual([
    `backup_scripts_last_run_success{${labels},database=""} 0`,
    `backup_scripts_last_success_timestamp_seconds{${labels},database=""} 5`,
  ]);
});

test("the file is for others to read, and nothing else in the folder looks like metrics", () => {
  writeMetrics(path, outcome({}));
  expect(statSync(path).mode & 0o777).toBe(0o644);
  expect(readdirSync(dir).filter((name) => name.endsWith(".prom"))).toEqual(["backup.prom"]);
});

test("the lines of a metric stand together, below its HELP and TYPE", () => {
  writeMetrics(path, outcome({}));
  writeMetrics(path, outcome({ script: "sync" }));
  const names = readFileSync(path, "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => /backup_scripts_\w+/.exec(line)?.[0]);
  expect(names.filter((name, i) => name !== names[i - 1])).toEqual([...new Set(names)]);
});

test("a proof: when, and the time to recover; one that fails changes neither", () => {
  const proof = { script: "verify", site: "proofs", facts: { database: "app", restoreMs: 240_500 } };
  writeMetrics(path, outcome(proof));
  writeMetrics(
    path,
    outcome({ ...proof, status: "failure", exitStatus: 1, endedAt: new Date("2026-05-02T03:00:00Z") }),
  );
  const samples = readFileSync(path, "utf8").matchAll(/(last_verify_\w+)\{.*site="proofs".*\} (\S+)/g);
  expect([...samples].map(([, name, value]) => [name, Number(value)])).toEqual([
    ["last_verify_success_timestamp_seconds", Date.parse("2026-05-01T03:00:12.500Z") / 1000],
    ["last_verify_duration_seconds", 240.5],
  ]);
});

test("I5: proofs of several databases: the time to recover of each", () => {
  const databases = ["a", "b"].map((database) => ({ database, status: "success" as const, restoreMs: 1_500 }));
  writeMetrics(path, outcome({ script: "verify", site: "all", facts: { databases } }));
  const samples = readFileSync(path, "utf8").matchAll(
    /last_verify_duration_seconds\{.*site="all",database="(.)"\} (\S+)/g,
  );
  expect([...samples].map(([, database, value]) => [database, Number(value)])).toEqual([
    ["a", 1.5],
    ["b", 1.5],
  ]);
});

test("I3: a success that a wrong clock dated in the future does not hide failures until then", () => {
  const ahead = new Date(Date.now() + 400 * 86_400_000);
  const site = "ahead";
  writeMetrics(path, outcome({ site, startedAt: ahead, endedAt: ahead }));
  writeMetrics(path, outcome({ site, status: "failure", exitStatus: 1, startedAt: new Date(), endedAt: new Date() }));
  const last = /last_success_timestamp_seconds\{.*site="ahead".*\} (\S+)/.exec(readFileSync(path, "utf8"))?.[1];
  expect(last).toBe("0");
});
