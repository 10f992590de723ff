/**
 * Splits the SQL of a dump into statements by the rules of MySQL's and MariaDB's command-line clients (add_line in
 * client/mysql.cc): quotes, comments, DELIMITER lines. Needed because a load must leave out or change single statements
 * and must never touch what only looks like one. What dump programs never write is refused.
 */
import { Failure } from "../../base/errors.ts";
import { judge, namesDatabase, withoutEnd, divertedTable, everyTable, tooLate } from "./allowed.ts";
import { cutOff, piecesOf, strange } from "../read-dump.ts";
import type { RowSink } from "../row-digest.ts";
import { insertHead, Rows } from "./rows.ts";
import { changeModes, firstRules, type QuoteRules, unreadable } from "./words.ts";
import { unquote } from "./names.ts";

export type Piece =
  /** A complete statement from its first word on; `delimiter` ended it: ";" or what DELIMITER said. A load can leave it out. */
  | {
      kind: "statement";
      bytes: Buffer;
      delimiter: string;
      leftOut: boolean;
      namesDatabase: boolean;
    }
  /** An INSERT or a part of one, with its `;`. It can be cut behind so many bytes (0: nowhere), and goes on by its `head`. */
  | { kind: "rows"; bytes: Buffer; first: boolean; last: boolean; table: string; cut: number; head: Buffer }
  /** White space and comments between statements, and lines with DELIMITER. */
  | { kind: "between"; bytes: Buffer };

/** Bytes of the longest statement that is no INSERT, and of the longest beginning of an INSERT (4,096 names of columns). */
const [longestStatement, longestHead] = [1 << 24, 1 << 20];
/** Bytes of an INSERT that are read at once. For parts of this size servers take up to a quarter less time than for a megabyte. */
const longPart = 131_072;
const [newline, backslash] = [0x0a, 0x5c];
const isSpace = (byte: number | undefined) => byte === 0x20 || (byte !== undefined && byte >= 0x09 && byte <= 0x0d);
/** The first line of MariaDB's dumps since May 2024, a command to its own client. */
const sandbox = /^\/\*M?!999999\\- enable the sandbox mode \*\//;
/** What DELIMITER lines of dump programs say. */
const delimiters = /^(?:;;?|\/\/|\$\$|\|\|?)$/;

/** Yields the pieces of `source` in order; their bytes, with the delimiters, are `source` again. Throws `Failure`. */
export const splitStatements = (source: AsyncIterable<Uint8Array>): AsyncGenerator<Piece> =>
  piecesOf(new Scanner(), source);

export class Scanner {
  private text: Buffer = Buffer.alloc(0);
  private at = 0;
  private last = false;
  private inStatement = false;
  /** Only white space stands between the last newline and here. */
  private atLineStart = true;
  /** Within a statement: what the next byte belongs to; a quote mark, or a comment by the bytes that end it. */
  private within: number | "\n" | "*/" | undefined;
  private delimiter = ";";
  /** Of the INSERT at hand: its rows, its table, whether a part of it was already passed on, and its bytes since the last cut. */
  private insert: { rows: Rows; table: string; first: boolean; uncut: number } | undefined;
  private rules: QuoteRules = firstRules;
  /** How the last INSERT began: most begin as the one before. */
  private lastHead = { bytes: Buffer.alloc(0), table: "" };
  /** Tables, in small letters, into which no more rows may come. */
  private readonly diverted = new Set<string>();
  /** Rows of each table so far. */
  readonly rows = new Map<string, number>();
  private readonly sinkOf: (table: string) => RowSink | undefined;

  /** `sinkOf` names the sink that gets every row of a table. */
  constructor(sinkOf: (table: string) => RowSink | undefined = () => undefined) {
    this.sinkOf = sinkOf;
  }

  add(chunk: Uint8Array): void {
    const more = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    this.text = this.text.length === 0 ? more : Buffer.concat([this.text, more]);
  }

  /** What is complete; with `last`, everything. */
  *pieces(last: boolean): Generator<Piece> {
    this.last = last;
    for (let piece = this.next(); piece; piece = this.next()) yield piece;
    if (!last) return;
    if (this.inStatement) throw withoutEnd(this.text.toString("latin1"));
    if (this.text.length > 0) yield { kind: "between", bytes: this.take(this.text.length) };
  }

