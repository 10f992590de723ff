/** Texts about a run for people: the mail, and a shorter one for phones. Pure. */
import { html, lines } from "../base/html.ts";
import {
  ageText,
  bytesText,
  clip,
  columns,
  counted,
  durationText,
  listOf,
  oneLine,
  timeText,
  visible,
  visibleName,
} from "../base/text.ts";
import type { DatabaseOutcome, Facts, LastGood, Outcome, Status } from "./outcome.ts";

export interface Message {
  /** One line without control characters, whatever the settings hold. */
  subject: string;
  text: string;
  html: string;
}

/** The mail of an outcome; times are given in UTC and in the time zone `zone`. */
export function composeMessage(outcome: Outcome, zone: string): Message {
  const subject = subjectOf(outcome);
  const text = bodyOf(outcome, zone);
  const tone = colour[outcome.test ? "test" : outcome.status];
  return { subject, text: `${subject}\n\n${text}\n`, html: layOut(subject, tone, text) };
}

function bodyOf({ error, ...outcome }: Outcome, zone: string): string {
  const blocks = [
    visible(error ? error.message : outcome.summary),
    outcome.warnings.map((warning) => `Warning: ${visible(warning)}`).join("\n"),
    (error?.hints ?? []).map((hint) => `What to do: ${visible(hint)}`).join("\n"),
    databaseTable(databaseRows(outcome.facts.databases ?? [], outcome.endedAt, zone)),
    columns(factsOf(outcome, zone)).join("\n"),
    error && outcome.logTail.length > 0 ? `Last lines of the log:\n${outcome.logTail.map(visible).join("\n")}` : "",
    `sent by backup_scripts ${outcome.version}`,
  ];
  return blocks.filter(Boolean).join("\n\n");
}

/** Columns as wide as their widest cell; what is to be said of a database stands below its row. */
export function databaseTable(rows: readonly DatabaseRow[]): string {
  if (rows.length === 0) return "";
  const [head, ...lines] = columns([tableHeads, ...rows.map(({ cells }) => cells)]);
  const blocks = rows.flatMap(({ remarks }, at) => [lines[at], ...remarks.map((remark) => `    ${remark}`)]);
  return [head, ...blocks].join("\n");
}

const colour = { success: "#15703c", warning: "#8a5300", failure: "#b42318", test: "#1f4e8c" };

/** The text in a monospaced font, so that its columns are aligned in every mail program. Styles are inline: many programs support nothing else. */
const layOut = (title: string, tone: string, text: string): string =>
  html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width,initial-scale=1" />
        <title>${title}</title>
      </head>
      <body style="margin:0;padding:12px;background:#ffffff;color:#111827">
        <h1 style="margin:0;padding:12px;background:${tone};color:#ffffff;font:bold 18px/1.3 sans-serif">${title}</h1>
        <pre style="font:14px/1.5 Menlo,Consolas,monospace;white-space:pre-wrap;word-break:break-word">
