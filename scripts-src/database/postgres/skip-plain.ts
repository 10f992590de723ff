/** The part of the scanner that reads INSERTs: a dump with them (pg_dump --inserts) took three times as long by single tokens. */
import { isWord, newline, quoteMark } from "./words.ts";
import type { PresentStatement } from "./present-statement.ts";

/** What a byte is within a statement in which no word but INSERT matters. */
const [plain, inWord, dollarSign, special] = [0, 1, 2, 3];
const kinds = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte === 0x24) return dollarSign;
  if (isWord(byte)) return inWord;
  return `'"();-/\\\r`.includes(String.fromCharCode(byte)) ? special : plain;
});

/** Goes on in a statement, in one tight loop, to what must be looked at closely: where that is. */
export function skipPlain(text: Buffer, from: number, now: PresentStatement, standardStrings: boolean): number {
  let at = from;
  let word = -1;
  for (; at < text.length; at++) {
    const byte = text[at] ?? 0;
    const kind = kinds[byte];
    if (kind === inWord) {
      if (word < 0) word = at;
      continue;
    }
    // a word before a quote may be an E, one before a & a U; a $ may belong to it, and one at the end may go on
    if (word >= 0 && (byte === quoteMark || byte === 0x26 || kind === dollarSign)) break;
    word = -1;
    if (kind === plain) continue;
    if (byte === 0x28) now.open();
    else if (byte === 0x29) now.close();
    else {
      const end = endOfToken(byte, text, at, standardStrings);
      if (end < 0) break;
      at = end;
    }
  }
  return word >= 0 ? word : at;
}

/** Where the token of the special byte at `at` ends, -1 when it must be looked at closely. */
function endOfToken(byte: number, text: Buffer, at: number, standardStrings: boolean): number {
  if (byte === quoteMark) return standardStrings ? text.indexOf(quoteMark, at + 1) : -1;
  const following = text[at + 1] ?? byte;
  if (byte === 0x0d) return following === newline ? at : -1;
  return (byte === 0x2d || byte === 0x2f) && following !== byte && following !== 0x2a ? at : -1;
}
