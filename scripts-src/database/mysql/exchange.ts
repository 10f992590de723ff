/**
 * Puts a new database's tables in the place of the present ones by one RENAME TABLE, then its views, triggers, events and routines. Nothing
 * of the present database is touched before; each later step can be finished or taken back by any later run.
 */
import { exitStatus, Failure, messageOf } from "../../base/errors.ts";
import { pause } from "../../base/retry.ts";
import type { Exchanged } from "../restoring.ts";
import type { Place } from "./connection.ts";
import { type ExchangeLog, readLog, writeLog } from "./exchange-log.ts";
import { exchangeStatements, type Keys, lockStatement, planTables } from "./exchange-plan.ts";
import { dropDatabase, dropTriggers, finishOrTakeBack, makeTriggersAgain, renamesApart, runObjects } from "./finish.ts";
import { changing } from "./locks.ts";
import { orphanKeys, readGrants, sequenceDefaults } from "./lost-by-exchange.ts";
import { besideName, isBeside, type Purpose, quoteName, quoteText } from "./names.ts";
import { collationOf, dropObjects, idOf, intactOf, isTrigger, listObjects, recreate, sqlOf } from "./objects.ts";
import { query, type Session } from "./session.ts";
import { ties, tiesQuestion } from "./target.ts";

interface ExchangeJob {
  /** Whose tables take the place. */
  source: string;
  /** Name that the present state gets. */
  before: string;
  /** SQL that makes its triggers, and what makes all else but tables, a letter for each byte. */
  triggers: string;
  objects: string;
}

/** How long (s) the exchange waits for other sessions' transactions in a try; everybody else waits behind it meanwhile. */
const lockWait = 3;
/** Pauses (ms) between the tries: ten minutes together, for behind a failure a long load is lost. */
const pauses = [1_000, 2_000, 4_000, 8_000, 15_000, ...Array.from({ length: 19 }, () => 30_000)];

/** As `Scratch.exchange`. Throws `Failure`; then the present database is as it was, unless the message says otherwise. */
export async function exchange(place: Place, job: ExchangeJob): Promise<Exchanged | undefined> {
  const { signal } = place;
  // what has begun is finished: SIGTERM leaves time for that
  const steady = { ...place, signal: new AbortController().signal };
  await prepare(steady, job);
  await renameAll(steady, job, signal);
  return (await finishOrTakeBack(steady, job.before)) ? exchanged(place, job.before) : undefined;
}

/** How the exchange is taken back, and what drops the state before. */
const exchanged = (place: Place, before: string): Exchanged => ({
  before,
  undo: ["--undo", before],
  drop: `DROP DATABASE ${quoteName(before)};`,
  dropBefore: () => dropDatabase(place, before),
});

/** Writes the log, and removes from the new database what cannot be renamed. */
async function prepare(place: Place, { source, before, triggers, objects }: ExchangeJob): Promise<void> {
  const { database, log } = place;
  await using session = await changing(place, `cannot exchange ${database}`);
  const [live, fresh] = [await listObjects(session, database), await listObjects(session, source)];
  const isEmpty = live.tables.length + live.others.length === 0;
  const orphans = isEmpty ? await orphanKeys(session, source) : { drop: "", add: "" };
  if (orphans.drop) await session.ask(orphans.drop);
  await refuseTied(session, database, source, isEmpty);
  const [liveKeys, freshKeys] = [await foreignKeys(session, database), await foreignKeys(session, source)];
  const old = await recreate(session, database, await intactOf(session, database, live.others, log));
  const isLoose = [...live.tables, ...fresh.tables].some(({ engine }) => engine !== "InnoDB");
  const apart = isLoose && (await renamesApart(session));
  const locks = place.locks && !apart && (place.isSystemUser || !(await hasOthersTriggers(session, database)));
  const tables = planTables({ live, fresh: fresh.tables, liveKeys, freshKeys, locks });
  const { grants, hidden } = await readGrants(session, database, live.others);
  if (hidden) log.warn(hidden);
  const freshCollation = (await collationOf(session, source)) ?? "utf8mb4_general_ci";
  const oldCollation = (await collationOf(session, database)) ?? freshCollation;
  await session.ask(
    `CREATE DATABASE IF NOT EXISTS ${quoteName(database)} COLLATE ${freshCollation};
     CREATE DATABASE ${quoteName(before)} COLLATE ${oldCollation}`,
  );
  await writeLog(session, before, {
    database,
    source,
    wasEmpty: isEmpty,
    ...tables,
    oldTriggers: old.filter(isTrigger),
    oldObjects: old.filter((one) => !isTrigger(one)),
    freshTriggers: (await sequenceDefaults(session, source, database)) + triggers,
    freshObjects: objects + orphans.add,
    freshNames: fresh.others.filter(({ kind }) => kind !== "EVENT").map(idOf),
    grants,
    oldCollation,
    freshCollation,
  });
  await session.ask(`${dropObjects(source, fresh.others.filter(isTrigger))}DO 0`);
}