${lines(text)}</pre>
      </body>
    </html> `.text;

/** Everything that is known, in the order in which a person asks for it. */
function factsOf(outcome: Outcome, zone: string): [string, string][] {
  const { facts } = outcome;
  const rows: [string, string | undefined][] = [
    ["Status", statusOf(outcome)],
    ["Site", outcome.site],
    ["Host", outcome.host],
    ["Script", outcome.script],
    ["Started", timeText(outcome.startedAt, zone)],
    ["Ended", timeText(outcome.endedAt, zone)],
    ["Duration", durationText(outcome.endedAt.getTime() - outcome.startedAt.getTime())],
    ["Database", facts.database],
    ["Server", facts.server],
    ["File", facts.file],
    ["Size", sizeOf(facts.bytes, facts.previousBytes)],
    ["Rows", facts.rows?.toLocaleString("en")],
    ["Time to recover", facts.restoreMs === undefined ? undefined : durationText(facts.restoreMs)],
    ["Local", facts.localPath],
    ["S3", facts.remoteLocation],
    ["Last good backup", facts.lastGood && lastGoodText(facts.lastGood, outcome.endedAt, zone)],
  ];
  return rows.flatMap(([label, value]) => (value ? [[label, visibleName(value)] as [string, string]] : []));
}

function statusOf({ status, exitStatus }: Outcome): string {
  if (status === "failure") return `failure (exit status ${exitStatus})`;
  return status === "warning" ? "success, with warnings" : "success";
}

/** A size in bytes, compared with the last good backup. */
export function sizeOf(bytes: number | undefined, previous: number | undefined): string | undefined {
  if (bytes === undefined) return undefined;
  if (!previous) return bytesText(bytes);
  const before = `previous backup ${bytesText(previous)}`;
  const percent = (((bytes - previous) / previous) * 100).toFixed(1);
  if (Number(percent) === 0) return `${bytesText(bytes)} (unchanged, ${before})`;
  return `${bytesText(bytes)} (${bytes > previous ? "+" : ""}${percent} %, ${before})`;
}

/** When and where the newest good backup is: the first question after a failure. */
function lastGoodText({ startedAt, locations, elsewhere }: LastGood, now: Date, zone: string): string {
  const rest = elsewhere.length > 0 ? `; ${elsewhere.join("; ")}` : "";
  if (!startedAt) return `none found${rest}`;
  const age = ageText(now.getTime() - startedAt.getTime());
  return `${timeText(startedAt, zone)}, ${age}: ${locations.join(" and ")}${rest}`;
}

const tableHeads = ["Database", "Status", "Size", "Rows", "Duration"] as const;
interface DatabaseRow {
  status: Status;
  /** One for each of `tableHeads`. */
  cells: readonly string[];
  /** Lines below the row. */
  remarks: readonly string[];
}

const order: readonly Status[] = ["failure", "warning", "success"];

/** A row for each database: failures first, then warnings. Ages are those of `now`, times those of `zone`. */
export function databaseRows(databases: readonly DatabaseOutcome[], now: Date, zone: string): DatabaseRow[] {
  return databases
    .toSorted((a, b) => order.indexOf(a.status) - order.indexOf(b.status))
    .map(({ database, status, bytes, previousBytes, rows, durationMs, restoreMs, message, lastGood }) => ({
      status,
      cells: [
        oneLine(database),
        status,
        sizeOf(bytes, previousBytes) ?? "",
        rows?.toLocaleString("en") ?? "",
        durationMs === undefined ? "" : durationText(durationMs),
      ],
      remarks: listOf(
        listOf(message, restoreMs !== undefined && `time to recover: ${durationText(restoreMs)}`).join("; "),
        lastGood && `last good backup: ${lastGoodText(lastGood, now, zone)}`,
      )
        .filter(Boolean)
        .map(oneLine),
    }));
}

const words = { success: "OK", warning: "WARNING", failure: "FAILED" };
/** A phone shows about this many characters of a subject. */
const longestWarning = 80;

/** `FAILED: shop-production backup of app`: the most important first. A single warning is part of it. */
export function subjectOf({ script, status, site, facts, test, warnings }: Outcome): string {
  if (test) return oneLine(`TEST: notice from ${site}`);
  const title = `${words[status]}: ${site} ${script}${subjectsOf(facts)}`;
  if (status !== "warning") return oneLine(title);
  const [first = ""] = warnings;
  const short = warnings.length === 1 ? clip(oneLine(first), longestWarning) : counted(warnings.length, "warning");
  return oneLine(`${title}: ${short}`);
}

function subjectsOf({ database, databases }: Facts): string {
  if (!databases) return database ? ` of ${database}` : "";
  const failed = databases.filter(({ status }) => status === "failure").length;
  return failed === 0 ? ` of ${counted(databases.length, "database")}` : `, ${failed} of ${databases.length} databases`;
}

export interface ShortText {
  title: string;
  /** Plain text of a few lines; never empty. */
  body: string;
}

/** ntfy takes 4,096 bytes, Discord 2,000 characters; title and body stay below both in any alphabet. */
const longestTitle = 200;
const longestBody = 1_000;
const mostLines = 10;

/** Failures first, then what to do, then where the last good backup is. */
export function shortText(outcome: Outcome): ShortText {
  const { error, summary, warnings, facts, endedAt } = outcome;
  const bad = (facts.databases ?? []).filter(({ status }) => status !== "success");
  const failed = bad.filter(({ status }) => status === "failure");
  const lines = [
    error?.message ?? summary,
    ...firstOf([...failed, ...bad.filter((one) => !failed.includes(one))].map(describe)),
    ...firstOf(warnings.map((warning) => `Warning: ${warning}`)),
    ...(error?.hints ?? []).slice(0, 2).map((hint) => `What to do: ${hint}`),
    ...(facts.lastGood ? [`Last good backup: ${lastGoodText(facts.lastGood, endedAt, "UTC")}`] : []),
  ];
  const body = clip(lines.map(oneLine).filter(Boolean).join("\n"), longestBody);
  return { title: clip(subjectOf(outcome), longestTitle), body: body || outcome.status };
}

const describe = ({ database, status, message }: { database: string; status: string; message?: string }) =>
  `${database}: ${message ?? status}`;

function firstOf(lines: readonly string[]): string[] {
  const more = lines.length - mostLines;
  return more > 0 ? [...lines.slice(0, mostLines), `and ${more} more`] : [...lines];
}
