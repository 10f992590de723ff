/** MySQL and MariaDB: their dump programs and clients behind the interface of a database engine. */
import type { Settings } from "../../settings/settings.ts";
import type { Connected, ConnectOptions, Database, DatabaseContext } from "../database.ts";
import type { Restoring } from "../restoring.ts";
import { ServerAccounts } from "./accounts.ts";
import { release } from "./clients.ts";
import { everywhere, inDatabase, type Login, type Place } from "./connection.ts";
import { DumpContents, dumpReader } from "./contents.ts";
import { checkDumped, checkGrants, dump, noteFloats, stockRestore, dumpOptionsFrom } from "./dump.ts";
import { undo } from "./exchange.ts";
import { comparing } from "./fingerprint.ts";
import { loadInPlace } from "./load.ts";
import { lockPurpose } from "./locks.ts";
import { targetFromSettings } from "./login.ts";
import { isSystem } from "./names.ts";
import { withoutBroken } from "./objects.ts";
import { planRestore } from "./plan.ts";
import { probe, type ServerInfo } from "./probe.ts";
import { createScratch, recover } from "./scratch.ts";
import { query, sessionSettings } from "./session.ts";
import { askTarget, type MysqlTarget } from "./target.ts";

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
    emptyContents: () => new DumpContents(),
    comparing,
  } as const;

  async function connect(how?: ConnectOptions): Promise<Connected> {
    const serverInfo = await probe(login, how);
    const { connection } = serverInfo;
    const options = [...chosen, ...(how?.leaveOutBroken ? await withoutBroken(connection) : [])];
    return {
      ...database,
      engine: serverInfo.kind.family,
      // MariaDB keeps JSON as text
      comparing: { ...comparing, respellsRows: serverInfo.kind.family === "mysql" },
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

/** Asks which settings the user may change. Throws `Failure`. */
async function placeOf({ connection, kind, grants }: ServerInfo): Promise<Place> {
  const way = inDatabase(connection, everywhere);
  return {
    ...way,
    settings: await sessionSettings(way),
    database: connection.target.database,
    where: connection.target.where,
    isSystemUser: grants.hasGlobally("SYSTEM_USER"),
    locks: kind.family === "mysql" && release(kind) >= 8_000 && grants.has("LOCK TABLES"),
  };
}

/** What is done for a restore. */
function restoringOf(serverInfo: ServerInfo): Restoring {
  let known: Promise<Place> | undefined;
  const place = () => (known ??= placeOf(serverInfo));
  return {
    async lock(purpose) {
      await using lock = new AsyncDisposableStack();
      lock.use(await lockPurpose(await place(), purpose));
      await recover(await place(), purpose);
      return lock.move();
    },
    target: async () => askTarget(await place()),
    plan: async (contents, target, options) =>
      planRestore(serverInfo, await place(), contents as DumpContents, target as MysqlTarget, options),
    undo: async (before) => undo(await place(), before),
    createScratch: async (options) => createScratch(await place(), serverInfo, options),
    loadInPlace: async (sql, contents, options) =>
      loadInPlace(await place(), serverInfo, sql, contents as DumpContents, options),
  };
}
