/** PostgreSQL: `pg_dump` and `psql` behind the interface of a database engine. */
import { availableParallelism } from "node:os";
import type { Settings } from "../../settings/settings.ts";
import type { Beside, Database, DatabaseContext } from "../database.ts";
import { createBeside } from "./beside.ts";
import { connectionFrom, query } from "./connection.ts";
import type { DumpContents } from "./contents.ts";
import { dump, dumpOptionsFrom, stockRestore } from "./dump.ts";
import { examine, load } from "./load.ts";
import { comparePlan, type PostgresPlan, targetQuery } from "./plan.ts";
import { type Clients, probe } from "./probe.ts";
import { checkReading } from "./reading.ts";
import { loadSpread } from "./spread.ts";

/** More than this one dump cannot feed. */
const enoughSessions = 8;

/** Connects to nothing yet. Throws `Failure` with status 2 when the settings do not name a database. */
export function openPostgres(settings: Settings, context: DatabaseContext): Database<DumpContents, PostgresPlan> {
  const connection = connectionFrom(settings, context);
  const options = dumpOptionsFrom(settings.DB_DUMP_OPTIONS);
  let found: Clients | undefined;
  const clients = (): Clients => {
    if (!found) throw new Error("probe() comes first");
    return found;
  };
  return {
    engine: "postgresql",
    takes: ["postgresql"],
    name: connection.database,
    where: connection.where,
    atomicLoad: true,
    async probe() {
      const { server, clients } = await probe(connection);
      found = clients;
      return server;
    },
    checkReading: () => checkReading(connection, clients().psql, options),
    dump: () => dump(connection, clients().dump, options),
    stockRestore: (file, compression, { major }) =>
      stockRestore(file, compression, {
        database: connection.database,
        serverMajor: major,
        clientMajor: clients().dump.major,
      }),
    examine,
    plan: async (contents, server, options) =>
      comparePlan(contents, server, await query(connection, clients().psql, targetQuery), options),
    load: (sql, _contents, plan, { noOwner }) => load(connection, clients().psql, sql, plan, noOwner),
    async createBeside(server) {
      const beside = await createBeside(connection, clients(), server);
      const { psql } = clients();
      const sessions = settings.BACKUP_JOBS ?? Math.min(Math.max(availableParallelism(), 2), enoughSessions);
      return {
        atomicLoad: true,
        load: (sql, _contents, plan, { noOwner }) =>
          loadSpread(beside.connection, psql, sql, { plan, noOwner, sessions }),
        exchange: beside.exchange,
        [Symbol.asyncDispose]: beside.discard,
      } satisfies Beside<DumpContents, PostgresPlan>;
    },
  };
}
