/**
 * A new database beside the present one: nobody sees it before it is complete, and the present one serves its users meanwhile. It
 * takes the place of the present one by an exchange of names, is kept under a name of its own, or is dropped.
 */
import { setTimeout as pause } from "node:timers/promises";
import { messageOf, usageFailure } from "../../base/errors.ts";
import { stampOf } from "../../base/text.ts";
import type { Contents } from "../database.ts";
import type { Exchanged, Loaded, LoadOptions, Scratch, ScratchOptions } from "../restoring.ts";
import { type Connection, inDatabase } from "./connection.ts";
import type { DumpContents } from "./contents.ts";
import { dump } from "./dump.ts";
import { exchange, type Exchanging, rename, transaction } from "./exchange.ts";
import { loadInPlace } from "./in-place.ts";
import { dropDatabase, patience, isUsed } from "./maintenance.ts";
import { besideName, identifier, isBeside, literal, markOf } from "./names.ts";
import { contentsToLoad, hasCron, loadRules } from "./plan.ts";
import type { ServerInfo } from "./probe.ts";
import { type PropertyStatements, shown, statementsFor } from "./properties.ts";
import { checkLock } from "./clients.ts";
import { execute, askValue, query, jsonList } from "./session.ts";
import { loadSpread } from "./lanes.ts";
import type { PostgresTarget } from "./target.ts";

/** What a new database is made for, and of. */
interface Making {
  serverInfo: ServerInfo;
  /** How many sessions load side by side. */
  sessions: number;
  options: ScratchOptions;
  target: PostgresTarget;
}

/** Creates it, empty and marked as ours. `maintenance` leads to another database of the server. Throws `Failure`. */
export async function createScratch(maintenance: Connection, making: Making): Promise<Scratch> {
  const { options, serverInfo, target } = making;
  const { connection: present } = serverInfo;
  // the server would cut it silently
  if (Buffer.byteLength(options.name ?? "") > 63)
    throw usageFailure(`--into ${options.name}: the name has more than 63 bytes`, "choose a shorter one");
  const time = await freeTime(target);
  const fresh = besideName(present.database, options.purpose === "verify" ? "verify" : "restoring", time);
  const properties = propertiesFor(fresh, making);
  /** For what is done in seconds, and could not be reported when it was half done. */
  const unstoppable = { ...maintenance, signal: new AbortController().signal };
  await using unfinished = new AsyncDisposableStack();
  const database = unfinished.use(new NewDatabase({ present, target, unstoppable, fresh, time, properties }, making));
  await database.create();
  maintenance.log.info(`created the database ${fresh}`);
  unfinished.move();
  return database;
}

class NewDatabase implements Scratch {
  readonly name: string;
  readonly #made: Exchanging;
  readonly #making: Making;
  readonly #connection: Connection;
  /** It has the name of the present database, which did not exist. */
  #isExchanged = false;
  /** It is no longer thrown away. */
  #stays = false;

  constructor(made: Exchanging, making: Making) {
    this.#made = made;
    this.#making = making;
    // settings of a database are stored in the encoding of the session: only in the database itself they are read as they were meant
    this.#connection = inDatabase(made.present, made.fresh);
    this.name = made.fresh;
  }

  async create(): Promise<void> {
    const { present, properties, fresh } = this.#made;
    const { system } = this.#making.serverInfo.server;
    // The server finishes a CREATE DATABASE whose client has ended; psql reads its input to the end when we have ended. Together they
    // leave no database without the comment by which it is found again.
    const mark = `COMMENT ON DATABASE ${identifier(fresh)} IS ${literal(markOf(present.database, system))};`;
    await this.#createBy(properties.creations, mark);
    const { exactly, details } = properties;
    if (!exactly) for (const sql of details) await this.#setWherePossible(sql);
    else if (details.length > 0)
      await execute(this.#connection, `cannot set up the database ${fresh}`, transaction(details));
  }

  /** The first way that works; an error is that of the best one. */
  async #createBy(ways: readonly string[], mark: string): Promise<void> {
    const { unstoppable, fresh } = this.#made;
    let best: unknown;
    for (const way of ways) {
      try {
        await execute(unstoppable, `cannot create the database ${fresh}`, `${patience}${way}\n${mark}\n`);
        if (best !== undefined)
          unstoppable.log.warn(`the new database sorts and compares texts differently: ${messageOf(best)}`);
        return;
      } catch (error) {
        best ??= error;
      }
    }
    throw best;
  }

