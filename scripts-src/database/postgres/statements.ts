/**
 * Splits the SQL of a plain pg_dump into statements, psql commands and COPY data, by psql's own rules (psqlscan.l of PostgreSQL 19):
 * quotes, dollar quotes, comments, parentheses, SQL-standard function bodies. Needed because a restore must leave out
 * single statements (`COMMIT` within the dump, ownership) and must never touch a line of data that looks like one. What psql
 * versions read in different ways, and pg_dump never writes, is refused.
 */
import { cutOff, piecesOf, strange, wordsBehind } from "../read-dump.ts";
import { copyTable, RowCounts } from "./contents.ts";
import { skipPlain, PresentStatement } from "./present-statement.ts";
import {
  backslash,
  isLetterOrDigit,
  isSpace,
  isWord,
  isWordStart,
  newline,
  openBody,
  quoteMark,
  refuseVariable,
  stringPrefix,
  unlike,
  passQuotation,
  type Quotation,
  copiedRows,
  decoderOf,
} from "./words.ts";

export type Piece =
  /**
   * A complete statement; `text` starts at its first word, `bytes` with the white space and comments before it. Those of a COPY end with
   * its line.
   */
  | { kind: "statement"; text: string; bytes: Buffer }
  /** A psql command: a line that starts with a backslash. */
  | { kind: "command"; text: string; bytes: Buffer }
  /** Rows of a COPY, cut anywhere; then the line `\.`. */
  | { kind: "data"; bytes: Buffer; rows: "some" | "end" }
  /**
   * INSERTs, or a part of a statement too long to be of interest: passed on as it is. `begins` is the beginning of such a statement, with
   * its first part.
   */
  | { kind: "data"; bytes: Buffer; rows?: undefined; begins?: string; part?: "some" | "last" };

/** Statements longer than this are passed on in parts: nothing that is ever filtered or read is so long. */
const longestStatement = 1 << 20;

/** How many bytes are looked at of a statement that is too long to be read at once. */
const headLength = 512;
/** Yields the pieces of `source` in order; their bytes joined are `source`. Throws `Failure` on an unfinished one. */
export const splitStatements = (source: AsyncIterable<Uint8Array>): AsyncGenerator<Piece> =>
  piecesOf(new Scanner(), source);

