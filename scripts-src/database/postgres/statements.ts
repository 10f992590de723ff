/**
 * Splits the SQL of a plain pg_dump into statements, psql commands and COPY data, by psql's own rules (psqlscan.l of PostgreSQL 19):
 * quotes, dollar quotes, comments, parentheses, SQL-standard function bodies. Needed because a restore must leave out
 * single statements (`COMMIT` within the dump, ownership) and must never touch a line of data that looks like one. What psql
 * versions read in different ways, and pg_dump never writes, is refused.
 */
import { Failure } from "../../base/errors.ts";
import { cutOff, piecesOf, strange, wordsBehind } from "../read-dump.ts";
import { decoderOf } from "./encodings.ts";
import { copyTable, RowCounts } from "./row-counts.ts";

export type Piece =
  /** A complete statement; `text` starts at its first word, `bytes` with the white space and comments before it. */
  | { kind: "statement"; text: string; bytes: Buffer }
  /** A psql command: a line that starts with a backslash. */
  | { kind: "command"; text: string; bytes: Buffer }
  /** Rows of a COPY, with the newline before the first and the line `\.` behind the last of them. */
  | { kind: "data"; bytes: Buffer; rows: "some" | "last" }
  /**
   * INSERTs, or a part of a statement too long to be of interest: passed on as it is. `begins` is the beginning of such a statement, with
   * its first part.
   */
  | { kind: "data"; bytes: Buffer; rows?: undefined; begins?: string; part?: "some" | "last" };

/** Statements longer than this are passed on in parts: nothing that is ever filtered or read is so long. */
const longestStatement = 1 << 20;

const quoteMark = 0x27;
const newline = 0x0a;
const backslash = 0x5c;
/** How many bytes are looked at of a statement that is too long to be read at once. */
const headLength = 512;
/** The words by which psql knows the beginning of a routine. */
const routineWords: Record<string, string> = { CREATE: "c", OR: "o", REPLACE: "r", FUNCTION: "f", PROCEDURE: "p" };
const isSpace = (byte: number) => byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
const isWordStart = (byte: number) =>
  (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a) || byte === 0x5f || byte >= 0x80;
const isWord = (byte: number) => isWordStart(byte) || (byte >= 0x30 && byte <= 0x39) || byte === 0x24;
const isLetterOrDigit = (byte: number) => isWord(byte) && byte !== 0x24;

/** What a byte is within a statement in which no word but INSERT matters. */
const [plain, inWord, dollarSign, special] = [0, 1, 2, 3];
const kinds = Uint8Array.from({ length: 256 }, (_, byte) => {
  if (byte === 0x24) return dollarSign;
  if (isWord(byte)) return inWord;
  return `'"();-/\\\r`.includes(String.fromCharCode(byte)) ? special : plain;
});

/** Where the scanner stands within the text: what the next byte belongs to. */
type Mode =
  | { in: "sql" }
  | { in: "string"; backslashes: boolean }
  | { in: "identifier" }
  | { in: "dollar"; tag: Buffer }
  | { in: "line comment" }
  | { in: "block comment"; depth: number };

/** Yields the pieces of `source` in order; their bytes joined are `source`. Throws `Failure` on an unfinished one. */
export const splitStatements = (source: AsyncIterable<Uint8Array>): AsyncGenerator<Piece> =>
  piecesOf(new Scanner(), source);

export class Scanner {
  private text: Buffer = Buffer.alloc(0);
  private at = 0;
  /** Rows of each table so far. */
  readonly rows = new RowCounts();
  private mode: Mode = { in: "sql" };
  /** Offset of the statement's first word, -1 while there is only white space and comment. */
  private start = -1;
  private parentheses = 0;
  /** Outermost parentheses of the present statement. */
  private groups = 0;
  /** Depth of BEGIN ATOMIC … END and CASE … END in the body of a function. */
  private blocks = 0;
  /** What the first four words are, as psql counts them: "corf" is CREATE OR REPLACE FUNCTION, other words are "-". */
  private words = "";
  /** The present statement starts with CREATE: only there words open and close blocks. */
  private creates = false;
  /** The present statement starts with INSERT. */
  private inserts = false;
  /** Offset behind the last complete INSERT: they are passed on together, for dumps may hold millions. */
  private inserted = 0;
  /** A part of the present statement was already passed on. */
  private partial = false;
  private copying = false;
  /** The end of the line with COPY has yet to come. */
  private copyBegins = false;
  /** pg_dump's last line, `\unrestrict`, has come. */
  private unlocked = false;
  private standardStrings = true;
  /** By client_encoding. */
  private decoder = new TextDecoder();
  /** client_encoding is one in whose letters a later byte may be a backslash. */
  private wideLetters = false;

