/**
 * Loads a dump over several sessions, as fast as the server's cores allow: the rows of each table in turns, then indexes side
 * by side; all else in the dump's order, one statement after the other. Each statement is committed by itself: only for a
 * database that nobody sees before all of it is done.
 */
import type { Client } from "./clients.ts";
import type { Connection } from "./connection.ts";
import { name, qualified } from "./contents.ts";
import { loadFilter } from "./filter.ts";
import type { PostgresPlan } from "./plan.ts";
import { statementCheck } from "./kinds.ts";
import { openSession, type Session } from "./session.ts";
import { type Piece, splitStatements } from "./statements.ts";

/** Rows go to one session for so long. */
const turnBytes = 1 << 20;

/** What the sessions do at a time: a change waits until all of them are done. */
type Phase = "statements" | "rows" | "indexes";

const isSetting = (text: string) => /^(SET|RESET) |^SELECT pg_catalog\.set_config\(/.test(text);
const key = new RegExp(
  String.raw`^ALTER TABLE (?:ONLY )?${qualified}\s+ADD CONSTRAINT ${name} (?:PRIMARY KEY|UNIQUE) `,
);
const isIndex = (text: string) => /^CREATE (UNIQUE )?INDEX /.test(text) || key.test(text);

/** Loads a dump into a database of its own. Throws `Failure`, and then it may hold any part of the dump. */
export async function loadSpread(
  connection: Connection,
  psql: Client,
  sql: AsyncIterable<Uint8Array>,
  { plan, noOwner, sessions }: { plan: PostgresPlan; noOwner: boolean; sessions: number },
): Promise<void> {
  const filter = loadFilter({ ...plan.rules, noOwner, oneTransaction: false });
  const check = statementCheck();
  const what = () => `the restore into ${connection.where} failed`;
  const crew = new Crew(Array.from({ length: sessions }, () => openSession(connection, psql, what)));
  try {
    // the exchange that follows is durable, and with it all that was committed before
    crew.all("SET synchronous_commit = off;\n");
    if (plan.rules.major >= 14) crew.all("SET idle_session_timeout = 0;\n");
    await crew.statement(`${plan.prelude.join("\n")}\n`);
    for await (const piece of splitStatements(sql)) {
      check(piece);
      const bytes = filter(piece);
      if (bytes) await crew.take(piece, bytes);
    }
    await crew.end();
  } catch (error) {
    await crew.stop();
    throw error;
  }
}

/** The sessions of a load. */
class Crew {
  readonly #sessions: readonly Session[];
  readonly #first: Session;
  #phase: Phase = "statements";
  /** The COPY whose rows come now. */
  #copy: { statement: Uint8Array; begun: Set<Session>; current: Session; turn: number; started: boolean } | undefined;
  /** Sessions that build an index. */
  readonly #building = new Map<Session, Promise<void>>();

  constructor(sessions: readonly Session[]) {
    const [first] = sessions;
    if (!first) throw new Error("no session");
    this.#sessions = sessions;
    this.#first = first;
  }

  /** What a piece of the dump asks for; `bytes` are what the filter made of it. */
  async take(piece: Piece, bytes: Uint8Array): Promise<void> {
    if (piece.kind === "data") return piece.rows ? this.#rows(bytes, piece.rows) : this.statement(bytes);
    if (piece.kind === "statement" && isSetting(piece.text)) return this.all(bytes);
    if (piece.text.startsWith("COPY ")) return this.#begin(bytes);
    return isIndex(piece.text) ? this.#index(bytes) : this.statement(bytes);
  }

  /** What each session must know. */
  all(bytes: string | Uint8Array): void {
    for (const session of this.#sessions) session.write(bytes);
  }

  async statement(bytes: string | Uint8Array): Promise<void> {
    await this.#enter("statements");
    this.#first.write(bytes);
    await this.#first.room();
  }

  async end(): Promise<void> {
    await this.#settled();
    await Promise.all(this.#sessions.map((session) => session.end()));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#sessions.map((session) => session.stop()));
  }

  async #settled(): Promise<void> {
    await Promise.all(this.#sessions.map((session) => session.settled()));
  }

  async #enter(phase: Phase): Promise<void> {
    if (phase === this.#phase) return;
    await this.#settled();
    this.#phase = phase;
  }

  async #begin(statement: Uint8Array): Promise<void> {
    await this.#enter("rows");
    this.#copy = { statement, begun: new Set(), current: await this.#next(), turn: 0, started: false };
  }

  /** The session that first has room. */
  #next(): Promise<Session> {
    return Promise.race(this.#sessions.map(async (session) => (await session.room(), session)));
  }

  /** Rows, cut between two of them where the next session has its turn. */
  async #rows(bytes: Uint8Array, which: "some" | "last"): Promise<void> {
    const copy = this.#copy;
    if (!copy) throw new Error("rows without a COPY");
    let rest = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (which === "last") rest = rest.subarray(0, rest.lastIndexOf("\\."));
    if (!copy.started) {
      const start = bytes.indexOf(newline);
      copy.started = start >= 0;
      rest = rest.subarray(start < 0 ? rest.length : start + 1);
    }
    const end = copy.turn + rest.length < turnBytes ? -1 : rest.lastIndexOf(newline);
    if (end >= 0) {
      this.#copyInto(copy.current, rest.subarray(0, end + 1));
      rest = rest.subarray(end + 1);
      copy.current = await this.#next();
      copy.turn = 0;
    }
    this.#copyInto(copy.current, rest);
    copy.turn += rest.length;
    if (copy.turn > turnBytes) await copy.current.room(); // a row longer than a turn
    if (which === "some") return;
    for (const session of copy.begun) session.write("\\.\n");
    this.#copy = undefined;
  }

  #copyInto(session: Session, rows: Uint8Array): void {
    if (!this.#copy || rows.length === 0) return;
    if (!this.#copy.begun.has(session)) session.write(this.#copy.statement, "\n");
    this.#copy.begun.add(session);
    session.write(rows);
  }

  /** An index is built by the first session that has none to build. */
  async #index(bytes: Uint8Array): Promise<void> {
    await this.#enter("indexes");
    if (this.#building.size === this.#sessions.length) await Promise.race(this.#building.values());
    const session = this.#sessions.find((one) => !this.#building.has(one)) ?? this.#first;
    session.write(bytes);
    const built = session.settled().then(() => void this.#building.delete(session));
    built.catch(() => {}); // told by whatever is awaited next
    this.#building.set(session, built);
  }
}

const newline = 0x0a;
