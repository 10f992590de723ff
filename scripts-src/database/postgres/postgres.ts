/** PostgreSQL: `pg_dump` and `psql` behind the interface of a database engine. */
import { availableParallelism } from "node:os";
import type { Settings } from "../../settings/settings.ts";
import type { Connected, Database, DatabaseContext } from "../database.ts";
import { createBeside } from "./beside.ts";
import { connectionFrom } from "./connection.ts";
import type { DumpContents } from "./contents.ts";
import { dump, dumpOptionsFrom, stockRestore } from "./dump.ts";
import { load } from "./load.ts";
import { comparePlan, type PostgresPlan, type Target, targetQuery } from "./plan.ts";
import { probe } from "./probe.ts";
import { checkLock } from "./psql.ts";
import { query } from "./query.ts";
import { dumpReader } from "./reader.ts";
import { checkReading } from "./reading.ts";
import { loadSpread } from "./spread.ts";

/** More than this one dump cannot feed. */
const enoughSessions = 8;

/** Functions, checks and triggers of a dump run while it is loaded. */
const allRights =
  "the login is a superuser, so SQL that the file holds can do anything on the server, and the file is not known to be our own: " +
  "better restore as the owner of the database (DB_USER)";

/** Connects to nothing yet. Throws `Failure` with status 2 when the settings do not name a database. */
export function openPostgres(settings: Settings, context: DatabaseContext): Database {
  const connection = connectionFrom(settings, context);
  const options = dumpOptionsFrom(settings.DB_DUMP_OPTIONS);
  const sessions = settings.BACKUP_JOBS ?? Math.min(Math.max(availableParallelism(), 2), enoughSessions);
  const database = {
    engine: "postgresql",
    takes: ["postgresql"],
    name: connection.database,
    where: connection.where,
    atomicLoad: true,
    reader: dumpReader,
  } as const;

  async function connect(): Promise<Connected> {
    const { server, clients } = await probe(connection);
    const { psql } = clients;
    return {
      ...database,
      server,
      checkReading: () => checkReading(connection, psql, options),
      dump: () => dump(connection, clients, options),
      stockRestore: (file, compression) =>
        stockRestore(file, compression, {
          database: connection.database,
          serverMajor: server.major,
          clientMajor: clients.dump.major,
        }),
      async plan(contents, options) {
        checkLock(psql, options.trusted);
        const target = await query<Target>(connection, psql, targetQuery);
        const plan = comparePlan(contents as DumpContents, server, target, options);
        return { ...plan, warnings: [...plan.warnings, ...(target.superuser && !options.trusted ? [allRights] : [])] };
      },
      async load(sql, plan, { noOwner, trusted }) {
        checkLock(psql, trusted);
        await load(connection, psql, sql, plan as PostgresPlan, noOwner);
      },
      async createScratch() {
        const beside = await createBeside(connection, clients, server);
        return {
          async load(sql, plan, { noOwner, trusted }) {
            checkLock(psql, trusted);
            await loadSpread(beside.connection, psql, sql, { plan: plan as PostgresPlan, noOwner, sessions });
          },
          exchange: beside.exchange,
          [Symbol.asyncDispose]: beside.discard,
        };
      },
    };
  }
  return { ...database, connect };
}
