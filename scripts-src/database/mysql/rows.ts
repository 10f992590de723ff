/** The rows of an INSERT: only literal values, so that clients and servers of every kind see in them what we see. */
import { Joined } from "../lines.ts";
import { strange } from "../read-dump.ts";
import type { RowSink } from "../row-digest.ts";
import { anyName } from "./words.ts";

const [quote, backslash, opening, closing, comma, semicolon, minus] = [0x27, 0x5c, 0x28, 0x29, 0x2c, 0x3b, 0x2d];

/** `INSERT INTO t (a, b) VALUES`, before the first row. */
export const insertHead = new RegExp(
  `^(?:INSERT|REPLACE)(?:\\s+(?:IGNORE|DELAYED|LOW_PRIORITY))*(?:\\s+INTO)?\\s+(${anyName})\\s*(?:\\(\\s*${anyName}(?:\\s*,\\s*${anyName})*\\s*\\)\\s*)?VALUES\\s*(?=\\()`,
  "i",
);

/** What dump programs call in a row; phpMyAdmin does. */
const call = /(?:geom\w*from\w+|unhex|from_base64|current_timestamp|now)\s*$/i;
const callLength = 40;

/** Bytes that mean something in a row. */
const special = new Uint8Array(256);
for (const sign of "'\"`()-/#\\;@\0") special[sign.charCodeAt(0)] = 1;

export class Rows {
  /** Rows that have begun. */
  count = 0;
  /** The statement has come to its end. */
  ended = false;
  /** Where, in what was read last, the last comma between two rows ends; 0 if there is none. */
  cut = 0;
  private depth = 0;
  private inString = false;
  /** Bytes of the next chunk that belong to an escape. */
  private skip = 0;
  /** The end of the last chunk. */
  private before = "";

  /** A backslash in a string escapes. */
  private readonly backslashes: boolean;
  /** Gets every row, parentheses included. */
  private readonly take: RowSink["add"] | undefined;
  /** Where the row at hand begins in the text. */
  private start = 0;
  private readonly earlier = new Joined();

  constructor(backslashes: boolean, sink?: RowSink) {
    this.backslashes = backslashes;
    this.take = sink?.add.bind(sink);
  }

  /** Reads on from `from`; returns how far: behind the end of the statement, or as far as is certain. Throws `Failure`. */
  read(text: Buffer, from: number): number {
    let at = from + this.skip;
    this.skip = 0;
    this.start = from;
    this.cut = 0;
    const { length } = text;
    while (at < length) {
      if (this.inString) at = this.string(text, at);
      else if (this.depth === 0) at = this.between(text, at);
      else {
        while (at < length && special[text[at] as number] === 0) at++;
        if (at < length) {
          const next = this.mark(text, at);
          if (next === at) break;
          at = next;
        }
      }
      if (this.ended) return at;
    }
    if (at > length) this.skip = at - length;
    const end = Math.min(at, length);
    if (this.depth > 0 && this.take) this.earlier.add(text, this.start, end);
    this.before = text.toString("latin1", Math.max(from, end - callLength), end);
    return end;
  }

  /** In a string: behind its end, or the end of the text. */
  private string(text: Buffer, from: number): number {
    let at = from;
    const { length } = text;
    if (this.backslashes) while (at < length && text[at] !== quote) at += text[at] === backslash ? 2 : 1;
    else at = text.indexOf(quote, at);
    if (at < 0) return length;
    if (at >= length) return at;
    this.inString = false;
    return at + 1;
  }

  /** Between rows. */
  private between(text: Buffer, from: number): number {
    const byte = text[from] as number;
    if (byte === opening) {
      this.depth = 1;
      this.count++;
      this.start = from;
    } else if (byte === semicolon) this.ended = true;
    else if (byte === comma) this.cut = from + 1;
    else if (byte !== 0x20 && (byte < 0x09 || byte > 0x0d)) throw unusual(text, from);
    return from + 1;
  }

  /** A byte that means something; `at` itself when more text is needed to know what. */
  private mark(text: Buffer, at: number): number {
    const byte = text[at];
    if (byte === quote) this.inString = true;
    else if (byte === closing) {
      this.depth--;
      if (this.depth === 0 && this.take) this.earlier.finish(text, this.start, at + 1, this.take);
    } else if (byte === opening) {
      const before = this.before + text.toString("latin1", Math.max(0, at - callLength), at);
      if (!call.test(before)) throw unusual(text, at);
      this.depth++;
    } else if (byte === minus || byte === backslash) {
      if (at + 1 >= text.length) return at;
      if (text[at + 1] === (byte === minus ? minus : 0x4e)) {
        if (byte === minus) throw unusual(text, at);
      } else if (byte === backslash) throw unusual(text, at);
    } else throw unusual(text, at);
    return at + 1;
  }
}

const unusual = (text: Buffer, at: number) =>
  strange(
    `holds an INSERT with something that is no value, near ${JSON.stringify(text.toString("latin1", at, at + 1))}`,
  );