  add(chunk: Uint8Array): void {
    const more = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    // psql drops the rest of a line behind it
    if (more.includes(0)) throw unlike("a zero byte");
    this.text = this.text.length === 0 ? more : Buffer.concat([this.text, more]);
  }

  /** What is complete; with `last`, everything. */
  *pieces(last: boolean): Generator<Piece> {
    for (;;) {
      const piece = this.copying ? this.copyData(last) : this.next(last);
      if (!piece) break;
      yield piece;
    }
    if (!last) return;
    if (this.blocks > 0) throw openBody();
    if (this.copying || this.mode.in !== "sql" || this.start >= 0)
      throw this.unlocked || this.text.includes(lastWords) ? wordsBehind() : cutOff();
    if (this.text.length > 0) yield { kind: "data", bytes: this.take(this.text.length) };
  }

  private take(end: number): Buffer {
    const bytes = this.text.subarray(0, end);
    this.text = this.text.subarray(end);
    this.at = Math.max(0, this.at - end);
    this.inserted = Math.max(0, this.inserted - end);
    if (this.start >= 0) this.start = Math.max(0, this.start - end);
    return bytes;
  }

  /** Rows up to and with the line `\.`. */
  private copyData(last: boolean): Piece | undefined {
    if (this.copyBegins) {
      const [first, second] = this.text;
      if (!last && (first === undefined || (first === 0x0d && second === undefined))) return undefined;
      // psql takes the rest of the line for SQL and commands
      if (first !== newline && !(first === 0x0d && second === newline)) throw unlike("words behind COPY … FROM stdin;");
      this.copyBegins = false;
    }
    const end = this.endOfCopy(last);
    if (end > 0) {
      this.copying = false;
      return { kind: "data", bytes: this.take(end), rows: "last" };
    }
    // Rarely anything stays behind: every byte that does makes `add` copy a complete chunk.
    const certain = this.text.length - beginningOfEnd(this.text);
    return certain > 0 ? { kind: "data", bytes: this.take(certain), rows: "some" } : undefined;
  }

  /**
   * Offset behind the line `\.`, 0 while it has not come. The text starts with the newline before the first row, or in the middle
   * of a row; each newline that is not followed by the line `\.` begins a row.
   */
  private endOfCopy(last: boolean): number {
    const { text } = this;
    const stop = text.length - beginningOfEnd(text);
    let begun = 0;
    let end = 0;
    for (let at = text.indexOf(newline); at >= 0; at = text.indexOf(newline, at + 1)) {
      if (text[at + 1] === backslash && (end = this.endAfter(at, last)) > 0) break;
      if (at < stop) begun++;
    }
    this.rows.add(begun);
    return end;
  }

  /** Offset behind the line `\.` that begins behind the newline at `at`; 0 when another line does, or more text is needed. */
  private endAfter(at: number, last: boolean): number {
    const { text } = this;
    if (text[at + 2] !== 0x2e) return 0;
    if (text[at + 3] === newline) return at + 4;
    if (text[at + 3] === 0x0d && text[at + 4] === newline) return at + 5;
    return last && at + 3 === text.length ? at + 3 : 0;
  }

