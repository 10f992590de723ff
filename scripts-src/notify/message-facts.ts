/** What is known of a run, as labels and values for people. Pure. */
import { ageText, bytesText, durationText, listOf, oneLine, timeText, visibleName } from "../base/text.ts";
import type { DatabaseOutcome, LastGood, Outcome, Status } from "./outcome.ts";

/** Everything that is known, in the order in which a person asks for it. */
export function factsOf(outcome: Outcome, zone: string): [string, string][] {
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
export function lastGoodText({ startedAt, locations, elsewhere }: LastGood, now: Date, zone: string): string {
  const rest = elsewhere.length > 0 ? `; ${elsewhere.join("; ")}` : "";
  if (!startedAt) return `none found${rest}`;
  const age = ageText(now.getTime() - startedAt.getTime());
  return `${timeText(startedAt, zone)}, ${age}: ${locations.join(" and ")}${rest}`;
}

export const tableHeads = ["Database", "Status", "Size", "Rows", "Duration"] as const;
export interface DatabaseRow {
  status: Status;
  /** One for each of `tableHeads`. */
  cells: readonly string[];
  /** What is to be said below. */
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
