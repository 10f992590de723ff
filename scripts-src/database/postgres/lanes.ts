/**
 * Loads a dump over several sessions, as fast as the server's cores allow: the rows of each table in turns, then indexes side
 * by side; all else in the dump's order, one statement after the other. Committed in short steps: only for a database that nobody
 * sees before all of it is done.
 */
import { type Loaded, compareRows } from "../restoring.ts";
import { name, qualified, copyTable } from "./contents.ts";
import { LoadFilter } from "./filter.ts";
import { Lane } from "./lane.ts";
import { LoadReport, type CopiedRows, copyUnit } from "./load-report.ts";
import { asDumped, expectedRows, type Loading, ourEncoding, piecesToLoad, rowsAgain } from "./load.ts";
import { counting, emptying } from "./names.ts";
import { Session, withoutTimeouts, writable } from "./session.ts";
import type { Piece } from "./statements.ts";
import { newline } from "./words.ts";

/** The exchange that follows is durable, and with it everything that was committed before. */
const settings = ["SET synchronous_commit = off;", withoutTimeouts("session"), writable.trim(), ...asDumped];

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
  const filter = new LoadFilter(rules);
  const report = new LoadReport(keepGoing);
  const open = () => new Session(connection, () => `the restore into ${connection.where} failed`, { counts: true });
  const lanes = new Lanes(sessions, report, { open, again: (tables) => rowsAgain(sql, rules, tables) });
  try {
    for (const statement of settings) lanes.setting(statement);
    for (const statement of prelude) await lanes.statement(statement);
    for await (const piece of piecesToLoad(sql, filter)) await lanes.take(piece);
    lanes.setting(ourEncoding);
    await lanes.loaded();
    for (const table of report.uncounted(contents.rows.keys())) await lanes.statement(counting(table), { table });
    for (const statement of filter.atTheEnd) await lanes.statement(statement);
    await lanes.end();
  } catch (error) {
    await lanes.stop();
    throw error;
  }
  const loaded = report.result();
  if (!keepGoing) compareRows(expectedRows(loading), loaded.rows);
  return {
    ...loaded,
    warnings: [...filter.warnings, ...loaded.warnings],
    leftOut: [...filter.leftOut, ...loaded.leftOut],
  };
}

/**
 * Bytes of rows that a lane gets in its turn. Each COPY makes the server prepare room for a thousand rows, so few lanes get long turns.
 * Each lane holds two turns in memory, so many lanes get short ones.
 */
const turnBytesOf = (lanes: number): number => Math.max((4 << 20) / lanes, 1 << 20);
/** Bytes. A longer row is passed on in parts, as it comes. */
const longestKept = 8 << 20;

/** What the lanes do at a time: a change waits until all of them are done. */
type Phase = "statements" | "rows" | "indexes";