  private next(): Piece | undefined {
    if (!this.inStatement) {
      const piece = this.between();
      if (piece || !this.inStatement) return piece;
    }
    if (!this.insert && this.at === 0 && this.delimiter === ";" && this.startsInsert()) {
      if (this.text.length < longestHead && !this.last) return undefined;
      throw this.text.includes(";") ? this.refuse() : cutOff();
    }
    return this.insert ? this.insertPart(this.insert) : this.statement();
  }

  /** Whether the statement at hand is an INSERT of which no row has come yet. */
  private startsInsert(): boolean {
    const { bytes, table } = this.lastHead;
    if (bytes.length > 0 && this.text[bytes.length] === 0x28 && this.text.subarray(0, bytes.length).equals(bytes))
      return this.beginRows(table, bytes.length);
    if (!/^(?:INSERT|REPLACE)\s/i.test(this.text.toString("latin1", 0, 10))) return false;
    let found: RegExpExecArray | null = null;
    for (const length of [200, 8192, longestHead]) found ??= insertHead.exec(this.text.toString("latin1", 0, length));
    if (!found) return true;
    if (this.rules.halves) throw unreadable();
    const { length } = found[0];
    this.lastHead = { bytes: Buffer.from(this.text.subarray(0, length)), table: unquote(found[1] ?? "") };
    return this.beginRows(this.lastHead.table, length);
  }

  private beginRows(table: string, at: number): false {
    if (this.diverted.has(everyTable) || this.diverted.has(table.toLowerCase())) throw tooLate(table);
    this.insert = { rows: new Rows(this.rules.backslashes, this.sinkOf(table)), table, first: true, uncut: 0 };
    this.at = at;
    return false;
  }

  /** What has come of an INSERT. */
  private insertPart(insert: NonNullable<Scanner["insert"]>): Piece | undefined {
    const { rows, table, first } = insert;
    const end = rows.read(this.text.subarray(0, this.at + longPart), this.at);
    if (end === 0) return undefined;
    insert.uncut += end;
    const cut = insert.uncut >= longPart / 2 ? rows.cut : 0;
    if (cut > 0) insert.uncut = end - cut;
    insert.first = false;
    if (rows.ended) {
      this.rows.set(table, (this.rows.get(table) ?? 0) + rows.count);
      this.insert = undefined;
      this.inStatement = false;
      this.atLineStart = false;
    }
    return { kind: "rows", bytes: this.take(end), first, last: rows.ended, table, cut, head: this.lastHead.bytes };
  }

  private refuse(): Failure {
    try {
      judge(this.text.toString("latin1", 0, 4096), this.rules);
    } catch (error) {
      if (error instanceof Failure) return error;
    }
    return unreadable();
  }

  private take(end: number): Buffer {
    const bytes = this.text.subarray(0, end);
    this.text = this.text.subarray(end);
    this.at = 0;
    return bytes;
  }