  async #setWherePossible(sql: string): Promise<void> {
    const { signal, log } = this.#connection;
    await execute(this.#connection, "not restored of the database's properties", sql).catch((error: unknown) => {
      signal.throwIfAborted();
      const final = this.#making.options.name ?? this.#made.present.database;
      log.warn(`${messageOf(error)} (${shown(sql.replace(identifier(this.name), identifier(final)))})`);
    });
  }

  async load(sql: AsyncIterable<Uint8Array>, contents: Contents, options: LoadOptions): Promise<Loaded> {
    const { serverInfo, target, sessions } = this.#making;
    const { present } = this.#made;
    checkLock(present.psql, options.trusted);
    const dump = contents as DumpContents;
    // pg_cron can only be created in the database that has its name for good: it gets it before it is filled
    if (!target.exists && !options.asleep && hasCron(dump)) {
      await exchange(this.#made);
      this.#isExchanged = true;
      const rules = loadRules(dump, serverInfo.server, target, options, "in place");
      const loaded = await loadInPlace(sql, { connection: present, contents: dump, rules, prelude: [] });
      this.#complete();
      return loaded;
    }
    const known = contentsToLoad(dump, options);
    const rules = loadRules(dump, serverInfo.server, target, options, "beside");
    const prelude = known.schemas.has("public") && !rules.keptSchemas.has("public") ? ["DROP SCHEMA public;"] : [];
    const loading = { connection: this.#connection, contents: known, rules, prelude };
    return loadSpread(sql, loading, { sessions, keepGoing: options.keepGoing });
  }

  ask = (sql: string) => askValue(this.#connection, sql);

  dump = (options: readonly string[]) => dump(this.#connection, this.#making.serverInfo.pgDump, options);

  async exchange(): Promise<Exchanged | undefined> {
    if (this.#isExchanged) return undefined;
    this.#complete();
    return exchange(this.#made);
  }

  async keep(): Promise<void> {
    this.#complete();
    await rename(this.#made, this.#making.options.name ?? this.name);
  }

  #complete(): void {
    this.#connection.signal.throwIfAborted();
    this.#stays = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stays) return;
    this.#stays = true;
    const { present, unstoppable } = this.#made;
    const { signal, log } = present;
    const way = { ...unstoppable, signal: signal.aborted ? AbortSignal.timeout(15_000) : signal };
    const name = this.#isExchanged ? present.database : this.name;
    try {
      // whoever found the database under its final name may have begun to use it
      if (!this.#isExchanged || !(await isUsed(inDatabase(way, name)))) await dropDatabase(way, name);
    } catch (error) {
      log.warn(`the unfinished database ${name} may still exist, the next restore drops it: ${messageOf(error)}`);
    }
  }
}

/** Of the manifest where there is no present database, or for a proof; else of the present one. */
function propertiesFor(fresh: string, { serverInfo, target, options }: Making): PropertyStatements {
  const { properties, purpose, name } = options;
  const { major, encoding } = serverInfo.server;
  const { user } = target;
  const asBefore = statementsFor(fresh, properties ?? {}, { major, encoding, user, exactly: false });
  if (!target.exists || purpose === "verify") return asBefore;
  const asPresent = statementsFor(fresh, target.properties, { major, encoding, user, exactly: name === undefined });
  // one that somebody created for this restore keeps its encoding and locale: the server converts what is loaded
  return target.empty && properties ? { ...asBefore, creations: asPresent.creations } : asPresent;
}

/** A second of which nothing that earlier restores have left has its name: when the load is done, it would be too late for another. */
async function freeTime({ earlier, unproven }: PostgresTarget): Promise<Date> {
  const left = [...earlier.map(({ name }) => name), ...unproven];
  for (;;) {
    const time = new Date();
    if (!left.some((name) => name.endsWith(stampOf(time)))) return time;
    await pause(100);
  }
}

/**
 * Drops unfinished databases of `database` where name, mark and identity fit. The caller holds the lock on the server: nobody works on
 * them but what a killed run has left running there.
 */
export async function dropLeftovers(
  maintenance: Connection,
  { database, system, purpose }: { database: string; system: string | undefined; purpose: "restore" | "verify" },
): Promise<void> {
  const named = isBeside(database, purpose === "restore" ? "restoring" : "verify");
  const left = await query<string[]>(
    maintenance,
    `SELECT ${jsonList(`SELECT datname FROM pg_database WHERE ${named} AND datname <> ${literal(database)}
     AND shobj_description(oid, 'pg_database') = ${literal(markOf(database, system))} AND pg_has_role(datdba, 'USAGE')`)}`,
  );
  for (const found of left) {
    try {
      await dropDatabase(maintenance, found);
      maintenance.log.info(`dropped ${found}, which a ${purpose} that was killed has left`);
    } catch (error) {
      maintenance.signal.throwIfAborted();
      maintenance.log.warn(`${found}, which a restore that was killed has left, stays for now: ${messageOf(error)}`);
    }
  }
}
