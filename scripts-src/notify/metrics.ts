/** METRICS_FILE: what Prometheus' node_exporter reads from its textfile folder. */
import { chmodSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename, dirname } from "node:path";
import { codeOf } from "../base/errors.ts";
import { takeLock } from "../base/lock.ts";
import type { Outcome } from "./outcome.ts";

/** Every metric with its meaning; each is a gauge with the labels `script` and `site`. */
export const metricMeanings = {
  last_run_timestamp_seconds: "When the last run ended, good or not.",
  last_run_duration_seconds: "How long the last run took.",
  last_run_success: "1 when the last run did its job, 0 when it failed.",
  last_run_exit_status: "Exit status of the last run.",
  last_success_timestamp_seconds: "When the last good run ended.",
  last_success_duration_seconds: "How long the last good run took.",
  last_success_bytes: "Size of the backup file of the last good run.",
} as const;

type Metric = keyof typeof metricMeanings;
/** Values by metric and labels. */
type Samples = Map<string, Map<string, number>>;

/**
 * Puts the outcome into the file and leaves the lines of other scripts; what was last good stays when this run was
 * not. The file is replaced in one go and readable by all. Throws what the file system or the lock throws.
 */
export function writeMetrics(path: string, outcome: Outcome): void {
  using _lock = takeLock(dirname(path), basename(path), outcome.script, 5_000);
  const samples = parse(readOld(path));
  const labels = `script="${escape(outcome.script)}",site="${escape(outcome.site)}"`;
  for (const [metric, value] of Object.entries(valuesOf(outcome))) {
    if (!samples.has(metric)) samples.set(metric, new Map());
    samples.get(metric)?.set(labels, value);
  }
  const fresh = `${path}.new`;
  writeFileSync(fresh, format(samples));
  chmodSync(fresh, 0o644);
  renameSync(fresh, path);
}

function valuesOf({ startedAt, endedAt, status, exitStatus, facts }: Outcome): Partial<Record<Metric, number>> {
  const end = endedAt.getTime() / 1000;
  const duration = (endedAt.getTime() - startedAt.getTime()) / 1000;
  const good = status === "success";
  return {
    last_run_timestamp_seconds: end,
    last_run_duration_seconds: duration,
    last_run_success: good ? 1 : 0,
    last_run_exit_status: exitStatus,
    ...(good && { last_success_timestamp_seconds: end, last_success_duration_seconds: duration }),
    ...(good && facts.bytes !== undefined && { last_success_bytes: facts.bytes }),
  };
}

function readOld(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return "";
    throw error;
  }
}

function parse(text: string): Samples {
  const samples: Samples = new Map();
  for (const [, metric = "", labels = "", value] of text.matchAll(/^backup_scripts_(\w+)\{(.*)\} (\S+)$/gm)) {
    if (!samples.has(metric)) samples.set(metric, new Map());
    samples.get(metric)?.set(labels, Number(value));
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
