/**
 * One of the sessions of a load. What it is given is carried out in short transactions; what the server has not confirmed yet is kept,
 * so that after an error everything but the faulty statement can be repeated, and that one be tried in another way.
 */
import { Failure, messageOf } from "../../base/errors.ts";
import { isOwnership } from "./filter.ts";
import { type LoadReport, titleOf, type Unit } from "./load-report.ts";
import { type Session, userSchema } from "./session.ts";

/** Settings of a session by their names, each as the statement that sets it. */
type SessionSettings = ReadonlyMap<string, string>;

interface Batch {
  units: Unit[];
  bytes: number;
  settings: SessionSettings;
}

const [batchBytes, batchUnits] = [262_144, 50];

/**
 * The settings of a second try: the database's own search_path, and after it every schema, for functions that name things without their
 * schema; pg_dump writes an empty one. Its row_security = off refuses to refresh a view whose owner is subject to policies.
 */
export const ownPath = `SET LOCAL row_security TO DEFAULT;
SET LOCAL search_path TO DEFAULT;
SELECT pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ', NULLIF(pg_catalog.current_setting('search_path'), ''),
  (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(nspname), ', ' ORDER BY nspname) FROM pg_catalog.pg_namespace
   WHERE ${userSchema})), true);
`;

/** Bytes, and something for each statement. */
const weightOf = ({ bytes, units }: Batch): number => bytes + units.length * 4096;

/** A batch as it was handed to a session. */
interface Sent {
  session: Session;
  answers: Promise<number[]>;
}

/** The server does not know a name: with the dump's empty search_path, that says little about what is wrong. */
export const isMissing = (error: unknown): boolean => /does not exist/.test(messageOf(error));

export class Lane {
  readonly #report: LoadReport;
  readonly #connect: () => Session;
  readonly #mostUnconfirmed: number;
  #session: Session | undefined;
  #settings: SessionSettings = new Map();
  /** The settings that the session has. */
  #applied: SessionSettings = new Map();
  #batch: Batch | undefined;
  /** Weight of what was handed over and is not confirmed. */
  #unconfirmed = 0;
  /** A batch has failed: those behind it wait until it has been repeated. */
  #repeating = false;
  #confirmed: Promise<void> = Promise.resolve();
  #waiting: PromiseWithResolvers<void>[] = [];
  #failure: { error: unknown } | undefined;

  /** `mostUnconfirmed`: so much is given out before it is confirmed (as `weightOf`). */
  constructor(report: LoadReport, connect: () => Session, mostUnconfirmed: number) {
    this.#report = report;
    this.#connect = connect;
    this.#mostUnconfirmed = mostUnconfirmed;
  }

  /** From here on the session has this setting. */
  set(key: string, statement: string): void {
    this.flush();
    this.#settings = new Map(this.#settings).set(key, statement);
  }

