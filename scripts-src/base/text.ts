/** Texts for people: numbers, sizes, times, lines, colours, and control characters made visible. */
import { styleText } from "node:util";
import prettyBytes from "pretty-bytes";
import prettyMilliseconds from "pretty-ms";

/** A number with its noun, "1 table", "2,000 tables"; a noun with a plural of its own gives it: "1 entry", "2 entries". */
export const counted = (count: number, one: string, many = `${one}s`): string =>
  `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

/** The first names, and how many more there are: "a, b and 3 more". */
export const listed = (names: readonly string[], most = 5): string =>
  names.slice(0, most).join(", ") + (names.length > most ? ` and ${names.length - most} more` : "");

/** The lines whose condition holds: `condition && "line"`. */
export const listOf = (...lines: readonly (string | false | undefined)[]): string[] =>
  lines.filter((line) => typeof line === "string");

/** Rows of cells in columns as wide as their widest cell, a line each. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((cells) => cells[at]?.length ?? 0)));
  const line = (cells: readonly string[]) => cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join("  ");
  return rows.map((cells) => line(cells).trimEnd());
}

/** A size in bytes: `95.8 MiB`. */
export const bytesText = (bytes: number): string => prettyBytes(bytes, { binary: true });

/** How long something took, given in ms: `0.4s`, `12.3s`, `1h 2m 3s`. */
export const durationText = (ms: number): string =>
  ms < 1000 ? `${(Math.max(0, ms) / 1000).toFixed(1)}s` : prettyMilliseconds(ms);

const ageUnits = [
  [86_400_000, "d"],
  [3_600_000, "h"],
  [60_000, "min"],
] as const;

/** How long ago something was, given in ms: `3 d ago`, `18 h ago`, `5 min ago`. */
export function ageText(ms: number): string {
  const fits = ageUnits.find(([unit]) => ms >= unit);
  return fits ? `${Math.floor(ms / fits[0])} ${fits[1]} ago` : "less than a minute ago";
}

/** A point in time: `2026-02-03 23:30:00 UTC (2026-02-04 00:30:00 Europe/Berlin)`, without the zone when it is UTC. */
export function timeText(time: Date, zone = "UTC"): string {
  const inZone = (timeZone: string) =>
    new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "medium" }).format(time);
  const utc = `${inZone("UTC")} UTC`;
  return ["UTC", "Etc/UTC"].includes(zone) ? utc : `${utc} (${inZone(zone)} ${zone})`;
}

/** A time as it stands in names: UTC, whole seconds, `2026-01-31_03-00-00`. */
export const stampOf = (time: Date): string => time.toISOString().slice(0, 19).replace("T", "_").replaceAll(":", "-");

/** The text in lines of at most `width` columns, broken at spaces; a longer word has a line of its own. */
export const wrap = (text: string, width: number): string[] =>
  Bun.wrapAnsi(text.replaceAll(/\s+/g, " "), width).split("\n");

/** Gives text a style, "red" or "bold"; leaves it as it is where the stream is no terminal, or NO_COLOR is set. */
export function painterFor(
  { isTTY }: { isTTY?: boolean | undefined },
  env: Record<string, string | undefined> = process.env,
): (style: Parameters<typeof styleText>[0], text: string) => string {
  const styled = isTTY === true && !env["NO_COLOR"] && env["TERM"] !== "dumb";
  return (style, text) => (styled ? styleText(style, text, { validateStream: false }) : text);
}

/**
 * Characters that move a terminal's cursor, change its colours, end a line or turn the direction of writing: C0, DEL, C1,
 * halves of a pair (lone surrogates), the line separators of Unicode, and the marks of bidirectional text.
 */
export const unseen = /[\p{Cc}\p{Cs}\u061C\u200E\u200F\u2028-\u202E\u2066-\u2069]/gu;
const named: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function show(character: string): string {
  const code = character.charCodeAt(0);
  const hex = code.toString(16);
  return named[character] ?? (code < 256 ? `\\x${hex.padStart(2, "0")}` : `\\u${hex.padStart(4, "0")}`);
}

/**
 * The text as a person may see it on a terminal, in a log or in a mail: control characters become `\x1b` or `\u202e`. Line breaks
 * and tabs stay; a foreign name in the text goes through `visibleName` first, so that it cannot begin a line of its own.
 */
export const visible = (text: string): string =>
  text.replaceAll("\r\n", "\n").replace(unseen, (one) => (one === "\n" || one === "\t" ? one : show(one)));

/** All lines but the first behind four spaces, so that a name with a line break in it begins no line of its own. */
export const indented = (text: string): string => text.replaceAll(/\n(?! )/g, "\n    ");

/** A foreign name or value in one line: as `visible`, and line breaks and tabs become `\n`, `\r` and `\t`. */
export const visibleName = (name: string): string => name.replace(unseen, show);

/** Foreign text in one line, its control characters visible. */
export const oneLine = (text: string): string => visibleName(text.replaceAll(/\s+/g, " ").trim());

/** At most `length` characters; what is cut off is marked. No character is cut in two. */
export function clip(text: string, length: number): string {
  const characters = Array.from(text);
  return characters.length <= length ? text : `${characters.slice(0, length - 1).join("")}…`;
}
