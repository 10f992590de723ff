/**
 * Loads a dump over several sessions, as fast as the server's cores allow: the rows of each table in turns, then indexes side
 * by side; all else in the dump's order, one statement after the other. Committed in short steps: only for a database that nobody
 * sees before all of it is done.
 */
import { counted } from "../../base/text.ts";
import { messageOf } from "../../base/errors.ts";
import { compareRows } from "../compare-rows.ts";
import type { Loaded } from "../restoring.ts";
import { name, qualified } from "./contents.ts";
import { loadFilter } from "./filter.ts";
import { copyTable } from "./row-counts.ts";
import { type Course, Lane, type SessionSettings, type Unit } from "./lane.ts";
import { expectedRows, type Loading, ourEncoding, piecesToLoad, refreshedView, viewWithoutRows } from "./load.ts";
import { counting } from "./names.ts";
import { withoutTimeouts, writable } from "./query.ts";
import { Session } from "./session.ts";
import type { Piece } from "./statements.ts";

/** Rows go to one lane for so long (bytes); a row that is longer than the second number is passed on as it comes. */
const [turnBytes, longestKept] = [1 << 20, 8 << 20];
const newline = 0x0a;
/** So much is postponed at most (bytes), and only rows that a check or a function refused. */
const mostPostponed = 32 << 20;
const checked = /violates check constraint|CONTEXT: [^]*function/;

/** What the lanes do at a time: a change waits until all of them are done. */
type Phase = "statements" | "rows" | "indexes";

