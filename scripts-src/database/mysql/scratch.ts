/** A new database beside the present one. */
import { messageOf } from "../../base/errors.ts";
import type { DatabaseProperties, Exchanged, Loaded, LoadOptions, Scratch, ScratchOptions } from "../restoring.ts";
import { inDatabase, type Place } from "./connection.ts";
import type { DumpContents } from "./contents.ts";
import { dump } from "./dump.ts";
import { exchange, freeBefore } from "./exchange.ts";
import { dropDatabase } from "./finish.ts";
import { loadable } from "./filter.ts";
import { load, type ObjectKind } from "./load.ts";
import { changing } from "./locks.ts";
import { besideName, quoteName } from "./names.ts";
import { collationOf } from "./objects.ts";
import { loadRules } from "./plan.ts";
import type { ServerInfo } from "./probe.ts";
import { mark, markTable, unmark } from "./recover.ts";
import { checkRows } from "./rows-loaded.ts";
import type { Piece } from "./statements.ts";
import { query } from "./session.ts";

/** Creates it, empty and marked as ours. Throws `Failure`. */
export async function createScratch(
  place: Place,
  serverInfo: ServerInfo,
  { purpose, name: wanted, properties }: ScratchOptions,
): Promise<Scratch> {
  const { database, settings } = place;
  const time = new Date();
  const name =
    purpose === "into" ? (wanted ?? "") : besideName(database, purpose === "verify" ? "verify" : "restoring", time);
  await create(place, name, properties);
  const connection = inDatabase(place, name);
  let disposable = true;
  /** SQL of what the present database will need besides tables. */
  const objects: { triggers: Buffer[]; others: Buffer[] } = { triggers: [], others: [] };

  async function loadIt(sql: AsyncIterable<Uint8Array>, contents: DumpContents, options: LoadOptions): Promise<Loaded> {
    const { noOwner, asleep } = options;
    const quiet = asleep || purpose === "restore";
    // another definer has rights on the present database alone, and a view over his view could not be created beside it
    const rules = loadRules(contents, serverInfo, {
      database: name,
      noOwner: noOwner || purpose === "restore",
      asleep: quiet,
    });
    const homeRules = { ...rules, noOwner, database: purpose === "restore" ? database : name, asleep };
    const onObject = (piece: Piece, kind: ObjectKind) => {
      const text = loadable(piece, homeRules);
      if (text && (kind === "setting" || kind === "trigger")) objects.triggers.push(text);
      if (text && kind !== "trigger") objects.others.push(text);
    };
    await load(connection, sql, {
      rules,
      settings,
      present: purpose === "restore" ? database : undefined,
      onObject,
    });
    return checkRows(place, name, contents.rows);
  }

  async function exchangeIt(): Promise<Exchanged> {
    const before = await freeBefore(place, time);
    const { triggers, others } = objects;
    const kept = await exchange(place, { source: name, before, triggers: latin1(triggers), objects: latin1(others) });
    disposable = false;
    return exchanged(place, kept ? before : undefined);
  }

  return {
    name,
    where: connection.target.where,
    load: (sql, contents, options) => loadIt(sql, contents as DumpContents, options),
    ask: async (sql) => (await query(connection, `START TRANSACTION READ ONLY;\n${sql}`))[0]?.[0] ?? "",
    dump: (options) =>
      dump(connection, { ...serverInfo, grants: serverInfo.grants.beside() }, [
        ...options,
        `--ignore-table=${name}.${markTable}`,
      ]),
    exchange: exchangeIt,
    async keep() {
      await using session = await changing(place, `cannot keep ${name}`);
      await session.ask(unmark(name));
      disposable = false;
    },
    async [Symbol.asyncDispose]() {
      if (!disposable) return;
      const signal = AbortSignal.timeout(30_000);
      await dropDatabase({ ...place, signal }, name).catch((error: unknown) => {
        place.log.warn(
          `the unfinished database ${name} is still there, the next restore drops it: ${messageOf(error)}`,
        );
      });
    },
  };
}

const latin1 = (texts: readonly Buffer[]): string => Buffer.concat(texts).toString("latin1");

/** How the exchange is taken back, and what drops the state before. */
export const exchanged = (place: Place, before: string | undefined): Exchanged =>
  before === undefined
    ? { before, undo: "", drop: "", dropBefore: () => Promise.resolve() }
    : {
        before,
        undo: ["--undo", before],
        drop: `DROP DATABASE ${quoteName(before)};`,
        dropBefore: () => dropDatabase(place, before),
      };

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
