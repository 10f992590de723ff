/**
 * Loads a dump over several sessions: the INSERTs of a table are dealt out, all else is carried out in the dump's order. Each statement
 * is committed by itself.
 */
import { availableParallelism } from "node:os";
import { Failure, messageOf } from "../../base/errors.ts";
import { type Loaded, type LoadOptions, compareRows } from "../restoring.ts";
import { inDatabase, type Place } from "./connection.ts";
import { definer, type DumpContents } from "./contents.ts";
import { inParts, loadable, type LoadRules } from "./filter.ts";
import { changing, holdWhileLoading, loading } from "./locks.ts";
import { quoteName, unquote } from "./names.ts";
import { dropObjects, isTrigger, listObjects, type Objects, type Table } from "./objects.ts";
import { loadRules } from "./plan.ts";
import type { ServerInfo } from "./probe.ts";
import { Session } from "./session.ts";
import { type Piece, splitStatements } from "./statements.ts";
import { anyName, createsTrigger } from "./words.ts";

/** An `object` is a view, event or routine. */
export type ObjectKind = "setting" | "trigger" | "object";

interface LoadJob {
  rules: LoadRules;
  /** Rows of each table in the dump. */
  rows: DumpContents["rows"];
  /** The present database, where a later restore must wait for the end of this load. */
  present: string | undefined;
  /** Gets the statements that create triggers, views, events and routines, and the settings they need. */
  onObject?: (piece: Piece, kind: ObjectKind) => void;
}

