/**
 * Loads a dump over several sessions: the INSERTs of a table are dealt out, all else is carried out in the dump's order. Each statement
 * is committed by itself.
 */
import { availableParallelism } from "node:os";
import type { Connection } from "./connection.ts";
import { definer } from "./contents.ts";
import { inParts, loadable, type LoadRules } from "./filter.ts";
import { holdWhileLoading, loading } from "./locks.ts";
import { unquote } from "./names.ts";
import { Session } from "./session.ts";
import { type Piece, splitStatements } from "./statements.ts";
import { createsTrigger } from "./triggers.ts";
import { anyName } from "./words.ts";

/** An `object` is a view, event or routine. */
export type ObjectKind = "setting" | "trigger" | "object";

interface LoadJob {
  rules: LoadRules;
  /** SQL with which each session begins. */
  settings: string;
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

/** Throws `Failure` at the first error, or what `sql` throws; then the database may hold any part of the dump. */
export async function load(
  connection: Connection,
  sql: AsyncIterable<Uint8Array>,
  { rules, settings, present, onObject }: LoadJob,
): Promise<void> {
  const what = `the restore into ${connection.target.where} failed`;
  // four are no faster than two on a machine of two cores that the server shares
  const count = Math.min(loading.length, Math.max(2, availableParallelism()));
  const all = Array.from({ length: count }, () => new Session(connection, what));
  const sessions = new Sessions(all);
  try {
    for (const [i, session] of all.entries())
      session.write(settings, present === undefined ? "" : holdWhileLoading(present, i));
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