const setting = /^(?:SET|RESET) (?:SESSION )?(\w+)|^SELECT pg_catalog\.set_config\('(\w+)'/;
const key = new RegExp(
  String.raw`^ALTER TABLE (?:ONLY )?${qualified}\s+ADD CONSTRAINT ${name} (?:PRIMARY KEY|UNIQUE) `,
);
const isIndex = (text: string) => /^CREATE (UNIQUE )?INDEX /.test(text) || key.test(text);

/** The exchange that follows is durable, and with it everything that was committed before. */
const settings = ["SET synchronous_commit = off;", withoutTimeouts("session"), writable.trim()];

/**
 * Loads a dump into a database of its own, over so many `sessions`. Throws a `Failure`, also when rows differ (unless `keepGoing`); then
 * the database may hold any part of the dump.
 */
export async function loadSpread(
  sql: AsyncIterable<Uint8Array>,
  loading: Loading,
  { sessions, keepGoing }: { sessions: number; keepGoing: boolean },
): Promise<Loaded> {
  const { connection, contents, rules, prelude } = loading;
  const what = () => `the restore into ${connection.where} failed`;
  const filter = loadFilter(rules);
  const report = new Report(keepGoing);
  const postponed = new Postponed();
  const open = () => new Session(connection, what, { counts: true });
  const course: Course = { ...report.course, open, postpones: postponed.takes };
  const lanes = new Lanes(
    Array.from({ length: sessions }, () => new Lane(course)),
    postponed,
  );
  try {
    for (const statement of settings) lanes.setting(statement);
    for (const statement of prelude) await lanes.statement(statement);
    for await (const { piece, bytes } of piecesToLoad(sql, filter)) await lanes.take(piece, bytes);
    lanes.setting(ourEncoding);
    await lanes.loaded();
    for (const table of report.uncounted(contents.rows?.keys() ?? []))
      await lanes.statement(counting(table), { table });
    for (const statement of filter.atTheEnd()) await lanes.statement(statement);
    await lanes.end();
  } catch (error) {
    await lanes.stop();
    throw error;
  }
  const loaded = report.loaded();
  if (!keepGoing) compareRows(expectedRows(loading), loaded.rows);
  return {
    ...loaded,
    warnings: [...filter.warnings, ...loaded.warnings],
    leftOut: [...filter.leftOut, ...loaded.leftOut],
  };
}

/** What the lanes have to say about a load. */
class Report {
  readonly #rows = new Map<string, number>();
  readonly #warnings: string[] = [];
  readonly #skipped: string[] = [];
  readonly #leftOut: string[] = [];
  /** Rows of each table that could not be loaded, and why the first of them could not. */
  readonly #lostRows = new Map<string, { rows: number; why: string }>();
  readonly course: Omit<Course, "open" | "postpones">;

  constructor(keepGoing: boolean) {
    this.course = {
      loaded: (table, rows) => void this.#rows.set(table, (this.#rows.get(table) ?? 0) + rows),
      halve: (unit) => (keepGoing && unit.table !== undefined ? halves(unit) : undefined),
      skips: (unit, error) => {
        const view = refreshedView(unit.text);
        if (view !== undefined) {
          this.#warnings.push(viewWithoutRows(view, reasonOf(error)));
          this.#leftOut.push(unit.text.trim());
        } else if (keepGoing) this.#skip(unit, error);
        return view !== undefined || keepGoing;
      },
    };
  }

  #skip({ table, text }: Unit, error: unknown): void {
    if (table === undefined) {
      this.#skipped.push(`${text.split("\n")[0]?.slice(0, 120)}: ${reasonOf(error)}`);
      return;
    }
    const lost = this.#lostRows.get(table);
    this.#lostRows.set(table, { rows: (lost?.rows ?? 0) + 1, why: lost?.why ?? reasonOf(error) });
  }

  /** Tables whose rows came without an answer that counts them. */
  uncounted(tables: Iterable<string>): string[] {
    return [...tables].filter((table) => !this.#rows.has(table) && !this.#lostRows.has(table));
  }

  loaded(): Loaded {
    // by table: which session was faster says nothing
    const lost = [...this.#lostRows]
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .map(([table, { rows, why }]) => `${counted(rows, "row")} of ${table}, the first: ${why}`);
    return { rows: this.#rows, warnings: this.#warnings, skipped: [...lost, ...this.#skipped], leftOut: this.#leftOut };
  }
}

/** The server's words without what was attempted. */
const reasonOf = (error: unknown): string =>
  messageOf(error)
    .replace(/^.*? failed: /, "")
    .split("\n")[0] ?? "";

/** Undefined for a single row. */
function halves({ sql, text, table }: Unit): [Unit, Unit] | undefined {
  const [statement = "", , ...parts] = sql;
  const rows = Buffer.concat(parts.slice(0, -1).map((part) => Buffer.from(part)));
  const middle = rows.indexOf(newline, rows.length >> 1) + 1;
  const cut = middle > 0 && middle < rows.length ? middle : rows.indexOf(newline) + 1;
  if (cut === 0 || cut === rows.length) return undefined;
  const unit = (part: Buffer) => copyUnit(statement, text, table ?? "", [part]);
  return [unit(rows.subarray(0, cut)), unit(rows.subarray(cut))];
}

const copyUnit = (statement: string | Uint8Array, text: string, table: string, rows: readonly Uint8Array[]): Unit => ({
  text,
  table,
  sql: [statement, "\n", ...rows, "\\.\n"],
  bytes: rows.reduce((sum, part) => sum + part.length, 0),
});

/**
 * Rows that a check has refused. A function that a check calls can look into a table whose rows come later in the dump, which has its
 * tables in alphabetical order.
 */
class Postponed {
  #units: { unit: Unit; settings: SessionSettings }[] = [];
  #bytes = 0;
  #last = false;

  readonly takes = (unit: Unit, settings: SessionSettings, error: unknown): boolean => {
    const late = unit.table !== undefined && checked.test(messageOf(error));
    if (!late || this.#last || this.#bytes + unit.bytes > mostPostponed) return false;
    this.#units.push({ unit, settings });
    this.#bytes += unit.bytes;
    return true;
  };

  /** Tries them again as long as that helps; the last try is the one that reports what is wrong. */
  async retry(lane: Lane): Promise<void> {
    for (let [units, before] = [this.#give(), Infinity]; units.length > 0; units = this.#give()) {
      this.#last = units.length >= before;
      before = units.length;
      for (const { unit, settings } of units) {
        lane.again(unit, settings);
        await lane.settled();
      }
    }
    this.#last = false;
  }

  #give() {
    const units = this.#units;
    [this.#units, this.#bytes] = [[], 0];
    return units;
  }
}

/** The COPY whose rows come now. */
interface Copying {
  statement: Uint8Array;
  text: string;
  table: string;
  rows: Uint8Array[];
  bytes: number;
  started: boolean;
  /** Gets a row that is too long to be kept. */
  direct?: { lane: Lane; session: Session } | undefined;
}

/** The lanes of a load. */
class Lanes {
  readonly #lanes: readonly Lane[];
  readonly #first: Lane;
  readonly #postponed: Postponed;
  #phase: Phase = "statements";
  #copy: Copying | undefined;
  /** Gets what comes in parts. */
  #direct: Session | undefined;
  #inTransaction = false;

  constructor(lanes: readonly Lane[], postponed: Postponed) {
    const [first] = lanes;
    if (!first) throw new Error("no lane");
    this.#postponed = postponed;
    this.#lanes = lanes;
    this.#first = first;
  }

  /** What a piece of the dump asks for; `bytes` are what the filter made of it. */
  async take(piece: Piece, bytes: Uint8Array): Promise<void> {
    if (piece.kind === "data") {
      if (piece.rows) return this.#rows(bytes, piece.rows);
      if (this.#inTransaction) return this.#part(bytes, "some");
      return piece.part ? this.#part(bytes, piece.part) : this.statement(bytes);
    }
    if (this.#inTransaction || piece.text === "BEGIN;") return this.#transaction(piece.text, bytes);
    if (setting.test(piece.text)) return this.setting(piece.text, Buffer.from(bytes).toString().trim());
    const table = copyTable(piece.text);
    if (table !== undefined) return this.#begin(piece.text, bytes, table);
    return isIndex(piece.text) ? this.#index(piece.text, bytes) : this.statement(bytes, { text: piece.text });
  }

  /** What each session must know; `statement` is what the filter made of `text`. */
  setting(text: string, statement = text): void {
    const found = setting.exec(text);
    for (const lane of this.#lanes) lane.set(found?.[1] ?? found?.[2] ?? text, statement);
  }

  async statement(bytes: string | Uint8Array, about: { text?: string; table?: string } = {}): Promise<void> {
    await this.#enter("statements");
    const text = Buffer.from(bytes.slice(0, 200)).toString().trim();
    this.#first.add({ text, ...about, sql: [bytes], bytes: bytes.length });
    await this.#first.ready();
  }

  /** Resolves when everything that was given so far is in the database, and counted. */
  async loaded(): Promise<void> {
    await this.#enter("statements");
    await this.#settled();
  }

  async end(): Promise<void> {
    await this.loaded();
    await Promise.all(this.#lanes.map((lane) => lane.end()));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane.stop()));
  }

  async #settled(): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane.settled()));
  }

  async #enter(phase: Phase): Promise<void> {
    if (phase === this.#phase) return;
    await this.#settled();
    if (this.#phase === "rows") await this.#postponed.retry(this.#first);
    this.#phase = phase;
  }

  /** A transaction of the dump: it holds the contents of large objects, which may be too long to be kept. */
  async #transaction(text: string, bytes: Uint8Array): Promise<void> {
    this.#inTransaction = text !== "COMMIT;";
    await this.#part(bytes, this.#inTransaction ? "some" : "last");
  }

  /** A part of something that is too long to be kept. */
  async #part(bytes: Uint8Array, which: "some" | "last"): Promise<void> {
    await this.#enter("statements");
    this.#direct ??= await this.#first.direct();
    this.#direct.write(bytes);
    await this.#direct.ready();
    if (which === "some") return;
    await this.#direct.settled();
    this.#direct = undefined;
  }

  async #begin(text: string, statement: Uint8Array, table: string): Promise<void> {
    await this.#enter("rows");
    this.#copy = { statement, text, table, rows: [], bytes: 0, started: false };
  }

  /** Rows, cut between two of them where the next lane has its turn. */
  async #rows(bytes: Uint8Array, which: "some" | "last"): Promise<void> {
    const copy = this.#copy;
    if (!copy) throw new Error("rows without a COPY");
    const rest = rowsOf(copy, bytes, which);
    const end = copy.bytes + rest.length < turnBytes && !copy.direct ? 0 : rest.lastIndexOf(newline) + 1;
    keep(copy, rest.subarray(0, end));
    if (end > 0 || copy.bytes > longestKept) await this.#turn(copy, end > 0);
    keep(copy, rest.subarray(end));
    if (which === "some") return;
    if (copy.bytes > 0 || copy.direct) await this.#turn(copy, true);
    this.#copy = undefined;
  }

  /** Gives what has been kept to the first lane that is ready; `ends`: with complete rows. */
  async #turn(copy: Copying, ends: boolean): Promise<void> {
    const { statement, text, table, rows } = copy;
    if (!copy.direct && ends) {
      const lane = await this.#free();
      lane.add(copyUnit(statement, text, table, rows));
      if (copy.bytes >= turnBytes) lane.flush();
    } else {
      copy.direct ??= await this.#openDirect(statement);
      const { session } = copy.direct;
      session.write(...rows);
      await session.ready();
      if (ends) await this.#closeDirect(copy, session);
    }
    [copy.rows, copy.bytes] = [[], 0];
  }

  async #openDirect(statement: Uint8Array) {
    const session = await this.#first.direct();
    session.write(statement, "\n");
    return { lane: this.#first, session };
  }

  async #closeDirect(copy: Copying, session: Session): Promise<void> {
    session.write("\\.\n");
    const [rows] = await session.copied();
    this.#first.loaded(copy.table, rows);
    copy.direct = undefined;
  }

  async #free(): Promise<Lane> {
    await Promise.race(this.#lanes.map((lane) => lane.ready()));
    return this.#lanes.reduce((best, lane) => (lane.weight < best.weight ? lane : best), this.#first);
  }

  /** An index is built by the first lane that has none to build. */
  async #index(text: string, bytes: Uint8Array): Promise<void> {
    await this.#enter("indexes");
    const idle = () => this.#lanes.find((lane) => lane.idle);
    if (!idle()) await Promise.race(this.#lanes.map((lane) => lane.settled()));
    const lane = idle() ?? this.#first;
    lane.add({ text, sql: [bytes], bytes: bytes.length });
    lane.flush();
  }
}

/** What of a piece are rows: the newline before the first of them and the line `\.` behind the last are not. */
function rowsOf(copy: Copying, bytes: Uint8Array, which: "some" | "last"): Buffer {
  let rest = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (which === "last") rest = rest.subarray(0, rest.lastIndexOf("\\."));
  if (copy.started) return rest;
  const start = bytes.indexOf(newline);
  copy.started = start >= 0;
  return rest.subarray(start < 0 ? rest.length : Math.min(start + 1, rest.length));
}

function keep(copy: Copying, rows: Uint8Array): void {
  if (rows.length === 0) return;
  copy.rows.push(rows);
  copy.bytes += rows.length;
}
