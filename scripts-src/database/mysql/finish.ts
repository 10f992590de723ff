/** Completes or reverses an exchange of tables by its log, also when the program that began it was killed. */
import { hintsOf } from "../../base/disk.ts";
import { Failure, messageOf } from "../../base/errors.ts";
import { listed } from "../../base/text.ts";
import type { Place } from "./connection.ts";
import { type ExchangeLog, logTable, readLog } from "./exchange-log.ts";
import { finishingMoves, takeBackStatements, type Whereabouts } from "./exchange-plan.ts";
import { changing } from "./locks.ts";
import { asBytes, isBeside, quoteName, quoteText } from "./names.ts";
import { dropObjects, idOf, isTrigger, listObjects, type Other, type Remade, sqlOf } from "./objects.ts";
import { refusalIn, Session } from "./session.ts";

async function whereabouts(session: Session, { database, source }: ExchangeLog, before: string): Promise<Whereabouts> {
  const tables = async (name: string) => {
    const schema = `SELECT table_name FROM information_schema.tables WHERE table_schema = ${quoteText(name)} AND table_type <> 'VIEW'`;
    return new Set((await session.ask(schema)).flat());
  };
  return { live: await tables(database), before: await tables(before), source: await tables(source) };
}

/**
 * MySQL with enforce_gtid_consistency renames tables with and without transactions in no statement together, and the latter not under
 * LOCK TABLES.
 */
export const renamesApart = async (session: Session): Promise<boolean> =>
  (await session.ask("SHOW GLOBAL VARIABLES LIKE 'enforce_gtid_consistency'"))[0]?.[1] === "ON";

/**
 * The new tables have their place since a moment ago: makes their views, triggers, events and routines, or puts the old tables back.
 * Returns whether `before` is kept. Throws a `Failure` that says how the present database is now.
 */
export async function finishOrTakeBack(place: Place, before: string): Promise<boolean> {
  try {
    return await finish(place, before, { mayLose: false });
  } catch (error) {
    const lost = await takeBack(place, before);
    const state = lost.length > 0 ? `, but these could not be made again: ${lost.join(", ")}` : ": nothing was changed";
    throw new Failure(`${messageOf(error)}\nthe tables were put back${state}`, {
      hints: hintsOf(error),
      cause: error,
    });
  }
}

/**
 * Finishes an exchange whose tables have been exchanged, whatever of it is done already. Returns whether `before` is kept. Throws `Failure`.
 * With `mayLose` a missing view, trigger or routine is a warning: users may have written into the new tables since.
 */
export async function finish(place: Place, before: string, { mayLose }: { mayLose: boolean }): Promise<boolean> {
  await using session = await changing(place, `cannot finish the exchange of ${place.database}`);
  const found = await readLog(session, before);
  if (found?.stage !== "exchanged") return true;
  const { log } = found;
  const { database, source, freshTriggers, freshObjects, freshCollation } = log;
  const moves = finishingMoves(log, before, await whereabouts(session, log, before));
  // first those that serve users, in one go; tables set aside are nobody's any more
  const rest = moves.filter((one) => !one.includes("`_backup_scripts_aside_"));
  for (const one of rest) await session.ask(`RENAME TABLE ${one}`);
  await session.ask(
    `${dropObjects(database, (await listObjects(session, database)).others)}ALTER DATABASE ${quoteName(database)} COLLATE ${freshCollation}`,
  );
  runObjects(place, session, freshTriggers + freshObjects);
  await session.settled();
  const made = new Set((await listObjects(session, database)).others.map(idOf));
  const missing = log.freshNames.filter((name) => !made.has(name));
  const lost = `the exchange lost what the restore had loaded: ${listed(missing)}`;
  if (missing.length > 0 && !mayLose) throw new Failure(lost);
  if (missing.length > 0) place.log.warn(lost);
  for (const one of moves) if (!rest.includes(one)) await session.ask(`RENAME TABLE ${one}`);
  await grantAgain(place, session, log);
  await close(session, log, before);
  await dropEmpty(place, session, source);
  return !log.wasEmpty;
}

const close = async (session: Session, { wasEmpty }: ExchangeLog, before: string) =>
  session.ask(
    wasEmpty
      ? `DROP DATABASE ${quoteName(before)}`
      : `RENAME TABLE ${logTable(before, "exchanged")} TO ${logTable(before, "undo")}`,
  );

/** Ends an exchange whose database somebody has dropped since: nothing can be finished, and the tables in `before` are kept. */
export async function closeDropped(place: Place, before: string): Promise<void> {
  await using session = await changing(place, `cannot end the exchange of ${place.database}`);
  const found = await readLog(session, before);
  if (found) await close(session, found.log, before);
}

/** The exchange is done by then: a failure here must not be taken for one of it. */
async function dropEmpty({ log }: Place, session: Session, database: string): Promise<void> {
  try {
    if ((await listObjects(session, database)).tables.length === 0)
      await session.ask(`DROP DATABASE IF EXISTS ${quoteName(database)}`);
  } catch (error) {
    log.warn(
      `the empty database ${database} stays: ${messageOf(error)}; drop it: DROP DATABASE ${quoteName(database)}`,
    );
  }
}