const setting = /^(?:SET|RESET) (?:SESSION )?(\w+)|^SELECT pg_catalog\.set_config\('(\w+)'/;
const key = new RegExp(
  String.raw`^ALTER TABLE (?:ONLY )?${qualified}\s+ADD CONSTRAINT ${name} (?:PRIMARY KEY|UNIQUE) `,
);
const isIndex = (text: string) => /^CREATE (UNIQUE )?INDEX /.test(text) || key.test(text);

/** The COPY whose rows come now. */
interface Copying extends CopiedRows {
  rows: Uint8Array[];
  bytes: number;
  /** Gets a row that is too long to be kept. */
  direct?: Session | undefined;
}

/** The rows of some tables, from another reading of the dump. */
type RowsAgain = (tables: ReadonlySet<string>) => ReturnType<typeof rowsAgain>;

/** The sessions of a load: the rows of each table in turns, then indexes side by side; all else by the first of them. */
class Lanes {
  readonly #lanes: readonly Lane[];
  readonly #first: Lane;
  readonly #report: LoadReport;
  readonly #again: RowsAgain;
  readonly #turnBytes: number;
  #phase: Phase = "statements";
  #copy: Copying | undefined;
  /** Gets what comes in parts. */
  #direct: Session | undefined;
  #inTransaction = false;
  /** Rows are loaded in the dump's order. */
  #inOrder = false;

  constructor(count: number, report: LoadReport, { open, again }: { open: () => Session; again: RowsAgain }) {
    this.#turnBytes = turnBytesOf(count);
    // one turn waits while another is loaded
    const lane = () => new Lane(report, open, this.#turnBytes + (1 << 20));
    this.#first = lane();
    this.#lanes = [this.#first, ...Array.from({ length: count - 1 }, lane)];
    this.#report = report;
    this.#again = again;
  }

  /** What a piece of the dump asks for; its bytes are what the filter made of it. */
  async take(piece: Piece): Promise<void> {
    const { bytes } = piece;
    if (piece.kind === "data") {
      if (piece.rows) return this.#rows(bytes, piece.rows);
      if (this.#inTransaction) return this.#part(bytes, "some");
      return piece.part ? this.#part(bytes, piece.part) : this.statement(bytes);
    }
    if (this.#inTransaction || piece.text === "BEGIN;") return this.#transaction(piece.text, bytes);
    if (setting.test(piece.text)) return this.setting(piece.text, bytes.toString().trim());
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
    if (this.#phase === "rows") await this.#loadLate();
    this.#phase = phase;
  }

  /** As long as that leaves fewer tables; one after the other, for they can look into each other. */
  async #loadLate(): Promise<void> {
    this.#inOrder = true;
    for (let late = this.#report.takeLate(); late.size > 0; late = this.#report.takeLate()) {
      for (const table of late) {
        const sql = emptying(table);
        this.#first.add({ text: sql, sql: [sql], bytes: sql.length });
      }
      await this.#first.settled();
      for await (const piece of this.#again(late)) await this.take(piece);
      await this.#settled();
    }
    this.#inOrder = false;
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
    this.#copy = { statement, text, table, rows: [], bytes: 0 };
  }

  /** Rows, cut between two of them where the next lane has its turn. */
  async #rows(bytes: Uint8Array, which: "some" | "end"): Promise<void> {
    const copy = this.#copy;
    if (!copy) throw new Error("rows without a COPY");
    if (which === "end") this.#copy = undefined;
    if (this.#report.isLate(copy.table) && !copy.direct) return;
    if (which === "end") {
      if (copy.bytes > 0 || copy.direct) await this.#turn(copy, true);
      return;
    }
    const end = copy.bytes + bytes.length < this.#turnBytes && !copy.direct ? 0 : bytes.lastIndexOf(newline) + 1;
    keep(copy, bytes.subarray(0, end));
    if (end > 0 || copy.bytes > longestKept) await this.#turn(copy, end > 0);
    keep(copy, bytes.subarray(end));
  }

  /** Gives what has been kept to the first lane that is ready; `ends`: with complete rows. */
  async #turn(copy: Copying, ends: boolean): Promise<void> {
    if (!copy.direct && ends) {
      const lane = await this.#free();
      lane.add(copyUnit(copy));
      if (copy.bytes >= this.#turnBytes) lane.flush();
    } else {
      if (!copy.direct) {
        copy.direct = await this.#first.direct();
        copy.direct.write(copy.statement);
      }
      copy.direct.write(...copy.rows);
      await copy.direct.ready();
      if (ends) await this.#closeDirect(copy, copy.direct);
    }
    [copy.rows, copy.bytes] = [[], 0];
  }

  async #closeDirect(copy: Copying, session: Session): Promise<void> {
    session.write("\\.\n");
    const [rows = Number.NaN] = await session.copied();
    this.#report.loaded(copy.table, rows);
    copy.direct = undefined;
  }

  async #free(): Promise<Lane> {
    const lanes = this.#inOrder ? [this.#first] : this.#lanes;
    await Promise.race(lanes.map((lane) => lane.ready()));
    return lanes.reduce((best, lane) => (lane.weight < best.weight ? lane : best), this.#first);
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

function keep(copy: Copying, rows: Uint8Array): void {
  if (rows.length === 0) return;
  copy.rows.push(rows);
  copy.bytes += rows.length;
}
