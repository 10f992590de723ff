/** MySQL and MariaDB: their dump programs and clients behind the interface of a database engine. */
import type { Settings } from "../../settings/settings.ts";
import type { Connected, Database, DatabaseContext } from "../database.ts";
import { connectionFrom } from "./connection.ts";
import type { DumpContents } from "./contents.ts";
import { checkSight, dump, noteFloats, stockRestore } from "./dump.ts";
import { dumpOptionsFrom } from "./dump-options.ts";
import { dumpReader } from "./examine.ts";
import { loadInPlace } from "./in-place.ts";
import { lockRestore } from "./locks.ts";
import { placeOf } from "./restoring.ts";
import { checkListed, type Listed, listObjects } from "./listed.ts";
import { comparePlan, type MysqlPlan } from "./plan.ts";
import { probe } from "./probe.ts";
import { askTarget } from "./state.ts";

/** Connects to nothing yet. Throws `Failure` with status 2 when the settings do not name a database. */
export function openMysql(settings: Settings, context: DatabaseContext): Database {
  const connection = connectionFrom(settings, context);
  const options = dumpOptionsFrom(settings.DB_DUMP_OPTIONS);
  const { target } = connection;
  const database = {
    engine: target.family,
    takes: ["mysql", "mariadb"],
    name: target.database,
    where: target.where,
    atomicLoad: false,
    reader: dumpReader,
  } as const;

  async function connect(): Promise<Connected> {
    const contact = await probe(connection);
    let listed: Listed = new Map();
    return {
      ...database,
      engine: contact.kind.family,
      server: contact.server,
      async checkReading() {
        checkSight(contact, options, target.database);
        await noteFloats(connection, contact);
      },
      async *dump() {
        listed = await listObjects(connection, contact.client);
        yield* dump(connection, contact, options);
      },
      checkDumped: (contents) => checkListed(connection, contact.client, contents as DumpContents, listed, options),
      stockRestore: (file, compression) => stockRestore(file, compression, target.database, contact),
      plan: async (contents, { noOwner }) =>
        comparePlan(contents as DumpContents, contact, await askTarget(connection, contact), {
          database: target.database,
          noOwner,
        }),
      async load(sql, plan) {
        const place = await placeOf(connection, contact);
        await using _lock = await lockRestore(place);
        await loadInPlace(place, contact, sql, (plan as MysqlPlan).contents, { ...(plan as MysqlPlan).rules });
      },
    };
  }
  return { ...database, connect };
}