/** Puts the tables back that were exchanged, and makes all else again; returns what could not be made. Throws `Failure`. */
export async function takeBack(place: Place, before: string): Promise<string[]> {
  await using session = await changing(place, `cannot put the tables of ${place.database} back`);
  const found = await readLog(session, before);
  if (!found || found.stage === "undo") return [];
  const { log, stage } = found;
  let lost: string[] = [];
  const { database, source, oldTriggers, oldObjects, oldCollation } = log;
  if (stage === "prepared") {
    await makeTriggersAgain(place, session, log);
  } else {
    // somebody can have dropped it meanwhile
    await session.ask(`CREATE DATABASE IF NOT EXISTS ${quoteName(database)}`);
    const { others } = await listObjects(session, database);
    // tables that were set aside within the database have kept their triggers, and so has what is back already
    const aside = new Set(Object.values(log.aside));
    const isFresh = ({ table }: { table: string }) => stage === "exchanged" && !aside.has(table);
    await clear(
      place,
      others.filter((one) => !isTrigger(one) || isFresh(one)),
    );
    if (stage === "exchanged") {
      const at = await whereabouts(session, log, before);
      session.write(takeBackStatements(log, before, at, await renamesApart(session)));
    }
    await session.ask(`ALTER DATABASE ${quoteName(database)} COLLATE ${oldCollation}`);
    lost = await remake(place, session, [...oldTriggers, ...oldObjects]);
    await grantAgain(place, session, log);
  }
  await session.ask(`DROP DATABASE ${quoteName(before)}`);
  // what is taken back may be an undo: then the source is the state before a restore
  if (isBeside(source, database, "restoring")) await session.ask(`DROP DATABASE IF EXISTS ${quoteName(source)}`);
  return lost;
}

export const dropTriggers = ({ database, dropped }: ExchangeLog): string =>
  dropped.map((name) => `DROP TRIGGER IF EXISTS ${quoteName(database)}.${quoteName(name)};\n`).join("");

/** Triggers that were dropped for the exchange of tables which did not come about. */
export async function makeTriggersAgain(place: Place, session: Session, log: ExchangeLog): Promise<void> {
  const present = new Set((await listObjects(session, log.database)).others.map(idOf));
  if (log.dropped.every((name) => present.has(`TRIGGER ${name}`))) return;
  // all of them, in their order
  session.write(dropTriggers(log));
  runObjects(place, session, sqlOf(log.oldTriggers.filter(({ name }) => log.dropped.includes(name))));
  await session.settled();
}

/** Rights on single routines, which their DROP has taken; for those that are there again. */
async function grantAgain(place: Place, session: Session, { grants, database }: ExchangeLog): Promise<void> {
  const { others } = await listObjects(session, database);
  const names = others.map(({ kind, name }) => ` ON ${kind} ${quoteName(database)}.${quoteName(name)} TO `);
  for (const grant of grants.filter((one) => names.some((name) => one.includes(name)))) {
    await using alone = new Session(place, grant);
    try {
      await alone.ask(grant);
    } catch (error) {
      place.log.warn(`a right on a routine was lost, grant it again: ${messageOf(error)}`);
    }
  }
}

export async function dropDatabase(place: Place, name: string): Promise<void> {
  await using session = await changing(place, `cannot drop ${name}`);
  await session.ask(`DROP DATABASE IF EXISTS ${quoteName(name)}`);
}

/** Hands over the SQL of objects for the present database. */
export function runObjects({ settings, database }: Place, session: Session, sql: string): void {
  session.write(`USE ${quoteName(database)};\n`, Buffer.from(sql, "latin1"), `\nSET NAMES utf8mb4;\n${settings}`);
}

/** Carries SQL out in the present database, in a session of its own; returns why the server refuses it. Throws `Failure`. */
async function refusalOf(place: Place, sql: string): Promise<string | undefined> {
  await using session = new Session(place, `cannot change ${place.database}`);
  try {
    session.write(place.settings);
    runObjects(place, session, sql);
    await session.settled();
    return undefined;
  } catch (error) {
    const why = refusalIn(error);
    if (why === undefined) throw error;
    return why;
  }
}

/** Drops these objects. On MySQL only a user with SYSTEM_USER can drop those of a definer who has it: they are left. Throws `Failure`. */
async function clear(place: Place, objects: readonly Other[]): Promise<void> {
  const drop = (some: readonly Other[]) => refusalOf(place, asBytes(dropObjects(place.database, some)));
  if ((await drop(objects)) !== undefined) for (const one of objects) await drop([one]);
}

/**
 * Makes the missing objects again. When the server refuses one, a warning holds its definition, and the others are still made. Returns
 * the names of the refused ones. Throws `Failure`.
 */
async function remake(place: Place, session: Session, objects: readonly Remade[]): Promise<string[]> {
  const { log, database } = place;
  const listed = async () => (await listObjects(session, database)).others;
  const present = new Set((await listed()).map(idOf));
  const missing = objects.filter((one) => !present.has(idOf(one)));
  if ((await refusalOf(place, sqlOf(missing))) === undefined) return [];
  for (const made of (await listed()).filter((one) => !present.has(idOf(one)))) await clear(place, [made]);
  const lost: string[] = [];
  for (const { kind, name, sql } of missing) {
    const why = await refusalOf(place, sql);
    if (why === undefined) continue;
    lost.push(`${kind.toLowerCase()} ${name}`);
    // a view of constants stands in its place
    if (kind === "VIEW") await session.ask(`DROP VIEW IF EXISTS ${quoteName(database)}.${quoteName(name)}`);
    const definition = Buffer.from(sql, "latin1").toString();
    log.warn(`the ${kind.toLowerCase()} ${name} could not be made again (${why}); its definition: ${definition}`);
  }
  return lost;
}