const isSetting = (head: string) => /^(?:\/\*M?!\d* *)?SET\b/i.test(head);
const dropsTrigger = /^(?:\/\*!\d+ )?DROP TRIGGER\b/i;
const objectKind =
  /^(?:\/\*!50001 |(?:\/\*!\d+ )?(?:CREATE|DROP)\b[^'"`;(]*\b(?:VIEW|PROCEDURE|FUNCTION|EVENT|PACKAGE)\b)/i;

const innodbTable = new RegExp(`^CREATE TABLE (?:IF NOT EXISTS )?(${anyName}) \\([^]*\\n\\) ENGINE=InnoDB\\b`);

/** What is neither a table nor its rows: settings belong to both. */
function kindOf(head: string): ObjectKind | undefined {
  if (isSetting(head) || head.startsWith("ALTER DATABASE")) return "setting";
  const unowned = head.replace(definer, "$1");
  if (createsTrigger(unowned)) return "trigger";
  // an exchange makes all triggers first: a DROP from the dump would take them away again
  if (dropsTrigger.test(head)) return undefined;
  return objectKind.test(unowned) ? "object" : undefined;
}

/**
 * Loads the dump into the database that `rules` name. Throws `Failure` at the first error and when rows differ, or what `sql` throws; then
 * the database may hold any part of the dump.
 */
export async function load(place: Place, sql: AsyncIterable<Uint8Array>, job: LoadJob): Promise<Loaded> {
  await loadAll(place, sql, job);
  return checkRows(place, job.rules.database, job.rows);
}

async function loadAll(
  place: Place,
  sql: AsyncIterable<Uint8Array>,
  { rules, present, onObject }: LoadJob,
): Promise<void> {
  const connection = inDatabase(place, rules.database);
  const what = `the restore into ${connection.target.where} failed`;
  // four are no faster than two on a machine of two cores that the server shares
  const count = Math.min(loading.length, Math.max(2, availableParallelism()));
  const all = Array.from({ length: count }, () => new Session(connection, what));
  const sessions = new Sessions(all);
  try {
    for (const [i, session] of all.entries())
      session.write(place.settings, present === undefined ? "" : holdWhileLoading(present, i));
    // a server with enforce_gtid_consistency has rows of other tables in no transaction
    const innodb = new Set<string>();
    for await (const piece of splitStatements(sql)) {
      const bytes = piece.kind === "rows" && innodb.has(piece.table) ? inParts(piece) : loadable(piece, rules);
      if (!bytes) continue;
      if (piece.kind === "rows") {
        await sessions.rows(bytes, piece);
        continue;
      }
      const [, table] = innodbTable.exec(bytes.toString("latin1")) ?? [];
      if (table !== undefined) innodb.add(unquote(table));
      const head = piece.kind === "statement" ? piece.bytes.toString("latin1", 0, 2_000) : "";
      const kind = kindOf(head);
      if (kind) onObject?.(piece, kind);
      if (isSetting(head)) sessions.all(bytes);
      else await sessions.statement(bytes);
    }
    await sessions.end();
  } catch (error) {
    await sessions.stop();
    throw error;
  }
}

class Sessions {
  readonly #all: readonly Session[];
  readonly #first: Session;
  /** Others than the first that have had rows since they were waited for. */
  readonly #busy = new Set<Session>();
  /** Has had statements, or the first rows of a table, for which the others have not waited. */
  #ahead: Session | undefined;
  /** Whose rows came last. */
  #table: string | undefined;
  /** Who gets the parts of the present INSERT. */
  #current: Session | undefined;

  constructor(sessions: readonly Session[]) {
    const [first] = sessions;
    if (!first) throw new Error("no session");
    this.#all = sessions;
    this.#first = first;
  }

  /** What each session must know. */
  all(bytes: string | Uint8Array): void {
    for (const session of this.#all) session.write(bytes);
  }

  async statement(bytes: string | Uint8Array): Promise<void> {
    await this.#together();
    this.#ahead = this.#first;
    this.#table = undefined;
    this.#first.write(bytes);
    await this.#first.ready();
  }

  /** An INSERT, or a part of it: all of one go to one session. */
  async rows(bytes: Buffer, { first, last, table }: { first: boolean; last: boolean; table: string }): Promise<void> {
    if (first) this.#current = await this.#next(table);
    const session = this.#current ?? this.#first;
    session.write(bytes);
    // the rest of an ordinary INSERT is kept for it: the next one is for another session
    if (!last && session.holdsMuch) await session.ready();
  }

  async end(): Promise<void> {
    await Promise.all(this.#all.map((session) => session.settled()));
    await Promise.all(this.#all.map((session) => session.end()));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#all.map((session) => session.stop()));
  }

  /** The first session that is ready: the same one as long as it keeps up, for a small table needs no others. */
  async #next(table: string): Promise<Session> {
    const free = this.#all.find((session) => session.isReady);
    const next = free ?? (await Promise.race(this.#all.map(async (session) => (await session.ready(), session))));
    // its table must exist; and MariaDB locks all of an empty table, so two sessions that fill it first can end in a deadlock
    if (next !== this.#ahead) await this.#ahead?.settled();
    if (table !== this.#table) this.#ahead = next;
    else if (next !== this.#ahead) this.#ahead = undefined;
    this.#table = table;
    if (next !== this.#first) this.#busy.add(next);
    return next;
  }

  async #together(): Promise<void> {
    await Promise.all([...this.#busy].map((session) => session.settled()));
    this.#busy.clear();
  }
}

/** Engines whose rows no dump holds: they are in other tables, or elsewhere. */
const elsewhere = /^(?:MRG_MyISAM|FEDERATED|SPIDER|CONNECT|OQGRAPH|BLACKHOLE)$/i;

/** What was loaded: the rows that the server holds, compared with the dump's. Throws a `Failure` that names the tables that differ. */
async function checkRows(place: Place, database: string, dumped: ReadonlyMap<string, number>): Promise<Loaded> {
  const loaded = await countRows(place, database);
  // some servers keep names in lower case
  const kept = ([name, rows]: [string, number]): [string, number] => [
    loaded.has(name) ? name : name.toLowerCase(),
    rows,
  ];
  compareRows(new Map([...dumped].map(kept)), loaded);
  return { rows: loaded, warnings: [], skipped: [], leftOut: [] };
}

/** Rows of each table that has some; of a table with system versioning, its history too. */
async function countRows(place: Place, database: string): Promise<Map<string, number>> {
  await using session = new Session(place, `cannot count the rows of ${database}`);
  session.write(place.settings);
  const { tables } = await listObjects(session, database);
  const counted = tables.filter(({ kind, engine }) => kind !== "SEQUENCE" && !elsewhere.test(engine));
  const from = ({ name, kind }: Table) =>
    `${quoteName(database)}.${quoteName(name)}${kind === "SYSTEM VERSIONED" ? " FOR SYSTEM_TIME ALL" : ""}`;
  if (counted.length === 0) return new Map();
  const rows = await session.ask(counted.map((table) => `SELECT count(*) FROM ${from(table)}`).join(";\n"));
  const counts = counted.map(({ name }, i) => [name, Number(rows[i]?.[0])] as const);
  return new Map(counts.filter(([, count]) => count > 0));
}

/**
 * Loads into the present database itself, which is emptied first: what fails then cannot be taken back. Throws `Failure`; the message says
 * whether anything was changed.
 */
export async function loadInPlace(
  place: Place,
  serverInfo: ServerInfo,
  sql: AsyncIterable<Uint8Array>,
  contents: DumpContents,
  { noOwner, asleep }: Pick<LoadOptions, "noOwner" | "asleep">,
): Promise<Loaded> {
  const { database } = place;
  await empty(place);
  const rules = loadRules(contents, serverInfo, { database, noOwner, asleep });
  try {
    return await load(place, sql, { rules, rows: contents.rows, present: database });
  } catch (error) {
    if (!(error instanceof Failure) || place.signal.aborted) throw error;
    const { status, hints, cause, message } = error;
    throw new Failure(`${message}\nthe database may now be neither as it was nor as in the backup`, {
      status,
      hints,
      cause,
    });
  }
}

/** Removes everything, once no other session holds a table. */
async function empty(place: Place): Promise<void> {
  const { database } = place;
  await using session = await changing(place, `cannot empty ${database}`);
  const objects = await listObjects(session, database);
  await awaitLocks(place, objects);
  const tables = objects.tables.map(
    ({ kind, name }) =>
      `DROP ${kind === "SEQUENCE" ? "SEQUENCE" : "TABLE"} ${quoteName(database)}.${quoteName(name)};\n`,
  );
  const others = objects.others.filter((one) => !isTrigger(one));
  await session.ask(`${dropObjects(database, others)}${tables.join("")}DO 0`);
}

/** Waits until no other session's transaction holds a table, while nothing has been touched yet. Throws `Failure`. */
async function awaitLocks(place: Place, { tables }: Objects): Promise<void> {
  const list = tables
    .filter(({ kind }) => kind !== "SEQUENCE")
    .map(({ name }) => `${quoteName(place.database)}.${quoteName(name)} WRITE`);
  if (list.length === 0) return;
  const what = `${place.where} is in use, and nothing was changed`;
  await using session = new Session(place, what);
  try {
    session.write(place.settings);
    // without autocommit InnoDB's own locks count, too: all that MariaDB keeps of a prepared transaction (XA)
    await session.ask(`SET autocommit = 0; LOCK TABLES ${list.join(", ")}`);
  } catch (error) {
    place.signal.throwIfAborted();
    // any other error, such as a damaged table, may be the reason for this restore
    if (/ERROR 1205\b/.test(messageOf(error))) throw error;
  }
}
