/** The mail of an outcome: subject, plain text and HTML. Pure. */
import type { Outcome } from "./outcome.ts";
import { bytesText, durationText } from "../base/text.ts";
import { layOut } from "./layout.ts";

export interface Message {
  /** One line without control characters, whatever the settings hold. */
  subject: string;
  text: string;
  html: string;
}

/** What a notice says, before it gets a form. */
export interface Content {
  title: string;
  tone: "success" | "failure" | "test";
  /** What happened, or the error. */
  what: string;
  hints: readonly string[];
  facts: readonly (readonly [label: string, value: string])[];
  /** The last lines of the log; only of a failure. */
  log: readonly string[];
  foot: string;
}

/** The mail of an outcome; times are told in UTC and in the time zone `zone`. */
export function composeMessage(outcome: Outcome, zone: string): Message {
  const content = contentOf(outcome, zone);
  return { subject: content.title, text: asText(content), html: layOut(content) };
}

function contentOf(outcome: Outcome, zone: string): Content {
  const { error } = outcome;
  return {
    title: subjectOf(outcome),
    tone: outcome.test ? "test" : outcome.status,
    what: error ? error.message : outcome.summary,
    hints: error?.hints ?? [],
    facts: factsOf(outcome, zone),
    log: error ? outcome.logTail : [],
    foot: `sent by backup_scripts ${outcome.version}`,
  };
}

/** `FAILED: shop-production backup of app`: the most important first, for a phone shows little of a subject. */
export function subjectOf({ script, status, site, facts, test }: Outcome): string {
  if (test) return oneLine(`TEST: notice from ${site}`);
  const database = facts.database ? ` of ${facts.database}` : "";
  return oneLine(`${status === "success" ? "OK" : "FAILED"}: ${site} ${script}${database}`);
}

/** Foreign text in one line: neither control characters nor line breaks of any alphabet. */
// eslint-disable-next-line no-control-regex
const oneLine = (text: string) => text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " ").trim();

/** Everything that is known, in the order in which a person asks for it. */
function factsOf(outcome: Outcome, zone: string): [string, string][] {
  const { facts } = outcome;
  const rows: [string, string | undefined][] = [
    ["Status", outcome.status === "success" ? "success" : `failure (exit status ${outcome.exitStatus})`],
    ["Site", outcome.site],
    ["Host", outcome.host],
    ["Script", outcome.script],
    ["Started", timeOf(outcome.startedAt, zone)],
    ["Ended", timeOf(outcome.endedAt, zone)],
    ["Duration", durationText(outcome.endedAt.getTime() - outcome.startedAt.getTime())],
    ["Database", facts.database],
    ["Server", facts.server],
    ["File", facts.file],
    ["Size", sizeOf(facts.bytes, facts.previousBytes)],
    ["Local", facts.localPath],
    ["S3", facts.remoteLocation],
  ];
  return rows.filter((row): row is [string, string] => Boolean(row[1]));
}

/** `2026-02-03 23:30:00 UTC (2026-02-04 00:30:00 Europe/Berlin)`. */
export function timeOf(time: Date, zone: string): string {
  const inZone = (timeZone: string) =>
    new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "medium" }).format(time);
  const utc = `${inZone("UTC")} UTC`;
  return ["UTC", "Etc/UTC"].includes(zone) ? utc : `${utc} (${inZone(zone)} ${zone})`;
}

/** A size in bytes with its change against the last good backup: one that shrank by half deserves a look. */
export function sizeOf(bytes: number | undefined, previous: number | undefined): string | undefined {
  if (bytes === undefined) return undefined;
  if (!previous) return bytesText(bytes);
  const percent = ((bytes - previous) / previous) * 100;
  const change = bytes === previous ? "same as" : `${percent > 0 ? "+" : ""}${percent.toFixed(1)} % against`;
  const alarm = bytes * 2 < previous ? ", LESS THAN HALF: please check" : "";
  return `${bytesText(bytes)} (${change} the last one, ${bytesText(previous)}${alarm})`;
}

function asText({ title, what, hints, facts, log, foot }: Content): string {
  const width = Math.max(...facts.map(([label]) => label.length)) + 2;
  const blocks = [
    title,
    what,
    hints.map((hint) => `What to do: ${hint}`).join("\n"),
    facts.map(([label, value]) => `${label.padEnd(width)}${value}`).join("\n"),
    log.length > 0 ? `Last lines of the log:\n${log.join("\n")}` : "",
    foot,
  ];
  return `${blocks.filter(Boolean).join("\n\n")}\n`;
}
