/** The first connection: which programs are there, what does the server say of itself, what will a backup not cover. */
import { existsSync } from "node:fs";
import { hostname } from "node:os";
import { clockAhead } from "../../base/clock.ts";
import { retry } from "../../base/retry.ts";
import { Failure, messageOf } from "../../base/errors.ts";
import { listOf } from "../../base/text.ts";
import type { ConnectOptions, Server } from "../database.ts";
import type { DatabaseProperties } from "../restoring.ts";
import {
  type Client,
  type Family,
  findClients,
  missingProgram,
  rankClients,
  release,
  type ServerKind,
  unfitProgram,
} from "./clients.ts";
import { type Connection, everywhere, inDatabase, type Login } from "./connection.ts";
import { isTemporary } from "./explain.ts";
import { type Grants, grantsFrom, grantsQuestion } from "./grants.ts";
import { isBeside } from "./names.ts";
import { isLocal, type Target } from "./login.ts";
import { type Objects, objectsFrom, objectsQuestion } from "./objects.ts";
import { query } from "./session.ts";

/** What is known after the first connection. */
export interface ServerInfo {
  server: Server;
  kind: ServerKind;
  grants: Grants;
  /** The server's max_allowed_packet in bytes. */
  maxPacket: number;
  connection: Connection;
  /** `mariadb-dump` or `mysqldump`. */
  dump: Client;
  /** False: the server has no such database, the login was to another one. */
  exists: boolean;
  /** The character set and collation of tables that name none, in the database that answered. */
  properties: DatabaseProperties;
  /** What the server listed in the database as this began. */
  listed: Objects;
}

const question = `
  SET SESSION sql_mode = '';
  SELECT 'clock', unix_timestamp(sysdate(6)) * 1000;
  SHOW GLOBAL VARIABLES LIKE 'server_uuid';
  SELECT 'server', version(), @@global.max_allowed_packet, @@character_set_database, @@collation_database,
    @@max_user_connections, (SELECT coalesce(sum(data_length), 0) FROM information_schema.tables WHERE table_schema = database());
  SELECT 'loose', table_name, t.engine FROM information_schema.tables t JOIN information_schema.engines e
    ON e.engine = t.engine WHERE table_schema = database() AND table_type = 'BASE TABLE' AND e.transactions <> 'YES';
  SELECT 'versioned', table_name FROM information_schema.tables
    WHERE table_schema = database() AND table_type = 'SYSTEM VERSIONED';
  SELECT 'exchanging', table_schema FROM information_schema.tables WHERE table_name = '_backup_scripts_exchanged';
  SELECT 'exchanging', table_schema FROM information_schema.tables WHERE table_name = '_backup_scripts_taken_back';
  SHOW SESSION STATUS LIKE 'Ssl_cipher';
  ${objectsQuestion("database()")};
  ${grantsQuestion}`;

/** Finds the programs, logs in (three tries) and picks those that fit the server. Throws `Failure`. */
export async function probe(login: Login, how: ConnectOptions = {}): Promise<ServerInfo> {
  const { folder, target } = login;
  const [dumps, found] = await Promise.all([findClients("dump", folder), findClients("client", folder)]);
  if (dumps.length === 0) throw missingProgram("dump", target.family, folder);
  // a folder that holds the dump program alone is good enough to dump with
  const clients = found.length > 0 ? found : await findClients("client", undefined);
  const first = rankClients(clients, { family: target.family, version: "" })[0];
  if (!first) throw missingProgram("client", target.family, folder);
  const { rows, exists, place, before, after } = await logIn({ ...login, client: first }, how);
  const tagged = (tag: string) => rows.filter((row) => row[0] === tag).map((row) => row.slice(1));
  if (!tagged("Ssl_cipher")[0]?.[0]) refuseClearText(target);
  const [said = "", packet, charset = "", collation = "", sessions, bytes] = tagged("server")[0] ?? [];
  const kind = kindOf(said);
  const [client = first] = rankClients(clients, kind);
  const dump = await fittingDump({ ...place, client }, dumps, kind);
  const grants = grantsFrom(rows, target.database);
  return {
    kind,
    grants,
    maxPacket: Number(packet),
    connection: { ...login, client },
    dump,
    exists,
    properties: { charset, collation },
    listed: objectsFrom(rows),
    server: {
      version: `${familyNames[kind.family]} ${kind.version}`,
      major: Number.parseInt(kind.version, 10),
      system: kind.family === "mysql" ? tagged("server_uuid")[0]?.[0] : addressOf(target),
      clockAhead: clockAhead(Number(tagged("clock")[0]?.[0]), { before, after }),
      client: `${dump.name} ${dump.version || "of unknown version"}`,
      encoding: charset,
      dataBytes: Number(bytes),
      // 0: as many as there are
      takesTwoSessions: sessions !== "1",
      warnings: warningsOf(tagged, { database: target.database, dump, kind, grants }),
    },
  };
}

/** What the server says, when (ms), and the place that let us in. Throws `Failure`. */
async function logIn(named: Connection, { mayBeMissing = false, once = false }: ConnectOptions) {
  const { log, signal, target } = named;
  let before = Date.now();
  let place = named;
  const ask = () => {
    before = Date.now();
    return query(place, question).catch((error: unknown) => {
      if (!mayBeMissing || place !== named || !messageOf(error).includes("ERROR 1049 ")) throw error;
      place = inDatabase(named, everywhere);
      return query(place, question);
    });
  };
  const again = once ? () => false : isTemporary;
  const rows = await retry(`connection to ${target.where}`, ask, { log, signal, again });
  return { rows, exists: place === named, place, before, after: Date.now() };
}

