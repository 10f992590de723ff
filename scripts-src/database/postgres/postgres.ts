/** PostgreSQL: `pg_dump` and `psql` behind the interface of a database engine. */
import { availableParallelism } from "node:os";
import type { Settings } from "../../settings/settings.ts";
import type { Connected, ConnectOptions, Database, DatabaseContext } from "../database.ts";
import { refuseBackup } from "../read-dump.ts";
import type { DumpContents } from "./contents.ts";
import { comparing } from "./fingerprint.ts";
import { connectionFrom } from "./connection.ts";
import { dump, dumpOptionsFrom, stockRestore } from "./dump.ts";
import { misplacedRows } from "./plan.ts";
import { probe } from "./probe.ts";
import { dumpReader } from "./reader.ts";
import { listDatabases } from "./databases.ts";
import { checkReading } from "./may-read.ts";
import { serverRoles } from "./roles.ts";
import { openRestoring } from "./restoring.ts";

/** More than this one dump cannot feed. */
const enoughSessions = 8;

/** Connects to nothing yet. Throws `Failure` with status 2 when the settings do not name a database. */
export function openPostgres(settings: Settings, context: DatabaseContext): Database {
  const login = connectionFrom(settings, context);
  const options = dumpOptionsFrom(settings.DB_DUMP_OPTIONS);
  const sessions = settings.BACKUP_JOBS ?? Math.min(Math.max(availableParallelism(), 2), enoughSessions);
  const database = {
    engine: "postgresql",
    takes: ["postgresql"],
    name: login.database,
    where: login.where,
    atomicLoad: true,
    keepsGoing: true,
    reader: dumpReader,
    comparing,
  } as const;

  async function connect(how: ConnectOptions = {}): Promise<Connected> {
    const serverInfo = await probe(login, how);
    const { connection, answering, server, pgDump, exists, properties } = serverInfo;
    return {
      ...database,
      ...openRestoring(serverInfo, sessions),
      server,
      exists,
      roles: serverRoles(answering, server.major),
      properties,
      databases: () => listDatabases(answering),
      checkReading: () => checkReading(connection, options),
      checkDumped: async (contents) => refuseBackup(misplacedRows(contents as DumpContents)),
      dump: () => dump(connection, pgDump, options, server.encoding),
      stockRestore: (file, compression) => stockRestore(file, compression, serverInfo),
    };
  }
  return { ...database, connect };
}
