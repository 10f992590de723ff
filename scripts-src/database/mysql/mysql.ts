/** MySQL and MariaDB: their dump programs and clients behind the interface of a database engine. */
import type { Settings } from "../../settings/settings.ts";
import type { Connected, ConnectOptions, Database, DatabaseContext } from "../database.ts";
import { comparing } from "./fingerprint.ts";
import { serverAccounts } from "./accounts.ts";
import { withoutBroken } from "./broken-views.ts";
import { connectionFrom } from "./connection.ts";
import { listDatabases } from "./databases.ts";
import type { DumpContents } from "./contents.ts";
import { checkDumped, checkGrants, dump, noteFloats, stockRestore } from "./dump.ts";
import { dumpOptionsFrom } from "./dump-options.ts";
import { dumpReader } from "./examine.ts";
import { restoringOf } from "./restoring.ts";
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
    const serverInfo = await probe(connection, how);
    const options = [...chosen, ...(how?.leaveOutBroken ? await withoutBroken(connection, serverInfo.client) : [])];
    return {
      ...database,
      engine: serverInfo.kind.family,
      server: serverInfo.server,
      roles: serverAccounts(connection, serverInfo),
      properties: serverInfo.properties,
      databases: () => listDatabases(connection, serverInfo.client),
      async checkReading() {
        checkGrants(serverInfo, options, target.database);
        await noteFloats(connection, serverInfo);
      },
      dump: () => dump(connection, serverInfo, options),
      checkDumped: (contents) => checkDumped(connection, serverInfo, contents as DumpContents, options),
      stockRestore: (file, compression) => stockRestore(file, compression, target.database, serverInfo),
      exists: serverInfo.exists,
      ...restoringOf(connection, serverInfo, options),
    };
  }
  return { ...database, connect };
}
