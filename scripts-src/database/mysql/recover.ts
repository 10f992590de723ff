/** What killed restores have left on the server: finished, taken back or dropped, where name and mark fit. */
import { messageOf } from "../../base/errors.ts";
import type { Place } from "./connection.ts";
import { readLog, type Stage } from "./exchange-log.ts";
import { closeDropped, dropDatabase, finish, takeBack } from "./finish.ts";
import { changing } from "./locks.ts";
import { isBeside, type Purpose, quoteName, quoteText } from "./names.ts";
import type { Session } from "./session.ts";

export const markTable = "_backup_scripts_mark";

/** Says of a new database whose it is. Servers can want a key for every table (innodb_force_primary_key). */
export const mark = (name: string, database: string): string =>
  `CREATE TABLE ${quoteName(name)}.${markTable} (belongs_to varchar(64) CHARACTER SET utf8mb4 PRIMARY KEY) ENGINE=InnoDB
   AS SELECT ${quoteText(database)} AS belongs_to`;
export const unmark = (name: string): string => `DROP TABLE ${quoteName(name)}.${markTable}`;

/** Databases that restores or proofs of `database` have made, by their names alone. */
async function besideDatabases(session: Session, database: string, what: Purpose): Promise<string[]> {
  const names = (await session.ask("SELECT schema_name FROM information_schema.schemata")).flat();
  return names.filter((name) => isBeside(name, database, what)).toSorted();
}

/** The caller holds the lock. Throws `Failure` where an exchange can neither be finished nor taken back. */
export async function recover(place: Place, purpose: "restore" | "verify"): Promise<void> {
  const { database } = place;
  await using session = await changing(place, `cannot look for what earlier restores of ${database} have left`);
  const before = purpose === "restore" ? await besideDatabases(session, database, "before") : [];
  const unfinished = await besideDatabases(session, database, purpose === "restore" ? "restoring" : "verify");
  const stages = new Map<string, Stage | undefined>();
  for (const name of before) {
    const found = await readLog(session, name);
    if (found ? found.log.database === database : await isOurs(session, name, database)) stages.set(name, found?.stage);
  }
  const leftovers: string[] = [];
  for (const name of unfinished) if (await isOurs(session, name, database)) leftovers.push(name);
  const present = await session.ask(
    `SELECT 1 FROM information_schema.schemata WHERE schema_name = ${quoteText(database)}`,
  );
  await session.stop();
  for (const [name, stage] of stages)
    await (present.length > 0 ? mend(place, name, stage) : mendDropped(place, name, stage));
  for (const name of leftovers) await drop(place, name);
}

async function mend(place: Place, before: string, stage: Stage | undefined): Promise<void> {
  const { log } = place;
  if (stage === "undo") return;
  if (stage === undefined) return drop(place, before);
  if (stage === "prepared") {
    // triggers may have been dropped for the exchange
    await takeBack(place, before);
    return log.info(`dropped ${before}, which a killed run has left`);
  }
  log.warn(`an earlier restore of ${place.database} was killed while it exchanged databases`);
  if (stage === "exchanged") {
    const kept = await finish(place, before, { mayLose: true });
    log.warn(
      `finished it: ${place.database} holds what that restore loaded${kept ? `; the state before it is ${before}` : ""}`,
    );
  } else {
    await takeBack(place, before);
    log.warn(`took it back: ${place.database} is as it was before that restore`);
  }
}

/** The database was dropped since: an administrator began anew. Only after an exchange does `before` hold anything but the log. */
async function mendDropped(place: Place, before: string, stage: Stage | undefined): Promise<void> {
  if (stage === "undo") return;
  if (stage !== "exchanged") return drop(place, before);
  await closeDropped(place, before);
  place.log.warn(
    `${place.database} was dropped after an earlier restore was killed; what is left of the state before it is ${before}`,
  );
}

/** Our mark, or a log that is not complete, and nothing else but what our mark announces; or nothing at all. */
async function isOurs(session: Session, name: string, database: string): Promise<boolean> {
  const tables = (await session.ask(`SHOW TABLES FROM ${quoteName(name)}`)).flat();
  if (tables.every((table) => table === "_backup_scripts_prepared")) return true;
  if (!tables.includes(markTable)) return false;
  const [[owner] = []] = await session.ask(`SELECT belongs_to FROM ${quoteName(name)}.${markTable}`);
  return owner === database;
}

async function drop(place: Place, name: string): Promise<void> {
  const { log } = place;
  try {
    await dropDatabase(place, name);
    log.info(`dropped ${name}, which a killed run has left`);
  } catch (error) {
    log.warn(`cannot drop ${name}, which a killed run has left: ${messageOf(error)}`);
  }
}
