/** The first connection: which programs are there, what does the server say of itself. */
import { clockAhead } from "../../base/clock.ts";
import { retry } from "../../base/retry.ts";
import { messageOf } from "../../base/errors.ts";
import { listOf } from "../../base/text.ts";
import type { ConnectOptions, Server } from "../database.ts";
import { missingProgram } from "../programs.ts";
import type { DatabaseProperties } from "../restoring.ts";
import { type Client, clientTooOld, findClients, fittingClient, newest, packages } from "./clients.ts";
import type { Connection, Login } from "./connection.ts";
import { queryFacts, fact, factList } from "./session.ts";
import { isTemporary } from "./explain.ts";
import { hasDatabase, openMaintenance, pairOf, poolerWarning } from "./maintenance.ts";
import { propertiesQuestion } from "./properties.ts";

/** What `probe` found. */
export interface ServerInfo {
  server: Server;
  connection: Connection;
  /** To a database that exists: the same, or another one of the server. */
  answering: Connection;
  /** The pg_dump that fits the server. */
  pgDump: Client;
  /** The database exists. */
  exists: boolean;
  /** Tables, indexes, views and sequences in it. */
  relations: number;
  /** Of the database that answered. */
  properties: DatabaseProperties;
}

/** What a server says of itself; `system` is SQL. */
const facts = (system: string) => ({
  system: fact<string | null>(system, null),
  /** The server's time: ms since 1970. */
  clock: fact("(extract(epoch FROM clock_timestamp()) * 1000)::bigint", 0),
  /** Unlogged tables of a standby, which has their definition alone. */
  withoutRows: factList(`SELECT oid::regclass::text FROM pg_class
    WHERE pg_is_in_recovery() AND relpersistence = 'u' AND relkind = 'r'`),
  version: fact("current_setting('server_version')", ""),
  number: fact("current_setting('server_version_num')::int", 0),
  encoding: fact("current_setting('server_encoding')", ""),
  properties: fact<DatabaseProperties>(propertiesQuestion, {}),
  relations: fact("(SELECT count(*) FROM pg_class WHERE oid >= 16384)", 0),
  /** User mappings whose options the login may not read: pg_dump leaves them out silently. */
  closedMappings: factList(`SELECT format('%s on %s', coalesce(usename, 'public'), m.srvname)
    FROM pg_user_mappings m JOIN pg_foreign_server s ON s.oid = m.srvid
    WHERE umoptions IS NULL AND current_setting('is_superuser') <> 'on' AND NOT CASE WHEN umuser = 0
      THEN pg_has_role(srvowner, 'USAGE')
      ELSE usename = current_user AND (pg_has_role(srvowner, 'USAGE') OR has_server_privilege(srvid, 'USAGE')) END`),
  /** Asking for a table's size waits for whoever has locked it: of such a table the size at its last VACUUM will do. */
  bytes: fact(
    `(SELECT coalesce(sum(CASE WHEN oid IN (SELECT relation FROM pg_locks WHERE mode = 'AccessExclusiveLock'
        AND database = (SELECT d.oid FROM pg_database d WHERE datname = current_database()))
      THEN greatest(relpages, 0) * current_setting('block_size')::bigint ELSE pg_table_size(oid) END), 0) FROM pg_class
      WHERE relkind IN ('r', 'm') AND (oid >= 16384 OR relname = 'pg_largeobject'))`,
    0,
  ),
});

/**
 * Finds the programs, logs in (three tries) and picks the dump program for the server. A database that does not exist yet is only
 * accepted with `mayBeMissing`: another one of the server answers then. Throws `Failure`.
 */
export async function probe(login: Login, how: ConnectOptions): Promise<ServerInfo> {
  const { folder } = login;
  const [dumps, clients] = await Promise.all([findClients("pg_dump", folder), findClients("psql", folder)]);
  if (dumps.length === 0) throw missingProgram(["pg_dump"], folder, packages);
  // a folder that holds pg_dump alone is good enough to dump with
  const psql = newest(clients) ?? newest(await findClients("psql", undefined));
  if (!psql) throw missingProgram(["psql"], folder, packages);
  const connection = { ...login, psql };
  const { answer, answering } = await logIn(connection, how);
  const exists = answering === connection;
  const pair = exists ? await pairOf(connection) : "refused";
  const major = Math.floor(answer.number / 10_000);
  const pgDump = fittingClient(dumps, major);
  if (!pgDump) throw clientTooOld(dumps, answer.version, major);
  return {
    exists,
    relations: exists ? answer.relations : 0,
    connection,
    answering,
    pgDump,
    properties: answer.properties,
    server: {
      version: `PostgreSQL ${answer.version.split(" ")[0]}`,
      major,
      system: answer.system ?? undefined,
      clockAhead: answer.clockAhead,
      client: `pg_dump ${pgDump.version || "of unknown version"}`,
      encoding: answer.encoding,
      dataBytes: exists ? answer.bytes : 0,
      takesTwoSessions: pair !== "refused",
      warnings: listOf(
        pgDump.major === 0 && `${pgDump.path} does not report its version: it may not fit the server`,
        answer.withoutRows.length > 0 &&
          `the server is a standby: rows of unlogged tables are on its primary alone and not in the backup: ${answer.withoutRows.join(", ")}`,
        answer.closedMappings.length > 0 &&
          `options of user mappings (passwords) that this user may not read are not in the backup: ${answer.closedMappings.join(", ")}; back up as a superuser to have them`,
        pair === "lent" && poolerWarning,
      ),
    },
  };
}

/** What the server says, and the database that let us in. Throws `Failure`. */
async function logIn(connection: Connection, { mayBeMissing = false, once = false }: ConnectOptions) {
  const { log, signal, where } = connection;
  const ask = () => askServer(connection);
  try {
    const answer = await retry(`connection to ${where}`, ask, { log, signal, again: once ? () => false : isTemporary });
    return { answer, answering: connection };
  } catch (error) {
    signal.throwIfAborted();
    const maintenance = mayBeMissing ? await openMaintenance(connection) : undefined;
    if (!maintenance || (await hasDatabase(maintenance, connection.database))) throw error;
    return { answer: await askServer(maintenance), answering: maintenance };
  }
}

/** Everybody may read the system identifier, save where a provider has taken that away or the server is only like PostgreSQL. */
async function askServer(connection: Connection) {
  const ask = async (system: string) => {
    const before = Date.now();
    const answer = await queryFacts(connection, facts(system));
    return { ...answer, clockAhead: clockAhead(answer.clock, { before, after: Date.now() }) };
  };
  try {
    return await ask("(SELECT system_identifier::text FROM pg_control_system())");
  } catch (error) {
    if (!messageOf(error).includes("pg_control_system")) throw error;
    return ask("NULL");
  }
}
