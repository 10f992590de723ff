/**
 * A new database beside the present one: nobody sees it before it is complete, and the present one serves its users meanwhile. It
 * takes the place of the present one by an exchange of names, is kept under a name of its own, or is dropped.
 */
import { setTimeout as pause } from "node:timers/promises";
import { messageOf, usageFailure } from "../../base/errors.ts";
import type { Server } from "../database.ts";
import type { Exchanged, Scratch, ScratchOptions } from "../restoring.ts";
import { jsonList } from "./catalog.ts";
import { type Connection, inDatabase } from "./connection.ts";
import type { DumpContents } from "./contents.ts";
import { dump } from "./dump.ts";
import { exchange, type Exchanging, type Ground, rename, transaction } from "./exchange.ts";
import { loadInPlace } from "./in-place.ts";
import { dropDatabase, hasDatabase, patience } from "./maintenance.ts";
import { besideName, identifier, isBeside, literal, markOf } from "./names.ts";
import { contentsToLoad, hasCron, loadRules } from "./plan.ts";
import type { ServerInfo } from "./probe.ts";
import { type PropertyStatements, propertiesOf, statementsFor } from "./properties.ts";
import { checkLock } from "./psql.ts";
import { askValue, query } from "./query.ts";
import { isUsed } from "./databases.ts";
import { execute } from "./session.ts";
import { loadSpread } from "./spread.ts";
import type { PostgresTarget } from "./target.ts";

/** What the load and the dump of a new database go by. */
export interface Ways {
  /** How many sessions load side by side. */
  sessions: number;
  /** DB_DUMP_OPTIONS. */
  dumpOptions: string[];
}

/** Creates it, empty and marked as ours. Throws `Failure`. */
export async function createScratch(
  ground: Ground,
  { server, pgDump }: ServerInfo,
  { sessions, dumpOptions }: Ways,
  { options, target }: { options: ScratchOptions; target: PostgresTarget },
): Promise<Scratch> {
  const { present, maintenance } = ground;
  const { purpose, name } = options;
  if (name !== undefined) await refuseTaken(ground, name);
  const time = await freeTime(ground);
  const fresh = besideName(present.database, purpose === "verify" ? "verify" : "restoring", time);
  const properties = await propertiesFor(fresh, ground, server, options);
  // settings of a database are stored in the encoding of the session: only in the database itself they are read as they were meant
  const connection = inDatabase(present, fresh);
  /** For what is done in seconds, and could not be reported when it was half done. */
  const unstoppable = { ...maintenance, signal: new AbortController().signal };

  async function discard(): Promise<void> {
    const { signal, log } = maintenance;
    const way = { ...maintenance, signal: signal.aborted ? AbortSignal.timeout(15_000) : signal };
    const name = exchanged ? present.database : fresh;
    try {
      // whoever found the database under its final name may have begun to use it
      if (!exchanged || !(await isUsed(inDatabase(way, name)))) await dropDatabase(way, name);
    } catch (error) {
      log.warn(`the unfinished database ${name} may still exist, the next restore drops it: ${messageOf(error)}`);
    }
  }

  /** The first way that works; an error is that of the best one. */
  async function create(ways: readonly string[], mark: string): Promise<void> {
    let best: unknown;
    for (const way of ways) {
      try {
        await execute(unstoppable, `cannot create the database ${fresh}`, `${patience}${way}\n${mark}\n`);
        if (best !== undefined)
          maintenance.log.warn(`the new database sorts and compares texts differently: ${messageOf(best)}`);
        return;
      } catch (error) {
        best ??= error;
      }
    }
    throw best;
  }

  let exchanged: Exchanged | undefined;
  await using unfinished = new AsyncDisposableStack();
  unfinished.defer(discard);
  // The server finishes a CREATE DATABASE whose client has ended; psql reads its input to the end when we have ended. Together they leave
  // no database without the comment by which it is found again.
  const mark = `COMMENT ON DATABASE ${identifier(fresh)} IS ${literal(markOf(present.database, ground.system))};`;
  await create([properties.create, ...properties.otherwise], mark);
  await execute(connection, `cannot set up the database ${fresh}`, transaction(properties.early));
  for (const sql of properties.optional)
    await execute(connection, "not restored of the database's properties", sql).catch((error: unknown) => {
      connection.signal.throwIfAborted();
      connection.log.warn(
        `${messageOf(error)} (${sql.replace(identifier(fresh), identifier(name ?? present.database))})`,
      );
    });
  maintenance.log.info(`created the database ${fresh}`);
  const exchanging: Exchanging = { ground, unstoppable, fresh, time, properties };
  const created = unfinished.move();
  /** From here on it is no longer thrown away. */
  const complete = () => {
    present.signal.throwIfAborted();
    created.move();
  };
  return {
    name: fresh,
    where: connection.where,
    async load(sql, contents, options) {
      checkLock(present.psql, options.trusted);
      const dump = contents as DumpContents;
      // pg_cron can only be created in the database that has its name for good: it gets it before it is filled
      if (!ground.exists && !options.asleep && hasCron(dump)) {
        exchanged = await exchange(exchanging);
        const rules = loadRules(dump, server, target, options, "in place");
        const loaded = await loadInPlace(sql, { connection: present, contents: dump, rules, prelude: [] });
        complete();
        return loaded;
      }
      const known = contentsToLoad(dump, options);
      const rules = loadRules(dump, server, target, options, "beside");
      const prelude = known.schemas.has("public") && !rules.keptSchemas.has("public") ? ["DROP SCHEMA public;"] : [];
      const loading = { connection, contents: known, rules, prelude };
      return loadSpread(sql, loading, { sessions, keepGoing: options.keepGoing });
    },
    ask: (sql) => askValue(connection, sql),
    dump: () => dump(connection, pgDump, dumpOptions),
    async exchange() {
      if (exchanged) return exchanged;
      complete();
      return exchange(exchanging);
    },
    async keep() {
      complete();
      await rename(exchanging, name ?? fresh);
    },
    [Symbol.asyncDispose]: () => created.disposeAsync(),
  };
}

/** Of the manifest where there is no present database, or for a proof; else of the present one. */
async function propertiesFor(
  fresh: string,
  { present, exists, empty }: Ground,
  { major, encoding }: Server,
  { properties, purpose }: ScratchOptions,
): Promise<PropertyStatements> {
  const asBefore = statementsFor(fresh, properties ?? {}, { major, encoding, exactly: false });
  if (!exists || purpose === "verify") return asBefore;
  const asPresent = statementsFor(fresh, await propertiesOf(present), { major, encoding, exactly: true });
  // one that somebody created for this restore keeps its encoding and locale: the server converts what is loaded
  return empty && properties ? { ...asBefore, create: asPresent.create, otherwise: [] } : asPresent;
}

async function refuseTaken({ maintenance }: Ground, name: string): Promise<void> {
  if (Buffer.byteLength(name) > 63)
    throw usageFailure(`--into ${name}: the name has more than 63 bytes`, "choose a shorter one");
  if (await hasDatabase(maintenance, name))
    throw usageFailure(`--into ${name}: this database exists already`, "choose another name, or drop it first");
}

/** A second of which no database beside has its name yet. */
async function freeTime({ present, maintenance }: Ground): Promise<Date> {
  for (;;) {
    const time = new Date();
    const names = (["restoring", "before", "verify"] as const).map((what) => besideName(present.database, what, time));
    if (!(await hasDatabase(maintenance, ...names))) return time;
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
