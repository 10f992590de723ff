/** Strings, quoted names and comments in SQL: where each of them ends, as psql reads it. */
import { backslash, newline, quoteMark } from "./words.ts";

export type Quotation =
  | { in: "string"; backslashes: boolean }
  | { in: "identifier" }
  | { in: "dollar"; tag: Buffer }
  | { in: "line comment" }
  | { in: "block comment"; depth: number };

/** How far the text was read, and whether the quotation ends there. */
interface Passed {
  at: number;
  ends: boolean;
}

interface Reading {
  /** No more text follows. */
  last: boolean;
  /** In the letters of this encoding a later byte may be a backslash. */
  wideLetters: boolean;
}

/** Reads on in a quotation whose text goes on at `at`. */
export function passQuotation(quotation: Quotation, text: Buffer, at: number, reading: Reading): Passed {
  if (quotation.in === "string") return quotation.backslashes ? pastEscaped(text, at, reading) : past(text, at, "'");
  if (quotation.in === "identifier") return past(text, at, '"');
  if (quotation.in === "dollar") return past(text, at, quotation.tag);
  return quotation.in === "line comment" ? pastLine(text, at, reading) : pastComment(text, at, quotation);
}

/** A doubled quote ends one string and starts the next: nothing else changes for us. */
function past(text: Buffer, from: number, mark: string | Buffer): Passed {
  const at = text.indexOf(mark, from);
  return at < 0
    ? { at: Math.max(from, text.length - mark.length + 1), ends: false }
    : { at: at + mark.length, ends: true };
}

/** A string in which a backslash takes the next byte as it is. */
function pastEscaped(text: Buffer, from: number, { last, wideLetters }: Reading): Passed {
  let at = from;
  for (; at < text.length; at++) {
    const byte = text[at] ?? 0;
    if (byte !== quoteMark && byte !== backslash && !(byte >= 0x80 && wideLetters)) continue;
    // the next byte decides
    if (at + 1 === text.length && !last) return { at, ends: false };
    if (byte === quoteMark && text[at + 1] !== quoteMark) return { at: at + 1, ends: true };
    at++;
  }
  return { at: text.length, ends: false };
}

function pastLine(text: Buffer, from: number, { last }: Reading): Passed {
  let at = from;
  while (at < text.length && text[at] !== newline && text[at] !== 0x0d) at++;
  return { at, ends: at < text.length || last };
}

function pastComment(text: Buffer, from: number, comment: { depth: number }): Passed {
  let at = from;
  for (; at + 1 < text.length; at++) {
    const pair = text.toString("latin1", at, at + 2);
    if (pair === "/*") comment.depth++;
    else if (pair === "*/") comment.depth--;
    else continue;
    at++;
    if (comment.depth === 0) return { at: at + 1, ends: true };
  }
  return { at, ends: false };
}