  private next(last: boolean): Piece | undefined {
    while (this.at < this.text.length) {
      const { at, mode } = this;
      const piece = this.mode.in === "sql" ? this.scanSql(last) : this.scanQuoted(last);
      if (piece) return piece;
      if (this.at === at && this.mode === mode) break; // needs more text
    }
    if (this.inserted > 0) return { kind: "data", bytes: this.take(this.inserted) };
    if (this.at > longestStatement && !this.copying) {
      // the parts of a giant are no statement of interest any more
      const begins =
        this.partial || this.start < 0 ? undefined : this.text.toString("latin1", this.start, this.start + headLength);
      if (begins !== undefined && this.inserts) this.rows.insert(this.text, this.start, this.decoder);
      this.partial = this.partial || this.start >= 0;
      const part = this.partial ? { part: "some" as const } : {};
      return { kind: "data", bytes: this.take(this.at), ...(begins === undefined ? {} : { begins }), ...part };
    }
    if (!this.copying && this.text.length - this.at > longestStatement)
      throw strange("holds a word or a psql command that does not end within a megabyte");
    return undefined;
  }

  private scanSql(last: boolean): Piece | undefined {
    const { text } = this;
    if (this.start >= 0 && !this.creates) this.skipPlain();
    const byte = text[this.at] ?? 0;
    const following = text[this.at + 1];
    if (following === undefined && !last && (byte === 0x0d || !(isSpace(byte) || byte === 0x3b))) return undefined;
    if (isSpace(byte)) {
      if (byte === 0x0d && following !== undefined && following !== newline)
        throw unlike("a carriage return in a line");
      this.at++;
    } else if (byte === 0x2d && following === 0x2d) this.mode = { in: "line comment" };
    else if (byte === 0x2f && following === 0x2a) {
      this.mode = { in: "block comment", depth: 0 };
    } else {
      if (this.start < 0 && this.inserted > 0 && !this.insertAhead())
        return { kind: "data", bytes: this.take(this.inserted) };
      if (byte === backslash) return this.command(last);
      return this.scanToken(byte, last);
    }
    return undefined;
  }

  private insertAhead(): boolean {
    return this.text.toString("latin1", this.at, this.at + 7) === "INSERT ";
  }