/** `tagged` are the rows of the answer that begin with a word. */
function warningsOf(
  tagged: (tag: string) => string[][],
  { database, dump, kind, grants }: Pick<ServerInfo, "dump" | "kind" | "grants"> & { database: string },
): string[] {
  const versioned = tagged("versioned").flat();
  const loose = tagged("loose").map(([table, engine]) => `${table} (${engine})`);
  const exchanging = tagged("exchanging")
    .flat()
    .find((name) => isBeside(name, database, "before"));
  return listOf(
    exchanging !== undefined &&
      `a restore was killed while it exchanged ${database} for ${exchanging}: views, triggers, routines and events may ` +
        `be missing; restore again, or go back to the state before: restore --undo ${exchanging}`,
    loose.length > 0 &&
      "these tables are not transactional, no snapshot covers them, and what is written to them during the backup may be torn: " +
        `${loose.join(", ")}; ALTER TABLE … ENGINE=InnoDB helps`,
    clientWarning(dump, kind),
    versioned.length > 0 &&
      !dumpsHistory(dump, kind) &&
      `the history of these system-versioned tables is not in the backup, only what holds now: ${versioned.join(", ")}`,
    !seesRoutines(grants, kind) &&
      "stored procedures and functions, if there are any, are not in the backup, for the user may not see them: " +
        "GRANT SELECT ON mysql.proc (MariaDB) or SHOW_ROUTINE ON *.* (MySQL) TO it",
  );
}

/**
 * What tells a MariaDB server from others (its @@server_uid does not: two servers on one host share it). "localhost" is a server of this
 * machine, and in a container nobody knows of which.
 */
function addressOf(target: Target): string | undefined {
  const { host, port, socket } = target;
  if (!isLocal(target)) return `${host}:${port ?? 3306}`;
  return isContainer() ? undefined : `${hostname()}:${socket ?? port ?? 3306}`;
}

const isContainer = () =>
  process.env.KUBERNETES_SERVICE_HOST !== undefined || ["/.dockerenv", "/run/.containerenv"].some(existsSync);

/** MariaDB's programs go on in the clear when the server has no TLS, whatever was asked for. Throws `Failure`. */
function refuseClearText({ where, options }: Target): void {
  const mode = options.get("ssl-mode") ?? "DISABLED";
  if (mode === "DISABLED" || mode === "PREFERRED") return;
  throw new Failure(`the connection to ${where} is not encrypted, but ssl-mode=${mode} asks for that`, {
    hints: ["enable TLS on the server, or set ssl-mode=PREFERRED in DATABASE_URL"],
  });
}

export const familyNames: Record<Family, string> = { mysql: "MySQL", mariadb: "MariaDB" };

/** `said` is version(): "10.11.19-MariaDB-0+deb12u1", "8.4.3", "8.0.35-google". */
const kindOf = (said: string): ServerKind => ({
  family: /mariadb/i.test(said) ? "mariadb" : "mysql",
  version: /^\d+(\.\d+)*/.exec(said)?.[0] ?? "0",
});

/** The dump program for the server. Throws `Failure` when what it would write could not be restored. */
async function fittingDump(connection: Connection, dumps: readonly Client[], kind: ServerKind): Promise<Client> {
  const dump = rankClients(dumps, kind)[0];
  if (!dump) throw missingProgram("dump", kind.family, connection.folder);
  if (dump.family === kind.family) return dump;
  if (dump.family === "mysql")
    throw unfitProgram(dump, kind, "it leaves out what only MariaDB has (sequences, history, packages)");
  const rows = await query(connection, generatedColumns);
  if (rows.length === 0) return dump;
  const names = rows.map(([name]) => name).join(", ");
  throw unfitProgram(dump, kind, `it writes values of generated columns, which MySQL does not take back (${names})`);
}

const generatedColumns = `SELECT concat(table_name, '.', column_name) FROM information_schema.columns
  WHERE table_schema = database() AND generation_expression <> '' LIMIT 10`;

function clientWarning(dump: Client, kind: ServerKind): string | undefined {
  if (dump.version === "") return `${dump.path} does not report its version: it may not fit the server`;
  const server = `${familyNames[kind.family]} ${kind.version}`;
  if (dump.family !== kind.family)
    return `${dump.name} ${dump.version} is MariaDB's, the server is ${server}: better install MySQL's own mysqldump`;
  if (release(dump) >= release(kind)) return undefined;
  return `${dump.name} ${dump.version} is older than the server, ${server}: it knows nothing of what is new there`;
}

/** History came into dumps with 10.11. */
export const dumpsHistory = (dump: Client, kind: ServerKind): boolean =>
  kind.family === "mariadb" && release(kind) >= 10_011 && dump.knows("dump-history");

/** Routines that a user may not see are left out silently. */
const seesRoutines = (grants: Grants, { family }: ServerKind): boolean =>
  grants.has("EXECUTE", "ALTER ROUTINE", "CREATE ROUTINE") ||
  grants.hasGlobally("SELECT", "SHOW_ROUTINE", "SHOW CREATE ROUTINE") ||
  (family === "mariadb" && grants.hasOn("mysql", "proc", "SELECT"));
