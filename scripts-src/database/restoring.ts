/** What an engine does for a restore. `Connected` has all of it; `Contents` are those that the engine's own reader made. */
import { Failure } from "../base/errors.ts";
import { counted } from "../base/text.ts";
import type { Contents } from "./database.ts";

/** What a restore has to know about the database, before anything is touched. */
export interface TargetState {
  /** False: the server has no such database yet. */
  exists: boolean;
  /** It holds nothing that a user made. True when it does not exist. */
  empty: boolean;
  /** Its tables by the names that `Contents.tables` uses, each with the rows that the server estimates. */
  tables: ReadonlyMap<string, number>;
  /** How many objects other than tables it has, where that can be told. */
  others?: number;
  /** Other sessions in it, where an exchange ends them. */
  sessions?: number;
  /** Bytes of its data. */
  dataBytes: number;
  /** Databases `NAME_before_TIME` that earlier restores have kept. */
  earlier: readonly { name: string; bytes: number }[];
  /** Free bytes where the server keeps its data; undefined when that is not on this machine. */
  freeBytes: number | undefined;
}

export interface LoadOptions {
  /** Leave out ownership and privileges. */
  noOwner: boolean;
  /** Go on behind what cannot be loaded, and list it. */
  keepGoing: boolean;
  /** For copies: nothing in the loaded database may act on the world (events, event triggers, subscriptions, schedulers). */
  asleep: boolean;
  /** For a copy that is thrown away: extensions that the server or the login cannot have are left out. */
  proof?: boolean;
  /** The file is our own: it is signed, or it lies in BACKUP_DIR, where only trusted users can write. */
  trusted: boolean;
}

/** Whether and how a backup can be restored, found out without changing anything. Each problem ends in its remedy. */
export interface RestorePlan {
  /** What stands in the way of every way. */
  problems: string[];
  /** Why no new database can be created and filled with it. */
  createProblems: string[];
  /** Why such a database could not take the place of the present one. */
  besideProblems: string[];
  /** Why it cannot be loaded into the present database in place of what is there. */
  inPlaceProblems: string[];
  /** With `proof`: what the copy goes without, each with the reason. */
  waived?: string[];
  /** What a person should know before it begins. */
  warnings: string[];
  /** The present database is empty, and the engine had better fill it than put another in its place. */
  fillsEmpty: boolean;
}

/** What was loaded. */
export interface Loaded {
  /** Rows that the server has taken, for each table with rows. */
  rows: ReadonlyMap<string, number>;
  /** What is not as in the backup, or must be looked at: "materialized view public.v is not populated: …". */
  warnings: readonly string[];
  /** With `keepGoing`: what could not be loaded, each with the server's reason. */
  skipped: readonly string[];
  /** Statements of the dump that were left out on purpose, as they stand there. */
  leftOut: readonly string[];
}

/** A database's own properties as data (the manifest's `create`), never as SQL; each engine knows its own fields. */
export type DatabaseProperties = Readonly<Record<string, unknown>>;

export interface ScratchOptions {
  /** `restore`: NAME_restoring_TIME, to be exchanged; `verify`: NAME_verify_TIME, to be thrown away; `into`: `name`, to be kept. */
  purpose: "restore" | "verify" | "into";
  /** With `into`: no database of the server has that name. */
  name?: string;
  /** Absent: as the present database, else as the server makes one. */
  properties?: DatabaseProperties;
}

/** A new, empty database on the same server, marked as ours; dropped when it is disposed of, unless it was exchanged or kept. */
export interface Scratch extends AsyncDisposable {
  readonly name: string;

  /**
   * Loads a dump and compares the rows of each table with `contents.rows`. Throws a `Failure` at the first error (unless
   * `keepGoing`), when `sql` throws, and when rows differ.
   */
  load(sql: AsyncIterable<Uint8Array>, contents: Contents, options: LoadOptions): Promise<Loaded>;

  /** The one value that a query of the user's own gives, as text; it changes nothing. Throws `Failure`. */
  ask(sql: string): Promise<string>;

  /** Dumps it as `Connected.dump` would, with these options of the dump program. */
  dump(options: readonly string[]): AsyncIterable<Uint8Array>;

  /**
   * With `restore`: puts it in the place of the present database. Undefined where no state before is kept: there was none, or it was empty.
   * Throws a `Failure`; nothing was exchanged then, and it says where the copy is.
   */
  exchange(): Promise<Exchanged | undefined>;

  /** With `into`: it stays. */
  keep(): Promise<void>;
}

export interface Exchanged {
  /** The name that the database before the restore has now. */
  before: string;
  /** What takes the exchange back: a command for a terminal, or the words of `restore` that do. */
  undo: string | readonly string[];
  /** What drops `before`: a command or an SQL statement. */
  drop: string;
  /** Drops `before`. Throws `Failure`. */
  dropBefore(): Promise<void>;
}

export interface Restoring {
  /**
   * Keeps two restores (or two proofs) of this database apart, wherever they run; waits for what a killed one still does. A lock that another run
   * holds is a `Failure` with status 5 that says who holds it; a server that cannot lock is warned of. Also drops or finishes what
   * killed ones have left, where name, mark and identity fit.
   */
  lock(purpose: Exclude<ScratchOptions["purpose"], "into">): Promise<AsyncDisposable>;

  target(): Promise<TargetState>;

  /**
   * Exchanges the present database for the one that an earlier restore has kept as `before`. Absent where a command of the server's own
   * programs does that. Throws `Failure`.
   */
  undo?(before: string): Promise<Exchanged | undefined>;

  /** Compares what the dump names with what the server and the database have. */
  plan(contents: Contents, target: TargetState, options: LoadOptions): Promise<RestorePlan>;

  createScratch(options: ScratchOptions): Promise<Scratch>;

  /**
   * Removes everything from the present database and loads the dump into it; compares rows as `Scratch.load` does. Where `atomicLoad`,
   * that is one transaction: everything or nothing. `sql` can be read twice. Throws `Failure`.
   */
  loadInPlace(sql: AsyncIterable<Uint8Array>, contents: Contents, options: LoadOptions): Promise<Loaded>;
}

const shown = 10;

/**
 * Did the server take every row? Asked after each load, before anything is exchanged or committed. Throws a `Failure` that names the
 * tables whose rows are not as many as in the dump.
 */
export function compareRows(dumped: ReadonlyMap<string, number>, loaded: ReadonlyMap<string, number>): void {
  const tables = [...new Set([...dumped.keys(), ...loaded.keys()])];
  const different = tables.filter((table) => (dumped.get(table) ?? 0) !== (loaded.get(table) ?? 0));
  if (different.length === 0) return;
  const lines = different
    .slice(0, shown)
    .map((table) => `${table}: ${dumped.get(table) ?? 0} in the backup, ${loaded.get(table) ?? 0} loaded`);
  const more = different.length > shown ? [`and ${counted(different.length - shown, "more table")}`] : [];
  throw new Failure(`the loaded rows differ from those of the backup:\n${[...lines, ...more].join("\n")}`, {
    hints: ["a trigger or rule of the server changed rows while they were loaded; look at its log"],
  });
}
