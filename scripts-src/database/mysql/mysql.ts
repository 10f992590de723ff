/** MySQL and MariaDB: their dump programs and clients behind the interface of a database engine. */
import type { Settings } from "../../settings/settings.ts";
import type { Connected, ConnectOptions, Database, DatabaseContext } from "../database.ts";
import { comparing } from "./fingerprint.ts";
import { serverAccounts } from "./accounts.ts";
import { withoutBroken } from "./broken-views.ts";
import { connectionFrom } from "./connection.ts";
import { listDatabases, propertiesOf } from "./databases.ts";
import type { DumpContents } from "./contents.ts";
import { checkDumped, checkSight, dump, noteFloats, stockRestore } from "./dump.ts";
import { dumpOptionsFrom } from "./dump-options.ts";
import { dumpReader } from "./examine.ts";
import { restoringOf } from "./restoring.ts";
import { type Listed, listObjects } from "./listed.ts";
import { probe } from "./probe.ts";

/** Connects to nothing yet. Throws `Failure` with status 2 when the settings do not name a database. */
export function openMysql(settings: Settings, context: DatabaseContext): Database {
  const connection = connectionFrom(settings, context);
  const chosen = dumpOptionsFrom(settings.DB_DUMP_OPTIONS);
  const { target } = connection;
  const database = {
    engine: target.family,
    takes: ["mysql", "mariadb"],
    name: target.database,
    where: target.where,
    atomicLoad: false,
    reader: dumpReader,
    comparing,
  } as const;

  async function connect(how?: ConnectOptions): Promise<Connected> {
    const contact = await probe(connection, how);
    const options = [...chosen, ...(how?.leaveOutBroken ? await withoutBroken(connection, contact.client) : [])];
    let listed: Listed = new Map();
    return {
      ...database,
      engine: contact.kind.family,
      server: contact.server,
      roles: serverAccounts(connection, contact),
      properties: () => propertiesOf(connection, contact.client),
      databases: () => listDatabases(connection, contact.client),
      async checkReading() {
        checkSight(contact, options, target.database);
        await noteFloats(connection, contact);
      },
      async *dump() {
        listed = await listObjects(connection, contact.client);
        yield* dump(connection, contact, options);
      },
      checkDumped: (contents) => checkDumped(connection, contact, contents as DumpContents, listed, options),
      stockRestore: (file, compression) => stockRestore(file, compression, target.database, contact),
      exists: contact.exists,
      ...restoringOf(connection, contact, options),
    };
  }
  return { ...database, connect };
}
