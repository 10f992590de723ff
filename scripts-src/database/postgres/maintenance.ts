/** The database that is connected to when the present one does not exist, or is renamed: and the lock that is held there. */
import { createHash } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { exitStatus, Failure } from "../../base/errors.ts";
import { memory } from "../../base/memory.ts";
import type { ServerDatabase } from "../database.ts";
import { type Connection, inDatabase } from "./connection.ts";
import { identifier, literal } from "./names.ts";
import { execute, jsonList, query, Session, withoutTimeouts } from "./session.ts";

/** Databases that are there to be connected to when no other can be. */
export const maintenanceNames = ["postgres", "template1"];

/** Undefined when neither of them lets us in. */
export async function openMaintenance(present: Connection): Promise<Connection | undefined> {
  for (const place of maintenanceNames.filter((name) => name !== present.database)) {
    const connection = inDatabase(present, place);
    try {
      await query(connection, "SELECT to_json(1)");
      return connection;
    } catch {
      present.signal.throwIfAborted();
    }
  }
  return undefined;
}

/** How long (ms) the session of a restore that was killed gets to end. */
const lockPatience = 5_000;

/**
 * Takes the lock that keeps two restores of a database apart, wherever they run. Advisory locks belong to one database, so it is taken
 * in the maintenance database. Throws a `Failure` with status 5 when another session holds it.
 */
export async function lockOnServer(
  present: Connection,
  maintenance: Connection | undefined,
  purpose: "restore" | "verify",
): Promise<AsyncDisposable> {
  const unlocked = (why: string): AsyncDisposable => {
    present.log.warn(`no lock on the server: ${why}; do not start a second ${purpose}`);
    return { [Symbol.asyncDispose]: () => Promise.resolve() };
  };
  if (!maintenance) return unlocked("there is no other database to hold it in");
  if ((await pairOf(maintenance)) === "lent") return unlocked(poolerWarning);
  const key = createHash("sha256").update(`backup_scripts ${purpose} ${present.database}`).digest().readBigInt64BE();
  const until = Date.now() + lockPatience;
  await using lock = new AsyncDisposableStack();
  const session = lock.use(new Session(maintenance, () => "cannot lock"));
  session.write(withoutTimeouts("session"));
  while ((await session.settled(`pg_catalog.pg_try_advisory_lock(${key})::int`)) !== "1") {
    const holder = await holderOf(maintenance, key);
    if (Date.now() > until) throw locked(present, purpose, holder);
    await pause(200);
  }
  lock.defer(async () => void (await session.end().catch(() => {})));
  return lock.move();
}

/** Who holds the lock, in words; undefined when nobody does. */
async function holderOf(maintenance: Connection, key: bigint): Promise<string | undefined> {
  const parts = `classid = ${BigInt.asUintN(32, key >> 32n)} AND objid = ${BigInt.asUintN(32, key)}`;
  const found = await query<string | null>(
    maintenance,
    `SELECT coalesce(to_json((SELECT concat_ws(', ', ${literal("process")} || ' ' || pid, 'user ' || usename, 'from ' || client_addr,
       'since ' || to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC')
     FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted AND ${parts} LIMIT 1)), 'null')`,
  );
  return found ?? undefined;
}

const locked = ({ where }: Connection, purpose: string, holder: string | undefined) =>
  new Failure(
    `another ${purpose} of ${where} holds the lock on the server: ${holder ?? "its session has just ended"}`,
    {
      status: exitStatus.locked,
      hints: ["wait until it has ended, or end its process on the server: SELECT pg_terminate_backend(PROCESS)"],
    },
  );

/** Whether the server has a database of that name. Throws `Failure`. */
export const hasDatabase = (connection: Connection, name: string): Promise<boolean> =>
  query(connection, `SELECT to_json(count(*) > 0) FROM pg_database WHERE datname = ${literal(name)}`);

/** Drops a database and ends the sessions in it. Throws `Failure`. */
export const dropDatabase = (connection: Connection, name: string): Promise<void> =>
  execute(connection, `cannot drop ${name}`, `${patience}DROP DATABASE IF EXISTS ${identifier(name)} WITH (FORCE);`);

/** How long somebody else's lock is waited for, by what no signal stops. */
export const patience = "SET lock_timeout = '10s';\n";

/** Databases of the cloud providers. */
const providers = ["rdsadmin", "cloudsqladmin", "azure_maintenance", "azure_sys"];

const question = `
  SELECT ${jsonList(`SELECT json_build_object('name', datname, 'isSystem', datistemplate, 'refuses', CASE
      WHEN datconnlimit = -2 THEN 'it is half dropped'
      WHEN NOT datallowconn THEN 'it accepts no connections'
      WHEN NOT has_database_privilege(oid, 'CONNECT') THEN 'the user lacks CONNECT on it' END)
    FROM pg_database ORDER BY datname`)}`;

/** Whether anybody has made a table, view or sequence in the database. Throws `Failure`. */
export const isUsed = (connection: Connection): Promise<boolean> =>
  query(connection, "SELECT to_json(EXISTS (SELECT FROM pg_class WHERE oid >= 16384))");

/** Throws `Failure`. `postgres` counts as one of the system's as long as nobody has made anything in it. */
export async function listDatabases(connection: Connection): Promise<ServerDatabase[]> {
  const found = await query<(ServerDatabase & { refuses: string | null })[]>(connection, question);
  return Promise.all(
    found.map(async ({ name, isSystem, refuses }) => ({
      name,
      isSystem:
        isSystem ||
        providers.includes(name) ||
        (name === "postgres" && !(await isUsed(inDatabase(connection, name)).catch(() => false))),
      ...(refuses !== null && { refuses }),
    })),
  );
}

/**
 * A pooler can lend its sessions for one transaction (PgBouncer's `pool_mode = transaction`). pg_dump and dumps set `search_path` to nothing
 * and `row_security` to off for their session: such a pooler gives that session to the application afterwards.
 */
export const poolerWarning =
  "a pooler lies between this machine and the server and lends its sessions for one transaction: settings of pg_dump " +
  "(an empty search_path, row_security = off) stay in sessions that your application gets; use the server's own host and port";

/** How many times each of two sessions is asked, in turn: a pooler mostly lends the session that was used last, but not always. */
const questions = 6;

/** What becomes of two connections that are open together: each has its session, both share some, or the second is refused. */
type Pair = "own" | "lent" | "refused";

const answers = memory<Pair>(60_000);

/** Asks the server; an answer is used for a minute. */
export const pairOf = (connection: Connection): Promise<Pair> =>
  answers(JSON.stringify(connection.keywords.filter(([keyword]) => keyword !== "dbname")), () => ask(connection));

async function ask(connection: Connection): Promise<Pair> {
  const open = () => new Session(connection, () => `cannot query ${connection.where}`);
  await using one = open();
  await using other = open();
  try {
    const processes: string[] = [];
    for (let at = 0; at < questions; at++)
      processes.push(await (at % 2 === 0 ? one : other).settled("pg_catalog.pg_backend_pid()"));
    await Promise.all([one.end(), other.end()]);
    const lent = processes[0] === processes[1] || processes.some((process, at) => process !== processes[at % 2]);
    return lent ? "lent" : "own";
  } catch {
    // with a limit of one session, one of the two has it, and the next program needs it
    await Promise.allSettled([one.end(), other.end()]);
    connection.signal.throwIfAborted();
    return "refused";
  }
}