  /**
   * Goes on to what the scanner must look at closely, in one tight loop: a dump with INSERTs (pg_dump --inserts) took three
   * times as long by single tokens.
   */
  private skipPlain(): void {
    const { text } = this;
    let { at } = this;
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
      const end = this.endOfToken(byte, at);
      if (end < 0) break;
      at = end;
    }
    this.at = word >= 0 ? word : at;
  }

  private openParenthesis(): void {
    if (this.parentheses++ === 0) this.groups++;
  }

  /** Where the token of the special byte at `at` ends, -1 when it must be looked at closely. */
  private endOfToken(byte: number, at: number): number {
    if (byte === quoteMark) return this.standardStrings ? this.text.indexOf(quoteMark, at + 1) : -1;
    if (byte === 0x28) this.openParenthesis();
    else if (byte === 0x29) this.parentheses = Math.max(0, this.parentheses - 1);
    else {
      const following = this.text[at + 1] ?? byte;
      if (byte === 0x0d) return following === newline ? at : -1;
      if (!(byte === 0x2d || byte === 0x2f) || following === byte || following === 0x2a) return -1;
    }
    return at;
  }

  /** One token of a statement. */
  private scanToken(byte: number, last: boolean): Piece | undefined {
    if (isWordStart(byte)) return this.word(last);
    if (byte === 0x24) return this.dollar(last);
    if (isWord(byte)) return this.number(last);
    if (this.start < 0) this.start = this.at;
    this.at++;
    if (byte === quoteMark) this.mode = { in: "string", backslashes: !this.standardStrings };
    else if (byte === 0x22) this.mode = { in: "identifier" };
    else if (byte === 0x28) this.openParenthesis();
    else if (byte === 0x29) this.parentheses = Math.max(0, this.parentheses - 1);
    else if (byte === 0x3b && this.parentheses === 0 && this.blocks === 0) return this.statement();
    return undefined;
  }

  /** Where a word, number or tag ends whose first byte is at hand. */
  private endOf(isPart: (byte: number) => boolean): number {
    let end = this.at + 1;
    while (end < this.text.length && isPart(this.text[end] ?? 0)) end++;
    return end;
  }

  /** A number; what follows it at once is a word to some versions of psql, and never written. */
  private number(last: boolean): undefined {
    const end = this.endOf(isLetterOrDigit);
    if (end === this.text.length && !last) return;
    if (this.text[end] === 0x24 && isWordStart(this.text[end - 1] ?? 0)) throw unlike("a $ behind a number");
    if (this.start < 0) this.start = this.at;
    this.at = end;
  }

  private word(last: boolean): undefined {
    const end = this.endOf(isWord);
    if (end + 1 >= this.text.length && !last) return;
    const word = end - this.at <= 9 ? this.text.toString("latin1", this.at, end).toUpperCase() : "";
    this.checkVariable(end);
    if (this.start < 0) this.begin(word);
    this.at = end;
    const prefix = this.stringPrefix(word);
    if (prefix) {
      this.at += prefix.length;
      this.mode = { in: "string", backslashes: prefix.backslashes };
    } else this.countWord(word);
  }

  /** A name behind one colon is a variable to psql, and ends before a $: `:x$a$` opens a quotation. */
  private checkVariable(end: number): void {
    let colons = 0;
    while (this.text[this.at - 1 - colons] === 0x3a) colons++;
    // of what was passed on already the last byte is unknown
    const variable = colons % 2 === 1 || (this.partial && colons === this.at);
    if (variable && this.text.subarray(this.at, end).includes(0x24)) throw unlike("a $ behind a name with a colon");
  }

  private begin(word: string): void {
    this.start = this.at;
    this.creates = word === "CREATE";
    this.inserts = this.insertAhead();
  }

  /** The beginning of a string behind the word that begins it: E'…', B'…', X'…', N'…', U&'…'. */
  private stringPrefix(word: string): { length: number; backslashes: boolean } | undefined {
    const next = this.text[this.at];
    if (word === "U") {
      const quoted = next === 0x26 && this.text[this.at + 1] === quoteMark;
      return quoted ? { length: 2, backslashes: false } : undefined;
    }
    if (next !== quoteMark || !["E", "B", "X", "N"].includes(word)) return undefined;
    return { length: 1, backslashes: word === "E" || (word === "N" && !this.standardStrings) };
  }

  /** Semicolons between BEGIN and END end no statement that begins CREATE [OR REPLACE] {FUNCTION | PROCEDURE}. */
  private countWord(word: string): void {
    if (this.words.length < 4) this.words += routineWords[word] ?? "-";
    if (this.parentheses > 0 || !/^c(or)?[fp]/.test(this.words)) return;
    if (word === "BEGIN" || (word === "CASE" && this.blocks > 0)) this.blocks++;
    else if (word === "END" && this.blocks > 0) this.blocks--;
  }

  private dollar(last: boolean): undefined {
    const end = this.endOf(isLetterOrDigit);
    if (end === this.text.length && !last) return;
    if (this.start < 0) this.start = this.at;
    const opens = this.text[end] === 0x24 && !/^\$\d/.test(this.text.toString("latin1", this.at, this.at + 2));
    if (!opens) {
      this.at = Math.max(this.at + 1, end);
      return;
    }
    this.mode = { in: "dollar", tag: Buffer.from(this.text.subarray(this.at, end + 1)) };
    this.at = end + 1;
  }

  /** Up to the end of a string, quoted identifier or comment. */
  private scanQuoted(last: boolean): undefined {
    const { text, mode } = this;
    if (mode.in === "string") this.scanString(mode.backslashes, last);
    else if (mode.in === "identifier") this.skipPast('"', 1);
    else if (mode.in === "dollar") this.skipPast(mode.tag, mode.tag.length);
    else if (mode.in === "line comment") {
      let end = this.at;
      while (end < text.length && text[end] !== newline && text[end] !== 0x0d) end++;
      this.at = end;
      if (end < text.length || last) this.mode = { in: "sql" };
    } else if (mode.in === "block comment") this.scanBlockComment(mode);
  }

  private skipPast(mark: string | Buffer, length: number): void {
    const end = this.text.indexOf(mark, this.at);
    // a doubled quote ends one string and starts the next: the same to us
    if (end >= 0) {
      this.at = end + length;
      this.mode = { in: "sql" };
    } else this.at = Math.max(this.at, this.text.length - length + 1);
  }

  private scanString(backslashes: boolean, last: boolean): void {
    if (!backslashes) return this.skipPast("'", 1);
    for (; this.at < this.text.length; this.at++) {
      const byte = this.text[this.at] ?? 0;
      if (byte === backslash || (byte >= 0x80 && this.wideLetters)) {
        if (this.at + 1 >= this.text.length && !last) return;
        this.at++;
      } else if (byte === quoteMark) {
        const doubled = this.text[this.at + 1] === quoteMark;
        if (this.at + 1 >= this.text.length && !last) return;
        if (!doubled) {
          this.at++;
          this.mode = { in: "sql" };
          return;
        }
        this.at++;
      }
    }
  }

  private scanBlockComment(mode: { depth: number }): void {
    for (; this.at + 1 < this.text.length; this.at++) {
      const pair = this.text.toString("latin1", this.at, this.at + 2);
      if (pair === "/*") mode.depth++;
      else if (pair === "*/") mode.depth--;
      else continue;
      this.at++;
      if (mode.depth === 0) {
        this.at++;
        this.mode = { in: "sql" };
        return;
      }
    }
  }

  private command(last: boolean): Piece | undefined {
    if (this.blocks > 0) throw openBody();
    if (this.start >= 0 || this.partial) {
      throw strange("holds a psql command in the middle of a statement");
    }
    const end = this.text.indexOf(newline, this.at);
    if (end < 0 && !last) return undefined;
    const stop = end < 0 ? this.text.length : end + 1;
    const text = this.text.toString("utf8", this.at, stop).trim();
    this.unlocked = text.startsWith("\\unrestrict ");
    return { kind: "command", text, bytes: this.take(stop) };
  }

  private statement(): Piece | undefined {
    const { inserts, groups } = this;
    if (inserts) {
      if (!this.partial) this.rows.insert(this.text, this.start, this.decoder);
      this.rows.inserted(groups);
    }
    this.creates = false;
    this.inserts = false;
    this.words = "";
    this.groups = 0;
    if (inserts && !this.partial) {
      this.start = -1;
      this.inserted = this.at;
      return undefined;
    }
    const text = this.decoder.decode(this.text.subarray(this.start, this.at));
    const bytes = this.take(this.at);
    const complete = !this.partial;
    this.start = -1;
    this.blocks = 0;
    this.partial = false;
    if (!complete) return { kind: "data", bytes, part: "last" };
    this.startCopy(text);
    if (text.startsWith("SET ")) this.readSetting(text);
    return { kind: "statement", text, bytes };
  }

  private startCopy(text: string): void {
    const table = copyTable(text);
    this.copying = this.copyBegins = table !== undefined;
    if (table !== undefined) this.rows.copy(table);
  }

  private readSetting(text: string): void {
    const strings = /^SET standard_conforming_strings = (\w+);$/.exec(text)?.[1];
    if (strings) this.standardStrings = strings !== "off";
    const encoding = /^SET client_encoding = '([^']*)';$/.exec(text)?.[1];
    if (!encoding) return;
    this.decoder = decoderOf(encoding);
    this.wideLetters = /^(SJIS|SHIFT_JIS_2004|BIG5|GBK|UHC|GB18030|JOHAB)$/i.test(encoding);
  }
}

/** What the versions of psql read in different ways. */
const unlike = (what: string) =>
  strange(
    `holds ${what} where pg_dump never writes one`,
    "the file was changed after pg_dump wrote it: look at it before you restore it",
  );

const openBody = () =>
  new Failure("the dump holds a function whose body does not end, as psql reads it", {
    hints: [
      "psql takes a function (or its type) with the name begin for the beginning of a body: rename it, or put its body in quotes",
      "or the file is cut short: take another backup",
    ],
  });

/** How many of the last bytes may turn out to be the beginning of the line `\.`. */
function beginningOfEnd(text: Buffer): number {
  const last = text.subarray(-4);
  const at = last.lastIndexOf(newline);
  return at >= 0 && "\n\\.\r".startsWith(last.toString("latin1", at)) ? last.length - at : 0;
}

/** Since the minor releases of August 2025 a line `\unrestrict` follows them. */
const lastWords = "\n-- PostgreSQL database dump complete";
