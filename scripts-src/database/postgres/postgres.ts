/** PostgreSQL: `pg_dump` and `psql` behind the interface of a database engine. */
import { availableParallelism } from "node:os";
import type { Settings } from "../../settings/settings.ts";
import type { Connected, ConnectOptions, Database, DatabaseContext } from "../database.ts";
import { refuseBackup } from "../read-dump.ts";
import type { Restoring } from "../restoring.ts";
import { removing } from "./cleaning.ts";
import { checkLock } from "./clients.ts";
import { type Connection, connectionFrom } from "./connection.ts";
import { DumpContents } from "./contents.ts";
import { dump, dumpOptionsFrom, stockRestore, checkReading } from "./dump.ts";
import { comparing } from "./fingerprint.ts";
import { loadInPlace } from "./in-place.ts";
import { lockOnServer, openMaintenance, listDatabases } from "./maintenance.ts";
import { comparePlan, loadRules, misplacedRows } from "./plan.ts";
import { probe, type ServerInfo } from "./probe.ts";
import { dumpReader } from "./reader.ts";
import { serverRoles } from "./roles.ts";
import { createScratch, dropLeftovers } from "./scratch.ts";
import { askTarget, type PostgresTarget } from "./target.ts";

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
    emptyContents: () => new DumpContents(),
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

/** Functions, checks and triggers of a dump run while it is loaded. */
const allRights =
  "the login is a superuser, so the SQL in this backup can do anything on the server, and no signature (MANIFEST_KEY) shows who made it. " +
  "If others can write to the place it comes from, restore as the owner of the database (DB_USER)";

/** The part of `Connected` that restores. */
function openRestoring(serverInfo: ServerInfo, sessions: number): Restoring {
  const { connection: present, server, exists } = serverInfo;
  let maintenance: Promise<Connection | undefined> | undefined;
  let target: Promise<PostgresTarget> | undefined;
  const elsewhere = () => (maintenance ??= openMaintenance(present));
  const ask = async () => askTarget(present, { exists, maintenance: await elsewhere() });
  const state = () => (target ??= ask());

  return {
    async lock(purpose) {
      const place = await elsewhere();
      const lock = await lockOnServer(present, place, purpose);
      if (place) await dropLeftovers(place, { database: present.database, system: server.system, purpose });
      return lock;
    },
    target: () => (target = ask()),
    async plan(contents, _target, options) {
      checkLock(present.psql, options.trusted);
      const plan = comparePlan(contents as DumpContents, server, await state(), options);
      const { superuser } = await state();
      return { ...plan, warnings: [...plan.warnings, ...(superuser && !options.trusted ? [allRights] : [])] };
    },
    async createScratch(options) {
      const place = await elsewhere();
      if (!place) throw new Error("no other database to connect to, and no plan that said so");
      return createScratch(place, { serverInfo, sessions, options, target: await state() });
    },
    async loadInPlace(sql, contents, options) {
      checkLock(present.psql, options.trusted);
      const known = contents as DumpContents;
      const rules = loadRules(known, server, await state(), options, "in place");
      const prelude = removing(known, server.major, await state());
      return loadInPlace(sql, { connection: present, contents: known, rules, prelude });
    },
  };
}
