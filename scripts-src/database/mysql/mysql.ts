/** MySQL and MariaDB: their dump programs and clients behind the interface of a database engine. */
import type { Settings } from "../../settings/settings.ts";
import type { Connected, ConnectOptions, Database, DatabaseContext } from "../database.ts";
import { comparing } from "./fingerprint.ts";
import { ServerAccounts } from "./accounts.ts";
import { withoutBroken } from "./objects.ts";
import { everywhere, inDatabase, type Login } from "./connection.ts";
import type { DumpContents } from "./contents.ts";
import { checkDumped, checkGrants, dump, noteFloats, stockRestore } from "./dump.ts";
import { dumpOptionsFrom } from "./dump-options.ts";
import { targetFromSettings } from "./login.ts";
import { isSystem } from "./names.ts";
import { dumpReader } from "./reader.ts";
import { restoringOf } from "./restoring.ts";
import { probe } from "./probe.ts";
import { query } from "./session.ts";

/** Connects to nothing yet. Throws `Failure` with status 2 when the settings do not name a database. */
export function openMysql(settings: Settings, { log, signal }: DatabaseContext): Database {
  const login: Login = { log, signal, target: targetFromSettings(settings), folder: settings.DB_CLIENT_DIR };
  const chosen = dumpOptionsFrom(settings.DB_DUMP_OPTIONS);
  const { target } = login;
  const database = {
    engine: target.family,
    takes: ["mysql", "mariadb"],
    name: target.database,
    where: target.where,
    atomicLoad: false,
    keepsGoing: false,
    reader: dumpReader,
    comparing,
  } as const;

  async function connect(how?: ConnectOptions): Promise<Connected> {
    const serverInfo = await probe(login, how);
    const { connection } = serverInfo;
    const options = [...chosen, ...(how?.leaveOutBroken ? await withoutBroken(connection) : [])];
    return {
      ...database,
      engine: serverInfo.kind.family,
      server: serverInfo.server,
      roles: new ServerAccounts(connection, serverInfo.kind),
      properties: serverInfo.properties,
      async databases() {
        const schemas = "SELECT schema_name FROM information_schema.schemata ORDER BY 1";
        const rows = await query(inDatabase(connection, everywhere), schemas);
        return rows.map(([name = ""]) => ({ name, isSystem: isSystem(name) }));
      },
      async checkReading() {
        checkGrants(serverInfo, options, target.database);
        await noteFloats(connection);
      },
      dump: () => dump(connection, serverInfo, options),
      checkDumped: (contents) => checkDumped(connection, serverInfo, contents as DumpContents, options),
      stockRestore: (file, compression) => stockRestore(file, compression, target.database, serverInfo),
      exists: serverInfo.exists,
      ...restoringOf(serverInfo),
    };
  }
  return { ...database, connect };
}
