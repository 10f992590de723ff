/** What psql takes bytes and words for, and what is refused because its versions read it in different ways. */
import { Failure } from "../../base/errors.ts";
import { strange } from "../read-dump.ts";

export const quoteMark = 0x27;
export const newline = 0x0a;
export const backslash = 0x5c;

export const isSpace = (byte: number) => byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
export const isWordStart = (byte: number) =>
  (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a) || byte === 0x5f || byte >= 0x80;
export const isWord = (byte: number) => isWordStart(byte) || (byte >= 0x30 && byte <= 0x39) || byte === 0x24;
export const isLetterOrDigit = (byte: number) => isWord(byte) && byte !== 0x24;

/** How the string begins behind the word that ends at `at`: E'…', B'…', X'…', N'…', U&'…'. */
export function stringPrefix(
  word: string,
  text: Buffer,
  at: number,
  standardStrings: boolean,
): { length: number; backslashes: boolean } | undefined {
  if (word === "U")
    return text[at] === 0x26 && text[at + 1] === quoteMark ? { length: 2, backslashes: false } : undefined;
  if (text[at] !== quoteMark || !["E", "B", "X", "N"].includes(word)) return undefined;
  return { length: 1, backslashes: word === "E" || (word === "N" && !standardStrings) };
}

/**
 * A name behind one colon is a variable to psql, and ends before a $: `:x$a$` opens a quotation. `partial`: what stood before the text
 * is unknown.
 */
export function refuseVariable(text: Buffer, from: number, end: number, partial: boolean): void {
  let colons = 0;
  while (text[from - 1 - colons] === 0x3a) colons++;
  const variable = colons % 2 === 1 || (partial && colons === from);
  if (variable && text.subarray(from, end).includes(0x24)) throw unlike("a $ behind a name with a colon");
}

/** What the versions of psql read in different ways. */
export const unlike = (what: string) =>
  strange(
    `holds ${what} where pg_dump never writes one`,
    "the file was changed after pg_dump wrote it: look at it before you restore it",
  );

/** psql would wait for the rest of a function. */
export const openBody = () =>
  new Failure("the dump holds a function whose body does not end, as psql reads it", {
    hints: [
      "psql takes a function (or its type) with the name begin for the beginning of a body: rename it, or put its body in quotes",
      "or the file is cut short: take another backup",
    ],
  });

export type Quotation =
  | { in: "string"; backslashes: boolean }
  | { in: "identifier" }
  | { in: "dollar"; tag: Buffer }
  | { in: "line comment" };

/** How far the text was read, and whether the quotation ends there. */
interface Passed {
  at: number;
  ends: boolean;
}

/** Reads on in a quotation whose text goes on at `at`. `last`: no more text follows. */
export function passQuotation(quotation: Quotation, text: Buffer, at: number, last: boolean): Passed {
  if (quotation.in === "string") return quotation.backslashes ? pastEscaped(text, at, last) : past(text, at, "'");
  if (quotation.in === "identifier") return past(text, at, '"');
  if (quotation.in === "dollar") return past(text, at, quotation.tag);
  return pastLine(text, at, last);
}

/** A doubled quote ends one string and starts the next: nothing else changes for us. */
function past(text: Buffer, from: number, mark: string | Buffer): Passed {
  const at = text.indexOf(mark, from);
  return at < 0
    ? { at: Math.max(from, text.length - mark.length + 1), ends: false }
    : { at: at + mark.length, ends: true };
}

/** A string in which a backslash takes the next byte as it is. */
function pastEscaped(text: Buffer, from: number, last: boolean): Passed {
  let at = from;
  for (; at < text.length; at++) {
    const byte = text[at] ?? 0;
    if (byte !== quoteMark && byte !== backslash) continue;
    // the next byte decides
    if (at + 1 === text.length && !last) return { at, ends: false };
    if (byte === quoteMark && text[at + 1] !== quoteMark) return { at: at + 1, ends: true };
    at++;
  }
  return { at: text.length, ends: false };
}

function pastLine(text: Buffer, from: number, last: boolean): Passed {
  let at = from;
  while (at < text.length && text[at] !== newline && text[at] !== 0x0d) at++;
  return { at, ends: at < text.length || last };
}

interface CopiedRows {
  /** So many bytes of the text are rows for certain, and so many rows end in them. */
  bytes: number;
  rows: number;
  /** Length of the line `\\.` behind them; 0 while it has not come. */
  end: number;
}

/** What a text that begins among the rows holds. `beginsLine`: it begins at the beginning of a line. `last`: no more text follows. */
export function copiedRows(text: Buffer, beginsLine: boolean, last: boolean): CopiedRows {
  let rows = beginsLine ? 0 : 1;
  let at = beginsLine ? 0 : text.indexOf(newline) + 1;
  if (at === 0 && !beginsLine) return { bytes: text.length, rows: 0, end: 0 };
  for (;;) {
    // a row may begin with a backslash, too: \N stands for NULL
    const end = text[at] === backslash && (text[at + 1] ?? point) === point ? lineLength(text, at, last) : 0;
    if (end !== 0) return { bytes: at, rows, end: end ?? 0 };
    const next = text.indexOf(newline, at) + 1;
    if (next === 0) return { bytes: text.length, rows, end: 0 };
    rows++;
    at = next;
  }
}

const point = 0x2e;

/** 0 when another line begins there; undefined when more text is needed to tell. */
function lineLength(text: Buffer, at: number, last: boolean): number | undefined {
  const line = text.toString("latin1", at, at + 4);
  if (line.startsWith("\\.\n")) return 3;
  if (line === "\\.\r\n") return 4;
  if (last) return line === "\\." ? 2 : 0;
  return "\\.\r\n".startsWith(line) ? undefined : 0;
}

/** The part of ISO 8859 that PostgreSQL calls LATIN1, LATIN2 … */
const latinParts = [1, 2, 3, 4, 9, 10, 13, 14, 15, 16];
/** Encodings that have another name in the Encoding Standard. The names of KOI8 and EUC differ only in the hyphen. */
const labels: Readonly<Record<string, string>> = {
  ...Object.fromEntries(latinParts.map((part, index) => [`LATIN${index + 1}`, `iso-8859-${part}`])),
  EUC_CN: "gbk",
  KOI8R: "koi8-r",
  KOI8U: "koi8-u",
  WIN866: "ibm866",
};

/** A decoder for PostgreSQL's `encoding`; for UTF-8 where the platform knows no such encoding (SQL_ASCII, MULE_INTERNAL, EUC_TW). */
export function decoderOf(encoding: string): TextDecoder {
  const label = labels[encoding] ?? encoding.replace(/^WIN(\d)/, "windows-$1").replaceAll("_", "-");
  try {
    return new TextDecoder(label as Bun.Encoding);
  } catch {
    return new TextDecoder();
  }
}
