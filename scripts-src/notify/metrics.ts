/** METRICS_FILE: what Prometheus' node_exporter reads from its textfile folder. */
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { liesAhead } from "../base/clock.ts";
import { takeLock } from "../base/lock.ts";
import { replaceFile } from "../base/replace-file.ts";
import type { DatabaseOutcome, Outcome } from "./outcome.ts";

/** Every metric with its meaning; each is a gauge with the labels `script`, `site` and `database`. */
export const metricMeanings = {
  last_run_timestamp_seconds: "When the last run ended, good or not.",
  last_run_duration_seconds: "How long the last run took.",
  last_run_success: "1 when the last run did its job, 0 when it failed.",
  last_run_warnings: "How many warnings the last run had.",
  last_run_exit_status: "Exit status of the last run.",
  last_success_timestamp_seconds: "When the last good run ended.",
  last_success_duration_seconds: "How long the last good run took.",
  last_success_bytes: "Size of the backup file of the last good run.",
  last_verify_success_timestamp_seconds: "When a backup was last proved by restoring it.",
  last_verify_duration_seconds: "How long the proved backup took to be restored: the measured time to recover.",
} as const;

type Metric = keyof typeof metricMeanings;
/** Values by metric and labels. */
type Samples = Map<string, Map<string, number>>;

/**
 * Puts the outcome into the file and keeps the lines of other scripts and databases. After a failure the lines of the last good run
 * stay. The file is replaced in one go and readable by all. Throws what the file system or the lock throws.
 */
export function writeMetrics(path: string, outcome: Outcome): void {
  using _lock = takeLock(dirname(path), basename(path), outcome.script, 5_000);
  const samples = parse(existsSync(path) ? readFileSync(path, "utf8") : "");
  for (const one of partsOf(outcome)) {
    // lines of an earlier run that ended before it knew its database
    if (one.database) for (const values of samples.values()) values.delete(labelsOf(outcome, ""));
    for (const [metric, value] of Object.entries(valuesOf(outcome, one)))
      samples.getOrInsertComputed(metric, () => new Map()).set(labelsOf(outcome, one.database), value);
  }
  replaceFile(path, format(samples), 0o644);
}

const labelsOf = ({ script, site }: Outcome, database: string) =>
  `script="${escape(script)}",site="${escape(site)}",database="${escape(database)}"`;

/** The run, or the part of it that each of several databases was. */
function partsOf({ facts, startedAt, endedAt, status, warnings }: Outcome) {
  const { database = "" } = facts;
  const durationMs = endedAt.getTime() - startedAt.getTime();
  const parts: readonly DatabaseOutcome[] = facts.databases ?? [{ ...facts, database, status, durationMs }];
  return parts.map((one) => ({
    ...one,
    warnings: facts.databases ? Number(one.status === "warning") : warnings.length,
  }));
}

function valuesOf(
  { endedAt, exitStatus }: Outcome,
  { status, warnings, bytes, restoreMs, durationMs = 0 }: ReturnType<typeof partsOf>[number],
): Partial<Record<Metric, number>> {
  const good = status !== "failure";
  const end = endedAt.getTime() / 1000;
  const duration = durationMs / 1000;
  return {
    last_run_timestamp_seconds: end,
    last_run_duration_seconds: duration,
    last_run_success: Number(good),
    last_run_warnings: warnings,
    last_run_exit_status: good ? 0 : exitStatus,
    ...(good && { last_success_timestamp_seconds: end, last_success_duration_seconds: duration }),
    ...(good && bytes !== undefined && { last_success_bytes: bytes }),
    ...(good &&
      restoreMs !== undefined && {
        last_verify_success_timestamp_seconds: end,
        last_verify_duration_seconds: restoreMs / 1000,
      }),
  };
}

function parse(text: string): Samples {
  const samples: Samples = new Map();
  for (const [, metric = "", written = "", value] of text.matchAll(/^backup_scripts_(\w+)\{(.*)\} (\S+)$/gm)) {
    // version 0.1 wrote no label `database`. To Prometheus that is the same series as one with an empty label, and must not appear twice
    const labels = written.includes(',database="') ? written : `${written},database=""`;
    // a time from the future was taken by a wrong clock: it would hide failures until it is reached
    const ahead = metric.endsWith("_timestamp_seconds") && liesAhead(new Date(Number(value) * 1000), new Date());
    samples.getOrInsertComputed(metric, () => new Map()).set(labels, ahead ? 0 : Number(value));
  }
  return samples;
}

/** The exposition format wants the lines of one metric side by side. */
function format(samples: Samples): string {
  const lines = Object.entries(metricMeanings).flatMap(([metric, meaning]) => {
    const name = `backup_scripts_${metric}`;
    const values = [...(samples.get(metric) ?? [])].map(([labels, value]) => `${name}{${labels}} ${value}`);
    return values.length === 0 ? [] : [`# HELP ${name} ${meaning}`, `# TYPE ${name} gauge`, ...values];
  });
  return `${lines.join("\n")}\n`;
}

const escape = (text: string) => text.replace(/[\\"]/g, "\\$&").replaceAll("\n", "\\n");
