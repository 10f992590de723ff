/** The part of the scanner that reads INSERTs: a dump with them (pg_dump --inserts) took three times as long by single tokens. */
import { isWord, newline, quoteMark } from "./words.ts";

/** The words by which psql knows the beginning of a routine. */
const routineWords: Record<string, string> = { CREATE: "c", OR: "o", REPLACE: "r", FUNCTION: "f", PROCEDURE: "p" };

export class PresentStatement {
  /** Offset of its first word, -1 while there is only white space and comment. */
  start = -1;
  /** It starts with CREATE: only there words open and close blocks. */
  creates = false;
  /** It starts with INSERT. */
  inserts = false;
  /** A part of it was already passed on. */
  partial = false;
  parentheses = 0;
  /** Outermost parentheses. */
  groups = 0;
  /** Depth of BEGIN ATOMIC … END and CASE … END in the body of a function. */
  blocks = 0;
  /** What its first four words are, as psql counts them: "corf" is CREATE OR REPLACE FUNCTION, other words are "-". */
  words = "";

  begin(at: number, word: string, inserts: boolean): void {
    this.start = at;
    this.creates = word === "CREATE";
    this.inserts = inserts;
  }

  open(): void {
    if (this.parentheses++ === 0) this.groups++;
  }

  close(): void {
    this.parentheses = Math.max(0, this.parentheses - 1);
  }

  /** Semicolons between BEGIN and END end no statement that begins CREATE [OR REPLACE] {FUNCTION | PROCEDURE}. */
  countWord(word: string): void {
    if (this.words.length < 4) this.words += routineWords[word] ?? "-";
    if (this.parentheses > 0 || !/^c(or)?[fp]/.test(this.words)) return;
    if (word === "BEGIN" || (word === "CASE" && this.blocks > 0)) this.blocks++;
    else if (word === "END" && this.blocks > 0) this.blocks--;
  }
}

/** The class of a byte within a statement in which only the word INSERT matters. */
const [plain, inWord, dollarSign, special] = [0, 1, 2, 3];
const kinds = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte === 0x24) return dollarSign;
  if (isWord(byte)) return inWord;
  return `'"();-/\\\r`.includes(String.fromCharCode(byte)) ? special : plain;
});

/** Returns the position of the next byte in a statement that needs a closer look. It is one tight loop. */
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

/** The end of the token that begins with the special byte at `at`; -1 when it needs a closer look. */
function endOfToken(byte: number, text: Buffer, at: number, standardStrings: boolean): number {
  if (byte === quoteMark) return standardStrings ? text.indexOf(quoteMark, at + 1) : -1;
  const following = text[at + 1] ?? byte;
  if (byte === 0x0d) return following === newline ? at : -1;
  return (byte === 0x2d || byte === 0x2f) && following !== byte && following !== 0x2a ? at : -1;
}
