/** What a plain dump of pg_dump says, in a form in which the dumps of two equal databases are equal. */
import { type Comparing, digestOf, type Fingerprint, type ReadingOptions } from "../fingerprint.ts";
import { Lines } from "../lines.ts";
import type { RowSink } from "../row-digest.ts";
import { name, namesIn, qualified, unquoteQualified } from "./contents.ts";
import { isCleaning, isCronView, isOwnership } from "./filter.ts";
import { type Piece, splitStatements } from "./statements.ts";

const copy = new RegExp(String.raw`^COPY ${qualified}(?: \(([\s\S]*)\))? FROM stdin`);
const insertInto = new RegExp(String.raw`^INSERT INTO ${qualified} `);
/** Session settings and marks, which are no part of the database. */
const noContent =
  /^(SET |RESET |BEGIN;|COMMIT;|SELECT pg_catalog\.set_config\(|SELECT pg_catalog\.lo_close|SELECT \* FROM pg_catalog\.pg_restore_)/;
const setTablespace = /^SET default_tablespace = (.*);$/;
const setMethod = /^SET default_table_access_method = (.*);$/;
const setval = /^SELECT pg_catalog\.setval\('(.*)', (-?\d+, \w+)\);$/s;
const openObject = /^SELECT pg_catalog\.lo_open\('(\d+)'/;
const writeObject = /^SELECT pg_catalog\.lowrite\(/;
const asleep = new RegExp(String.raw`^ALTER EVENT TRIGGER ${name} DISABLE;$`);
const hasTablespace = /^CREATE (UNLOGGED )?TABLE|^CREATE MATERIALIZED|^CREATE (UNIQUE )?INDEX|ADD CONSTRAINT/;
const hasMethod = /^CREATE (UNLOGGED |FOREIGN )?TABLE|^CREATE MATERIALIZED/;

const dash = 0x2d;

export const comparing: Comparing = {
  async read(sql, options = {}) {
    const reading = new Reading(options);
    for await (const piece of splitStatements(sql)) reading.take(piece);
    return reading.end();
  },
  series: /\d+/,
  loosen,
  respellsRows: false,
  objectOf,
};

/** Whether a statement says nothing about the backup: the copy sleeps. */
const isOfCopy = (text: string): boolean => asleep.test(text) || isCronView(text);

class Reading {
  readonly #print: Fingerprint = { tables: new Map(), values: new Map(), statements: new Map() };
  readonly #sinkOf: (table: string) => RowSink | undefined;
  readonly #first: Fingerprint | undefined;
  readonly #leftOut: ReadonlySet<string>;
  readonly #noOwner: boolean;
  /** Rows of the COPY that is read now. */
  #rows: Lines | undefined;
  /** A dump with INSERTs: each line that is no comment counts as a row of the table that was named last. */
  readonly #inserts = new Lines((bytes, from, to) => this.#inserted(bytes, from, to));
  #table = "";
  #tablespace = "''";
  #method = "heap";
  #object = "";

  constructor({ first, sinkOf = () => undefined, leftOut = new Set(), noOwner = false }: ReadingOptions) {
    this.#first = first;
    this.#leftOut = leftOut;
    this.#noOwner = noOwner;
    this.#sinkOf = sinkOf;
  }

  end(): Fingerprint {
    this.#inserts.end();
    return this.#print;
  }

  take(piece: Piece): void {
    if (piece.kind === "statement") {
      this.#inserts.end();
      return this.#statement(piece.text);
    }
    if (piece.kind === "command") return;
    if (!piece.rows) return this.#inserts.add(piece.bytes);
    if (piece.rows === "some") this.#rows?.add(piece.bytes);
  }

  #statement(text: string): void {
    this.#rows = undefined;
    if (this.#leftOut.has(text) || isOfCopy(text) || (this.#noOwner && isOwnership(text))) return;
    const [, table, , , columns = ""] = copy.exec(text) ?? [];
    if (table !== undefined) return this.#begin(unquoteQualified(table), columns);
    // the copy has a tablespace of its own, whatever the database's was
    this.#tablespace = setTablespace.exec(text)?.[1]?.replace(/^pg_default$/, "''") ?? this.#tablespace;
    this.#method = setMethod.exec(text)?.[1] ?? this.#method;
    if (noContent.test(text) || isCleaning(text)) return;
    const [, sequence, value] = setval.exec(text) ?? [];
    if (sequence !== undefined) return void this.#print.values.set(`sequence ${sequence}`, value ?? "");
    if (this.#largeObject(text)) return;
    const { statements } = this.#print;
    const full = this.#withDefaults(text);
    statements.set(full, (statements.get(full) ?? 0) + 1);
  }

  #begin(table: string, columns: string): void {
    const names = namesIn(columns);
    const digest = digestOf(this.#print.tables, table, names);
    const sink = this.#sinkOf(table) ?? digest;
    // one table can have several COPY: with --load-via-partition-root each has the order of its partition
    const places = permutation((this.#first ?? this.#print).tables.get(table)?.columns, names);
    this.#rows = new Lines((bytes, from, to) => {
      const row = places && reordered(bytes, from, to, places);
      sink.add(row ?? bytes, row ? 0 : from, row ? row.length : to);
    }, places !== undefined);
  }

  /** Large objects as a chain over their chunks: as a set of statements, swapped contents would go unseen. */
  #largeObject(text: string): boolean {
    const { values } = this.#print;
    const opened = openObject.exec(text)?.[1];
    if (opened !== undefined) {
      this.#object = `large object ${opened}`;
      values.set(this.#object, "empty");
      return true;
    }
    if (!writeObject.test(text)) return false;
    const before = values.get(this.#object) ?? "";
    values.set(this.#object, `contents ${Bun.hash.xxHash3(`${before} ${text}`).toString(16)}`);
    return true;
  }

  #inserted(bytes: Buffer, from: number, to: number): void {
    if (to === from || (bytes[from] === dash && bytes[from + 1] === dash)) return;
    const table = insertInto.exec(bytes.toString("latin1", from, Math.min(to, from + 300)))?.[1];
    if (table !== undefined) this.#table = unquoteQualified(Buffer.from(table, "latin1").toString());
    const digest = digestOf(this.#print.tables, this.#table, []);
    (this.#sinkOf(this.#table) ?? digest).add(bytes, from, to);
  }

  /** With the settings that decide where and how a table is made. */
  #withDefaults(text: string): string {
    const tablespace = hasTablespace.test(text) && this.#tablespace !== "''" ? `[tablespace ${this.#tablespace}] ` : "";
    const method = hasMethod.test(text) && this.#method !== "heap" ? `[access method ${this.#method}] ` : "";
    return tablespace + method + text;
  }
}

/** For each field of the first dump's row, its place in this one's; undefined when they have the same order. */
function permutation(first: readonly string[] | undefined, second: readonly string[]): number[] | undefined {
  if (!first || first.length !== second.length || first.every((column, index) => column === second[index]))
    return undefined;
  const places = first.map((column) => second.indexOf(column));
  return places.includes(-1) ? undefined : places;
}

/** The row with its fields at other places. */
function reordered(bytes: Buffer, from: number, to: number, places: readonly number[]): Buffer {
  const fields = bytes.toString("latin1", from, to).split("\t");
  return Buffer.from(places.map((place) => fields[place] ?? "").join("\t"), "latin1");
}

const cast =
  /::(?:"(?:[^"]|"")*"\.?|[a-z_][\w.]*)+(?: (?:varying|precision|with(?:out)? time zone))?(?:\(\d+(?:,\d+)?\))?(?: with(?:out)? time zone)?(?:\[\])*(?: AS "?(?:text|int4|int8|numeric)"?(?=[,\s;]))?/g;

const child = /^(CREATE (?:UNLOGGED |FOREIGN )?TABLE [^\n]*\()\n([\s\S]*)\n(\)\nINHERITS [\s\S]*)$/;

/**
 * `x IN ('a', 'b')` is deparsed differently once, and is stable then. So is a constant without a name in the body of a function: read back,
 * 'a'::text has the name of its type. A child table's columns may have another order.
 */
function loosen(statement: string): string {
  const [, begin = "", columns = "", end = ""] = child.exec(statement) ?? [];
  const sorted = begin && [begin, ...columns.split(/,?\n/).toSorted(), end].join(",");
  return (sorted || statement).replaceAll(cast, "").replaceAll(/[()\s]+/g, "");
}

const made =
  /^(?:\[.*?\] )*(CREATE (?:OR REPLACE )?(?:UNIQUE |UNLOGGED |FOREIGN |MATERIALIZED |EVENT |CONSTRAINT |TEXT SEARCH |ACCESS )?\w+(?: MAPPING)? (?:IF NOT EXISTS )?(?:"(?:[^"]|"")*"|[^\s("]+)+|ALTER TABLE (?:ONLY )?\S+\s+ADD CONSTRAINT (?:"(?:[^"]|"")*"|\S+)|COMMENT ON \w+ \S+)/;

function objectOf(statement: string): string | undefined {
  return made.exec(statement)?.[0].replaceAll('"', "").replaceAll(/\s+/g, " ").replace("ONLY ", "");
}
