/** A new database beside the present one; and the removal of those that killed restores have left. */
import { messageOf } from "../../base/errors.ts";
import type { Contents } from "../database.ts";
import type { DatabaseProperties, Exchanged, Loaded, LoadOptions, Scratch, ScratchOptions } from "../restoring.ts";
import { type Connection, inDatabase, type Place } from "./connection.ts";
import type { DumpContents } from "./contents.ts";
import { dump } from "./dump.ts";
import { readLog, type Stage } from "./exchange-log.ts";
import { exchange, freeBeside } from "./exchange.ts";
import { loadable } from "./filter.ts";
import { closeDropped, dropDatabase, finish, takeBack } from "./finish.ts";
import { load, type ObjectKind } from "./load.ts";
import { changing } from "./locks.ts";
import { isBeside, type Purpose, quoteName, quoteText } from "./names.ts";
import { collationOf } from "./objects.ts";
import { loadRules } from "./plan.ts";
import type { ServerInfo } from "./probe.ts";
import { query, type Session } from "./session.ts";
import type { Piece } from "./statements.ts";

/** Creates it, empty and marked as ours. Throws `Failure`. */
export async function createScratch(
  place: Place,
  serverInfo: ServerInfo,
  { purpose, name: wanted = "", properties }: ScratchOptions,
): Promise<Scratch> {
  const time = new Date();
  const name =
    purpose === "into" ? wanted : await freeBeside(place, purpose === "verify" ? "verify" : "restoring", time);
  await create(place, name, properties);
  return new NewDatabase(name, { place, serverInfo, isExchanged: purpose === "restore", time });
}

interface Making {
  place: Place;
  serverInfo: ServerInfo;
  /** It is to take the place of the present one. */
  isExchanged: boolean;
  time: Date;
}

class NewDatabase implements Scratch {
  readonly name: string;
  readonly #making: Making;
  readonly #connection: Connection;
  /** SQL of what the present database will need besides tables. */
  readonly #triggers: Buffer[] = [];
  readonly #objects: Buffer[] = [];
  #stays = false;

  constructor(name: string, making: Making) {
    this.name = name;
    this.#making = making;
    this.#connection = inDatabase(making.place, name);
  }

  async load(sql: AsyncIterable<Uint8Array>, contents: Contents, options: LoadOptions): Promise<Loaded> {
    const { place, serverInfo, isExchanged } = this.#making;
    const { noOwner, asleep } = options;
    const dumped = contents as DumpContents;
    // another definer has rights on the present database alone, and a view over his view could not be created beside it
    const rules = loadRules(dumped, serverInfo, {
      database: this.name,
      noOwner: noOwner || isExchanged,
      asleep: asleep || isExchanged,
    });
    const homeRules = { ...rules, noOwner, database: isExchanged ? place.database : this.name, asleep };
    const onObject = (piece: Piece, kind: ObjectKind) => {
      const text = loadable(piece, homeRules);
      if (text && (kind === "setting" || kind === "trigger")) this.#triggers.push(text);
      if (text && kind !== "trigger") this.#objects.push(text);
    };
    const present = isExchanged ? place.database : undefined;
    return load(place, sql, { rules, rows: dumped.rows, present, onObject });
  }

  async ask(sql: string): Promise<string> {
    return (await query(this.#connection, `START TRANSACTION READ ONLY;\n${sql}`))[0]?.[0] ?? "";
  }

  dump(options: readonly string[]): AsyncIterable<Uint8Array> {
    const { serverInfo } = this.#making;
    const words = [...options, `--ignore-table=${this.name}.${markTable}`];
    return dump(this.#connection, { ...serverInfo, grants: serverInfo.grants.beside() }, words);
  }

  async exchange(): Promise<Exchanged | undefined> {
    const { place, time } = this.#making;
    const before = await freeBeside(place, "before", time);
    const [triggers, objects] = [latin1(this.#triggers), latin1(this.#objects)];
    const kept = await exchange(place, { source: this.name, before, triggers, objects });
    this.#stays = true;
    return kept;
  }

  async keep(): Promise<void> {
    await using session = await changing(this.#making.place, `cannot keep ${this.name}`);
    await session.ask(unmark(this.name));
    this.#stays = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stays) return;
    const { place } = this.#making;
    const signal = AbortSignal.timeout(30_000);
    await dropDatabase({ ...place, signal }, this.name).catch((error: unknown) => {
      place.log.warn(
        `the unfinished database ${this.name} is still there, the next restore drops it: ${messageOf(error)}`,
      );
    });
  }
}

const latin1 = (texts: readonly Buffer[]): string => Buffer.concat(texts).toString("latin1");

async function create(place: Place, name: string, properties: DatabaseProperties = {}): Promise<void> {
  const [collation, charset] = [properties.collation, properties.charset].map((value) =>
    typeof value === "string" && /^\w+$/.test(value) ? value : undefined,
  );
  try {
    await createWith(place, name, collation && `COLLATE ${collation}`);
  } catch (error) {
    // collations differ between MySQL and MariaDB
    if (charset === undefined || !messageOf(error).includes("ERROR 1273 ")) throw error;
    place.log.warn(`the new database compares texts differently: ${messageOf(error)}`);
    await createWith(place, name, `CHARACTER SET ${charset}`);
  }
}

/** Without `words`, as the present database. */
async function createWith(place: Place, name: string, words: string | undefined): Promise<void> {
  await using session = await changing(place, `cannot create the database ${name}`);
  const present = await collationOf(session, place.database);
  const options = words ?? (present === undefined ? "" : `COLLATE ${present}`);
  await session.ask(`CREATE DATABASE ${quoteName(name)} ${options}; ${mark(name, place.database)}`);
}

const markTable = "_backup_scripts_mark";

/** Marks a new database as ours, made for `database`. The mark has a key: servers can demand one for every table (innodb_force_primary_key). */
const mark = (name: string, database: string): string =>
  `CREATE TABLE ${quoteName(name)}.${markTable} (belongs_to varchar(64) CHARACTER SET utf8mb4 PRIMARY KEY) ENGINE=InnoDB
   AS SELECT ${quoteText(database)} AS belongs_to`;
const unmark = (name: string): string => `DROP TABLE ${quoteName(name)}.${markTable}`;

/** Databases that restores or proofs of `database` have made, by their names alone. */
async function besideDatabases(session: Session, database: string, what: Purpose): Promise<string[]> {
  const names = (await session.ask("SELECT schema_name FROM information_schema.schemata")).flat();
  return names.filter((name) => isBeside(name, database, what)).toSorted();
}

/**
 * Finishes, takes back or drops what killed restores have left on the server, where name and mark fit. The caller holds the lock. Throws
 * `Failure` where an exchange can neither be finished nor taken back.
 */
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

/** The present database was dropped since. `before` holds more than the log only after an exchange. */
async function mendDropped(place: Place, before: string, stage: Stage | undefined): Promise<void> {
  if (stage === "undo") return;
  if (stage !== "exchanged") return drop(place, before);
  await closeDropped(place, before);
  place.log.warn(
    `${place.database} was dropped after an earlier restore was killed; what is left of the state before it is ${before}`,
  );
}

/** Whether the database bears our mark for `database`, holds nothing but an incomplete log, or is empty. */
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
