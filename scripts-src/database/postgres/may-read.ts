/** May the user read all that pg_dump reads? */
import { Failure } from "../../base/errors.ts";
import { listed, listOf } from "../../base/text.ts";
import { isMember, jsonList, userSchema } from "./catalog.ts";
import type { Connection } from "./connection.ts";
import { hintForLargeObjects } from "./explain.ts";
import { query } from "./session.ts";

/** Options that choose tables: what cannot be read may be left out by them. */
const chooses = /^(-[tTnN]|--(exclude-)?(table|schema))/;

const relation = "n.nspname || '.' || c.relname";

/** Tables and sequences that pg_dump dumps: those of extensions only where they hold settings. */
const dumped = `pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE ${userSchema} AND (NOT ${isMember("pg_class", "c.oid")}
    OR EXISTS (SELECT FROM pg_extension WHERE c.oid = ANY (extconfig)))`;

const question = `SELECT ${jsonList(`
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
  const found = await query<string[]>(connection, question);
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
