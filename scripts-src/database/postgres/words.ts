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
