/** Strings, quoted names and comments in SQL: where each of them ends, as psql reads it. */
import { backslash, newline, quoteMark } from "./words.ts";

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