export class Scanner {
  private text: Buffer = Buffer.alloc(0);
  private at = 0;
  /** Rows of each table so far. */
  readonly rows = new RowCounts();
  private now = new PresentStatement();
  /** What the next byte belongs to. */
  private quotation: Quotation | undefined;
  /** Offset behind the last complete INSERT: they are passed on together, for dumps may hold millions. */
  private inserted = 0;
  /** Rows of a COPY come now. */
  private copying = false;
  /** The text begins at the beginning of a line. */
  private beginsLine = false;
  /** pg_dump's last line, `\unrestrict`, has come. */
  private unlocked = false;
  private standardStrings = true;
  /** By client_encoding. */
  private decoder = new TextDecoder();

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
    if (this.now.blocks > 0) throw openBody();
    if (this.copying || this.quotation || this.now.start >= 0)
      throw this.unlocked || this.text.includes(lastWords) ? wordsBehind() : cutOff();
    if (this.text.length > 0) yield { kind: "data", bytes: this.take(this.text.length) };
  }

  private take(end: number): Buffer {
    const bytes = this.text.subarray(0, end);
    this.text = this.text.subarray(end);
    this.at = Math.max(0, this.at - end);
    this.inserted = Math.max(0, this.inserted - end);
    if (this.now.start >= 0) this.now.start = Math.max(0, this.now.start - end);
    return bytes;
  }

  private copyData(last: boolean): Piece | undefined {
    const { bytes, rows, end } = copiedRows(this.text, this.beginsLine, last);
    if (bytes > 0) {
      this.rows.add(rows);
      this.beginsLine = this.text[bytes - 1] === newline;
      return { kind: "data", bytes: this.take(bytes), rows: "some" };
    }
    if (end === 0) return undefined;
    this.copying = false;
    return { kind: "data", bytes: this.take(end), rows: "end" };
  }

  private next(last: boolean): Piece | undefined {
    while (this.at < this.text.length) {
      const { at, quotation } = this;
      const piece = quotation ? this.scanQuoted(quotation, last) : this.scanSql(last);
      if (piece) return piece;
      if (this.at === at && this.quotation === quotation) break; // needs more text
    }
    if (this.inserted > 0) return { kind: "data", bytes: this.take(this.inserted) };
    if (this.at > longestStatement) return this.part();
    if (this.text.length - this.at > longestStatement)
      throw strange("holds a word or a psql command that does not end within a megabyte");
    return undefined;
  }

  /** The parts of a giant are no statement of interest any more. */
  private part(): Piece {
    const { now } = this;
    const begins =
      now.start >= 0 && !now.partial ? { begins: this.text.toString("latin1", now.start, now.start + headLength) } : {};
    if (!now.partial && now.inserts) this.rows.insert(this.text, now.start, this.decoder);
    now.partial ||= now.start >= 0;
    return { kind: "data", bytes: this.take(this.at), ...begins, ...(now.partial && { part: "some" as const }) };
  }

  private scanSql(last: boolean): Piece | undefined {
    const { text } = this;
    if (this.now.start >= 0 && !this.now.creates) this.at = skipPlain(text, this.at, this.now, this.standardStrings);
    const byte = text[this.at] ?? 0;
    const following = text[this.at + 1];
    if (following === undefined && !last && (byte === 0x0d || !(isSpace(byte) || byte === 0x3b))) return undefined;
    if (isSpace(byte)) {
      if (byte === 0x0d && following !== undefined && following !== newline)
        throw unlike("a carriage return in a line");
      this.at++;
    } else if (byte === 0x2d && following === 0x2d) this.quotation = { in: "line comment" };
    else if (byte === 0x2f && following === 0x2a) throw unlike("a comment between /* and */");
    else {
      if (this.now.start < 0 && this.inserted > 0 && !this.insertAhead())
        return { kind: "data", bytes: this.take(this.inserted) };
      if (byte === backslash) return this.command(last);
      return this.scanToken(byte, last);
    }
    return undefined;
  }

  /** Here is a token of a statement: its first one, or another. */
  private begin(word = ""): void {
    if (this.now.start < 0) this.now.begin(this.at, word, this.insertAhead());
  }

  private insertAhead(): boolean {
    return this.text.toString("latin1", this.at, this.at + 7) === "INSERT ";
  }

  /** One token of a statement. */
  private scanToken(byte: number, last: boolean): Piece | undefined {
    if (isWordStart(byte)) return this.word(last);
    if (byte === 0x24) return this.dollar(last);
    if (isWord(byte)) return this.number(last);
    this.begin();
    this.at++;
    if (byte === quoteMark) this.quotation = { in: "string", backslashes: !this.standardStrings };
    else if (byte === 0x22) this.quotation = { in: "identifier" };
    else if (byte === 0x28) this.now.open();
    else if (byte === 0x29) this.now.close();
    else if (byte === 0x3b && this.now.parentheses === 0 && this.now.blocks === 0) return this.statement(last);
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
    this.begin();
    this.at = end;
  }

  private word(last: boolean): undefined {
    const end = this.endOf(isWord);
    if (end + 1 >= this.text.length && !last) return;
    const word = end - this.at <= 9 ? this.text.toString("latin1", this.at, end).toUpperCase() : "";
    refuseVariable(this.text, this.at, end, this.now.partial);
    this.begin(word);
    this.at = end;
    const prefix = stringPrefix(word, this.text, this.at, this.standardStrings);
    if (prefix) {
      this.at += prefix.length;
      this.quotation = { in: "string", backslashes: prefix.backslashes };
    } else this.now.countWord(word);
  }

  private dollar(last: boolean): undefined {
    const end = this.endOf(isLetterOrDigit);
    if (end === this.text.length && !last) return;
    this.begin();
    const opens = this.text[end] === 0x24 && !/^\$\d/.test(this.text.toString("latin1", this.at, this.at + 2));
    if (!opens) {
      this.at = Math.max(this.at + 1, end);
      return;
    }
    this.quotation = { in: "dollar", tag: Buffer.from(this.text.subarray(this.at, end + 1)) };
    this.at = end + 1;
  }

  private scanQuoted(quotation: Quotation, last: boolean): undefined {
    const { at, ends } = passQuotation(quotation, this.text, this.at, last);
    this.at = at;
    if (ends) this.quotation = undefined;
  }

  private command(last: boolean): Piece | undefined {
    if (this.now.blocks > 0) throw openBody();
    if (this.now.start >= 0) throw strange("holds a psql command in the middle of a statement");
    const end = this.text.indexOf(newline, this.at);
    if (end < 0 && !last) return undefined;
    const stop = end < 0 ? this.text.length : end + 1;
    const text = this.text.toString("utf8", this.at, stop).trim();
    this.unlocked = text.startsWith("\\unrestrict ");
    return { kind: "command", text, bytes: this.take(stop) };
  }

  private statement(last: boolean): Piece | undefined {
    const { start, inserts, groups, partial } = this.now;
    if (inserts) {
      if (!partial) this.rows.insert(this.text, start, this.decoder);
      this.rows.inserted(groups);
    }
    const text = inserts || partial ? "" : this.decoder.decode(this.text.subarray(start, this.at));
    const table = copyTable(text);
    if (table !== undefined && !this.passLineEnd(last)) return undefined;
    this.now = new PresentStatement();
    if (inserts && !partial) {
      this.inserted = this.at;
      return undefined;
    }
    const bytes = this.take(this.at);
    if (partial) return { kind: "data", bytes, part: "last" };
    if (table !== undefined) {
      this.copying = this.beginsLine = true;
      this.rows.copy(table);
    }
    if (text.startsWith("SET ")) this.readSetting(text);
    return { kind: "statement", text, bytes };
  }

  /** Behind COPY … FROM stdin; false, and back before the semicolon, when more text is needed. */
  private passLineEnd(last: boolean): boolean {
    const [first, second] = this.text.subarray(this.at, this.at + 2);
    if (!last && (first === undefined || (first === 0x0d && second === undefined))) {
      this.at--;
      return false;
    }
    // psql takes the rest of the line for SQL and commands
    if (first !== newline && !(first === 0x0d && second === newline)) throw unlike("words behind COPY … FROM stdin;");
    this.at += first === newline ? 1 : 2;
    return true;
  }

  private readSetting(text: string): void {
    const strings = /^SET standard_conforming_strings = (\w+);$/.exec(text)?.[1];
    if (strings) this.standardStrings = strings !== "off";
    const encoding = /^SET client_encoding = '([^']*)';$/.exec(text)?.[1];
    if (!encoding) return;
    if (/^(SJIS|SHIFT_JIS_2004|BIG5|GBK|UHC|GB18030|JOHAB)$/i.test(encoding))
      throw strange(
        `is written in ${encoding}, in whose letters a byte can be that of a backslash`,
        "no database has this encoding: dump it again without --encoding",
      );
    this.decoder = decoderOf(encoding);
  }
}

/** Since the minor releases of August 2025 a line `\unrestrict` follows them. */
const lastWords = "\n-- PostgreSQL database dump complete";