async function refuseTied(session: Session, database: string, source: string, isEmpty: boolean): Promise<void> {
  const tied = [...ties(await session.ask(tiesQuestion(source))), ...ties(await session.ask(tiesQuestion(database)))];
  if (tied.length === 0) return;
  throw new Failure(`${database} cannot be exchanged for ${source}: ${tied.join("; ")}`, {
    hints: [
      isEmpty
        ? `create the database where it does not exist (CREATE DATABASE ${quoteName(database)}), and restore with --in-place`
        : "restore with --in-place: the present state is backed up first, then everything in the database is replaced",
    ],
  });
}

/** Whether triggers of another account are there: what is dropped of these, the user may not be able to make again. */
async function hasOthersTriggers(session: Session, database: string): Promise<boolean> {
  const [[count] = []] = await session.ask(
    `SELECT count(*) FROM information_schema.triggers WHERE event_object_schema = ${quoteText(database)} AND definer <> current_user()`,
  );
  return count !== "0";
}

async function foreignKeys(session: Session, database: string): Promise<Keys> {
  const rows = await session.ask(
    `SELECT table_name, constraint_name FROM information_schema.table_constraints WHERE table_schema = ${quoteText(database)} AND constraint_type = 'FOREIGN KEY'`,
  );
  return rows.map(([table = "", key = ""]) => ({ table, key }));
}

/** Throws `Failure`; then nothing was exchanged, and `before` has been dropped. */
async function renameAll(place: Place, { before }: ExchangeJob, signal: AbortSignal): Promise<void> {
  const { database, log } = place;
  for (let tried = 0; ; tried++) {
    try {
      signal.throwIfAborted();
      return await renameOnce(place, before);
    } catch (error) {
      const stage = await restoreTriggers(place, before);
      // the server has renamed the tables, but its answer did not reach the client
      if (stage === "exchanged") return;
      const wait = /ERROR 1205\b/.test(messageOf(error)) ? pauses[tried] : undefined;
      if (stage === "prepared" && wait === undefined) await dropDatabase(place, before);
      if (stage !== "prepared" || wait === undefined) throw error;
      log.warn(
        `other sessions hold tables of ${database}; next try in ${wait / 1000} s (${tried + 1} of ${pauses.length + 1})`,
      );
      // when a signal has ended the pause, the next try throws its reason
      await pause(wait, signal).catch(() => {});
    }
  }
}

async function renameOnce(place: Place, before: string): Promise<void> {
  const { database } = place;
  await using session = await changing(place, `cannot exchange ${database}`);
  const found = await readLog(session, before);
  if (!found) throw new Failure(`the log in ${before} is missing`);
  const { log } = found;
  const apart = log.loose.length > 0 && (await renamesApart(session));
  // a view would lock what it selects from, wherever that is; and a table set aside still has its triggers
  const isAside = Object.keys(log.aside).length > 0;
  const locks = place.locks && !apart && !isAside && log.dropped.length + log.freshTriggers.length > 0;
  session.write(
    `SET SESSION lock_wait_timeout = ${lockWait}, innodb_lock_wait_timeout = ${lockWait};\n`,
    locks ? `${lockStatement(log, before)};\n` : "",
    dropTriggers(log),
    exchangeStatements(log, before, apart),
  );
  if (locks) runObjects(place, session, log.freshTriggers);
  await session.settled();
}

/** Makes the triggers again that were dropped for the exchange, if it did not happen. Returns its stage, once none of its statements runs any more. */
async function restoreTriggers(place: Place, before: string): Promise<string | undefined> {
  await using session = await changing(place, `cannot put the triggers of ${place.database} back`);
  const found = await readLog(session, before);
  if (found?.stage === "prepared") await makeTriggersAgain(place, session, found.log);
  return found?.stage;
}

/** A name beside the present database that no other one has: another run may have made one in the same second. */
export async function freeBeside(place: Place, what: Purpose, time: Date): Promise<string> {
  const rows = await query(place, "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA");
  const taken = new Set(rows.map(([name]) => name?.toLowerCase()));
  for (let at = time.getTime(); ; at += 1000) {
    const name = besideName(place.database, what, new Date(at));
    if (!taken.has(name.toLowerCase())) return name;
  }
}

/** Exchanges the present database for the one that an earlier restore has kept. */
export async function undo(place: Place, kept: string): Promise<Exchanged | undefined> {
  const found = await findUndo(place, kept);
  const before = await freeBeside(place, "before", new Date());
  const [triggers, objects] = [sqlOf(found.oldTriggers), sqlOf(found.oldObjects)];
  return exchange(place, { source: kept, before, triggers, objects });
}

async function findUndo(place: Place, kept: string): Promise<ExchangeLog> {
  await using session = await changing(place, `cannot look into ${kept}`);
  const found = isBeside(kept, place.database, "before")
    ? await readLog(session, kept).catch(() => undefined)
    : undefined;
  if (found?.stage === "undo" && found.log.database === place.database) return found.log;
  throw new Failure(`${kept} is not a state of ${place.database} that a restore has kept`, {
    status: exitStatus.usage,
    hints: [
      `such databases are called ${besideName(place.database, "before", new Date())}, and are listed by SHOW DATABASES`,
    ],
  });
}
