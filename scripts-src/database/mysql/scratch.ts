/** A new database beside the present one. */
import { messageOf } from "../../base/errors.ts";
import type { Contents } from "../database.ts";
import type { DatabaseProperties, Exchanged, Loaded, LoadOptions, Scratch, ScratchOptions } from "../restoring.ts";
import { type Connection, inDatabase, type Place } from "./connection.ts";
import type { DumpContents } from "./contents.ts";
import { dump } from "./dump.ts";
import { exchange, freeBeside } from "./exchange.ts";
import { loadable } from "./filter.ts";
import { dropDatabase } from "./finish.ts";
import { load, type ObjectKind } from "./load.ts";
import { changing } from "./locks.ts";
import { quoteName } from "./names.ts";
import { collationOf } from "./objects.ts";
import { loadRules } from "./plan.ts";
import type { ServerInfo } from "./probe.ts";
import { mark, markTable, unmark } from "./recover.ts";
import { query } from "./session.ts";
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
