/** Dumping with pg_dump. */
import parseWords from "string-argv";
import { Failure, usageFailure } from "../../base/errors.ts";
import { quote, start } from "../../base/process.ts";
import { listed, listOf } from "../../base/text.ts";
import { outputOf, unpackCommand, lockPatience, type LockWatch, watchLocks } from "../run-program.ts";
import type { Client } from "./clients.ts";
import type { Connection } from "./connection.ts";
import { formatConninfo } from "./conninfo.ts";
import { clientFailure, hintForLargeObjects } from "./explain.ts";
import { literal } from "./names.ts";
import type { ServerInfo } from "./probe.ts";
import { dumpForm } from "./reader.ts";
import { query, isMember, jsonList, userSchema } from "./session.ts";

/** Options that choose tables: what cannot be read may be left out by them. */
const chooses = /^(-[tTnN]|--(exclude-)?(table|schema))/;

const relation = "n.nspname || '.' || c.relname";

/** Tables and sequences that pg_dump dumps: those of extensions only where they hold settings. */
const dumped = `pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE ${userSchema} AND (NOT ${isMember("pg_class", "c.oid")}
    OR EXISTS (SELECT FROM pg_extension WHERE c.oid = ANY (extconfig)))`;

const unreadable = `SELECT ${jsonList(`
    SELECT CASE c.relkind WHEN 'S' THEN 'sequence ' ELSE 'table ' END || ${relation} FROM ${dumped}
      AND c.relkind IN ('r', 'p', 'S')
      AND NOT (has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'))
    UNION ALL
    SELECT 'rows of ' || ${relation} || ' (row security)' FROM ${dumped}
      AND c.relkind IN ('r', 'p') AND row_security_active(c.oid)
    UNION ALL
    SELECT 'large object ' || oid FROM pg_largeobject_metadata
      WHERE current_setting('is_superuser') <> 'on' AND NOT EXISTS (
        SELECT FROM aclexplode(coalesce(lomacl, acldefault('L', lomowner))) a
        WHERE a.privilege_type = 'SELECT' AND (a.grantee = 0 OR pg_has_role(a.grantee, 'USAGE')))
`)}`;

/** Throws a `Failure` that lists what cannot be read; only warns when DB_DUMP_OPTIONS (`options`) choose what to dump. */
export async function checkReading(connection: Connection, options: readonly string[]): Promise<void> {
  const found = await query<string[]>(connection, unreadable);
  if (found.length === 0) return;
  const message = `the database user may not read ${listed(found, 20)}`;
  if (options.some((word) => chooses.test(word)))
    return connection.log.warn(`${message}: DB_DUMP_OPTIONS must leave that out`);
  throw new Failure(message, { hints: hintsFor(found) });
}

const hintsFor = (found: readonly string[]): string[] =>
  listOf(
    found.some((what) => /^(table|sequence) /.test(what)) &&
      "GRANT pg_read_all_data TO the user (PostgreSQL 14 and later), or SELECT on each, with USAGE on its schema",
    found.some((what) => what.endsWith(" (row security)")) &&
      "row security hides rows from the user: ALTER ROLE … BYPASSRLS, or back up as the tables' owner",
    found.some((what) => what.startsWith("large object ")) && hintForLargeObjects,
  );

/** Options that would break what a backup promises, or that are ours to set. */
const refused =
  /^(-[fFZjCdhpUWV?].*|--(file|format|compress|jobs|create|dbname|host|port|username|password|version|help)(=.*)?)$/;

/** DB_DUMP_OPTIONS as words. Throws `Failure` with status 2 on one that cannot be used. */
export function dumpOptionsFrom(text: string | undefined): string[] {
  const words = parseWords(text ?? "");
  const wrong = words.find((word) => refused.test(word));
  if (wrong === undefined) return words;
  throw usageFailure(
    `DB_DUMP_OPTIONS: ${wrong} cannot be used`,
    "format, compression, file and connection have settings of their own",
  );
}

/** A table that another session has locked is not waited for longer. What the user sets comes later, and wins. */
const locks = `--lock-wait-timeout=${lockPatience}`;

/**
 * The dump's SQL, in the database's encoding (`known`, or asked for). It ends normally only when pg_dump exited 0 and its last line has
 * come. While it waits for a lock, the log says which.
 */
export async function* dump(
  connection: Connection,
  client: Client,
  options: readonly string[],
  known?: string,
): AsyncGenerator<Uint8Array> {
  const { env, signal, where, log, dbname } = connection;
  // otherwise a login's client_encoding would decide, which need not know every letter of the database
  const encoding = known ?? (await query<string>(connection, "SELECT to_json(getdatabaseencoding())"));
  const words = ["--format=plain", "--no-password", locks, `--encoding=${encoding}`, ...options, dbname];
  const program = start([client.path, ...words], { env, signal });
  using watch = watchSessions(connection, "pg_dump");
  const failure = (status: number, stderr: string) => clientFailure(`pg_dump of ${where} failed`, status, stderr);
  yield* outputOf(program, { name: "pg_dump", path: client.path, form: dumpForm, watch, failure, log, signal });
}

/** psql takes a name with a = for settings, and one that looks like a URL for that. */
const unmistakable = (database: string) =>
  /=|^postgres(ql)?:/.test(database) ? formatConninfo([["dbname", database]]) : database;

/** More relations than this need more locks in one transaction than a server has by default (6,400). */
const manyRelations = 4000;

/** A pipe of stock tools that restores the file into an empty database of that name. */
export function stockRestore(
  file: string,
  compression: Parameters<typeof unpackCommand>[1],
  { connection, server, pgDump, relations }: ServerInfo,
): string {
  // pg_dump 17 and later write a setting into the first lines that older servers do not know
  const older = server.major < 17 && pgDump.major >= 17 ? " | sed '1,40{/^SET transaction_timeout = 0;$/d}'" : "";
  const single = relations > manyRelations ? "" : "--single-transaction ";
  const load = `psql --no-psqlrc ${single}-v ON_ERROR_STOP=1`;
  return `${unpackCommand(file, compression)}${older} | ${load} -d ${quote(unmistakable(connection.database))}`;
}

/** Watches the sessions of `program`. */
export const watchSessions = (connection: Connection, program: "pg_dump" | "psql"): LockWatch =>
  watchLocks(connection, async () =>
    (await query<string[]>(connection, waitsOf(connection))).map((wait) => `${program} waits for ${wait}`),
  );

/** "a lock on public.t, held by session 4711 of app (psql), idle in transaction since 03:04:05". */
function waitsOf({ keywords }: Connection): string {
  const own = keywords.find(([keyword]) => keyword === "application_name")?.[1] ?? process.env.PGAPPNAME;
  const names = ["pg_dump", "psql", "backup_scripts", ...(own === undefined ? [] : [own])].map(literal);
  return `
    SELECT ${jsonList(`SELECT DISTINCT 'a lock on ' || what || ', held by ' || coalesce(holders, 'another session') FROM (
      SELECT coalesce(l.relation::regclass::text, l.locktype) AS what, (
        SELECT string_agg('session ' || h.pid || coalesce(' of ' || h.usename, '') || coalesce(' (' || nullif(h.application_name, '') || ')', '')
          || coalesce(', ' || h.state || ' since ' || to_char(h.state_change, 'HH24:MI:SS'), ''), ' and ')
        FROM pg_stat_activity h WHERE h.pid = ANY (pg_blocking_pids(l.pid))) AS holders
      FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
      WHERE NOT l.granted AND a.datname = current_database() AND a.usename = session_user AND a.application_name IN (${names.join(", ")})
    ) AS w`)}`;
}