  /** Up to the first word of the next statement, or a DELIMITER line. */
  private between(): Piece | undefined {
    while (this.at < this.text.length) {
      const byte = this.text[this.at];
      if (isSpace(byte)) {
        if (byte === newline) this.atLineStart = true;
        this.at++;
        continue;
      }
      if (this.lacks(64)) return undefined; // the longest thing that is looked for here
      const ahead = this.text.toString("latin1", this.at, this.at + 64);
      if (/^(#|--|\/\*(?!M?!))/.test(ahead) || sandbox.test(ahead)) {
        const end = ahead.startsWith("/*") ? this.find("*/", this.at + 2) : this.find("\n", this.at);
        if (end < 0) return undefined;
        this.at = end;
        this.atLineStart = this.text[end - 1] === newline;
      } else {
        const isCommand = this.atLineStart && /^delimiter[ \t]/i.test(ahead);
        if (this.at > 0) return { kind: "between", bytes: this.take(this.at) };
        if (isCommand) return this.delimiterLine();
        this.inStatement = true;
        return undefined;
      }
    }
    return undefined;
  }

  private delimiterLine(): Piece | undefined {
    const end = this.find("\n", 0);
    if (end < 0) return undefined;
    this.delimiter = /^\w+[ \t]+(\S+)/.exec(this.text.toString("latin1", 0, end))?.[1] ?? ";";
    if (!delimiters.test(this.delimiter)) throw clientCommand(`DELIMITER ${this.delimiter.slice(0, 20)}`);
    this.atLineStart = true;
    return { kind: "between", bytes: this.take(end) };
  }

  /** Up to the delimiter. */
  private statement(): Piece | undefined {
    while (this.at < this.text.length) {
      if (this.within !== undefined) {
        if (!this.skipWithin(this.within)) break;
      } else if (!this.skipPlain()) break;
      else if (this.startsWith(this.delimiter)) return this.endStatement();
      else this.skipSpecial();
    }
    if (this.at > longestStatement) throw this.refuse();
    return undefined;
  }

  /** Moves on to a byte that may mean something, into a quotation at once; false when more text is needed to know. */
  private skipPlain(): boolean {
    const { text } = this;
    const first = this.delimiter.charCodeAt(0);
    let { at } = this;
    while (at < text.length && special[text[at] ?? 0] === 0 && text[at] !== first) at++;
    this.at = at;
    const byte = text[at];
    if (byte === 0x22 || byte === 0x27 || byte === 0x60) {
      this.within = byte;
      this.at++;
      return this.skipQuote(byte) && this.skipPlain();
    }
    return byte !== undefined && !this.lacks(Math.max(4, this.delimiter.length));
  }

  /** What a special byte outside quotes and comments begins. */
  private skipSpecial(): void {
    const ahead = this.text.toString("latin1", this.at, this.at + 4);
    if (ahead.startsWith("#") || /^--(?:[\t-\r ]|$)/.test(ahead)) this.within = "\n";
    else if (/^\/\*(?!M?!)/.test(ahead)) this.within = "*/";
    else if (ahead.startsWith("\\") && ahead[1] !== "N") throw clientCommand(ahead.slice(0, 2));
    this.at += this.within === "*/" ? 2 : 1;
  }

  /** Moves behind the end of a quotation or comment, or as far as is certain; false when the end has not come yet. */
  private skipWithin(end: number | "\n" | "*/"): boolean {
    if (typeof end === "number") return this.skipQuote(end);
    const behind = this.find(end, this.at);
    if (behind >= 0) this.within = undefined;
    this.at = behind >= 0 ? behind : Math.max(this.at, this.text.length - 1);
    return behind >= 0;
  }

  /** A doubled quote mark ends one string and begins the next: the same to us. */
  private skipQuote(quote: number): boolean {
    const { text, rules } = this;
    const escapes = quote !== 0x60 && rules.backslashes && !(quote === 0x22 && rules.ansiQuotes);
    let { at } = this;
    if (escapes) while (at < text.length && text[at] !== quote) at += text[at] === backslash ? 2 : 1;
    else at = text.indexOf(quote, at);
    const closed = at >= 0 && at < text.length;
    // an escape that is cut in two is looked at again
    const cut = escapes && at > text.length;
    if (closed) this.within = undefined;
    this.at = closed ? at + 1 : text.length - (cut ? 1 : 0);
    return closed;
  }

  private endStatement(): Piece {
    const bytes = this.take(this.at);
    const delimiter = this.take(this.delimiter.length).toString("latin1");
    this.inStatement = false;
    this.atLineStart = false;
    const text = bytes.toString("latin1");
    if (this.rules.halves && /[\x81-\xfe][\\`]/.test(text)) throw unreadable();
    const leftOut = judge(text, this.rules) === "leave out";
    const piece: Piece = {
      kind: "statement",
      bytes,
      delimiter,
      leftOut,
      namesDatabase: namesDatabase(text, this.rules),
    };
    if (leftOut) return piece;
    const diverted = divertedTable(text, this.rules);
    if (diverted !== undefined) this.diverted.add(diverted.toLowerCase());
    this.lastHead = { bytes: Buffer.alloc(0), table: "" };
    this.rules = changeModes(this.rules, text);
    return piece;
  }

  /** Fewer than `count` bytes are there, and more will come. */
  private lacks(count: number): boolean {
    return !this.last && this.at + count > this.text.length;
  }

  private startsWith(word: string): boolean {
    return this.text.toString("latin1", this.at, this.at + word.length) === word;
  }

  /** Offset behind the next `mark`, or the end of the last text for a newline; -1 when it has not come. */
  private find(mark: "\n" | "*/", from: number): number {
    const found = this.text.indexOf(mark, from);
    if (found >= 0) return found + mark.length;
    return this.last && mark === "\n" ? this.text.length : -1;
  }
}

/** Bytes that may mean something outside quotes: quote marks and what begins comments and commands. */
const special = new Uint8Array(256);
for (const sign of "'\"`#-/\\") special[sign.charCodeAt(0)] = 1;

const clientCommand = (command: string) =>
  strange(`holds the command ${command} of the command-line client, which a restore does not run`);