  add(unit: Unit): void {
    this.#batch ??= { units: [], bytes: 0, settings: this.#settings };
    this.#batch.units.push(unit);
    this.#batch.bytes += unit.bytes;
    if (this.#batch.bytes >= batchBytes || this.#batch.units.length >= batchUnits) this.flush();
  }

  /** Hands over what was added. */
  flush(): void {
    const batch = this.#batch;
    this.#batch = undefined;
    if (!batch || this.#failure) return;
    this.#unconfirmed += weightOf(batch);
    const sent = this.#repeating ? undefined : this.#send(batch.units, batch.settings);
    this.#confirmed = this.#confirmed.then(() => this.#confirm(batch, sent));
  }

  get idle(): boolean {
    return this.weight === 0;
  }

  /** How much work lies before it. */
  get weight(): number {
    return this.#unconfirmed + (this.#batch ? weightOf(this.#batch) : 0);
  }

  /** Resolves when little is unconfirmed. Throws what ended the load. */
  async ready(): Promise<void> {
    while (this.#unconfirmed > this.#mostUnconfirmed) await this.#progress();
    this.#check();
  }

  /** Resolves when all is confirmed. Throws what ended the load. */
  async settled(): Promise<void> {
    this.flush();
    while (this.#unconfirmed > 0) await this.#progress();
    this.#check();
  }

  /** The session, after all that came before: for what is too long to be kept, and cannot be repeated. */
  async direct(): Promise<Session> {
    await this.settled();
    return this.#ready(this.#settings);
  }

  async end(): Promise<void> {
    await this.settled();
    await this.#session?.end();
  }

  async stop(): Promise<void> {
    await this.#session?.stop();
  }

  #progress(): Promise<void> {
    const progress = Promise.withResolvers<void>();
    this.#waiting.push(progress);
    return progress.promise;
  }

  #check(): void {
    if (this.#failure) throw this.#failure.error;
  }

  #ready(settings: SessionSettings): Session {
    this.#session ??= this.#connect();
    for (const [key, statement] of settings)
      if (this.#applied.get(key) !== statement) this.#session.write(`${statement}\n`);
    this.#applied = settings;
    return this.#session;
  }

  #send(units: readonly Unit[], settings: SessionSettings, path = ""): Sent {
    const session = this.#ready(settings);
    session.write(`BEGIN;\n${path}`);
    for (const { sql } of units) session.write(...sql, "\n");
    session.write("COMMIT;\n");
    const answers = session.copied();
    answers.catch(() => {}); // awaited in its turn
    return { session, answers };
  }

  async #confirm(batch: Batch, sent: Sent | undefined): Promise<void> {
    try {
      if (this.#failure) return;
      if (!sent || (await this.#refusal(batch.units, sent)) !== undefined) {
        this.#repeating = true;
        for (const unit of batch.units) await this.#try(unit, batch.settings);
      }
    } catch (error) {
      this.#failure ??= { error };
    } finally {
      this.#unconfirmed -= weightOf(batch);
      if (this.#unconfirmed === 0) this.#repeating = false;
      for (const { resolve } of this.#waiting.splice(0)) resolve();
    }
  }

  /** Why the server has refused a statement of it. Throws when the connection broke: what it committed may not be durable. */
  async #refusal(units: readonly Unit[], { session, answers }: Sent): Promise<Error | undefined> {
    try {
      this.#count(units, await answers);
      return undefined;
    } catch (error) {
      if (!session.refused) throw error;
      if (this.#session === session) [this.#session, this.#applied] = [undefined, new Map()];
      return error as Error;
    }
  }

  /**
   * With the dump's search_path, then with the database's own; then later; then its halves; then without it, where that is allowed.
   */
  async #try(unit: Unit, settings: SessionSettings): Promise<void> {
    const hidden = await this.#refusal([unit], this.#send([unit], settings));
    if (hidden === undefined) return;
    const error = await this.#refusal([unit], this.#send([unit], settings, ownPath));
    if (error === undefined) return;
    if (this.#report.postpones(unit, error)) return;
    const halves = this.#report.halve(unit);
    if (halves) for (const half of halves) await this.#try(half, settings);
    else {
      const cause = isMissing(error) ? hidden : error;
      if (!this.#report.skips(unit, cause)) throw naming(unit, cause);
    }
  }

  #count(units: readonly Unit[], answers: readonly number[]): void {
    const tables = units.flatMap(({ table }) => (table === undefined ? [] : [table]));
    for (const [index, table] of tables.entries()) this.#report.loaded(table, answers[index] ?? Number.NaN);
  }
}

/** Not every message of the server names what it is about. With rows, it does. */
const naming = (unit: Unit, error: Error): Error =>
  unit.table === undefined && error instanceof Failure
    ? error.reworded(
        `${error.message}\nthe statement: ${titleOf(unit)}`,
        isOwnership(unit.text) ? ["restore --no-owner leaves out owners and privileges", ...error.hints] : error.hints,
      )
    : error;
