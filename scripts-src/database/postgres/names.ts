/** Names of databases beside the present one, and names and texts as SQL wants them. */
import { stampOf } from "../../base/text.ts";

/** PostgreSQL's limit for names, in bytes. It cuts a longer one silently, and then names another database. */
const longestName = 63;

export const identifier = (text: string): string => `"${text.replaceAll('"', '""')}"`;
export const literal = (value: string): string => `'${value.replaceAll("'", "''")}'`;

const escapes: Record<string, string> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r" };

/** A text in one line, whatever standard_conforming_strings says. */
export const text = (value: string): string => {
  const escaped = value.replaceAll(/[\\\n\r]/g, (sign) => escapes[sign] ?? sign);
  return (escaped === value ? "" : "E") + literal(escaped);
};

/** Settings whose value is a list of names, kept as they are quoted. */
const listSettings = (
  "search_path temp_tablespaces local_preload_libraries session_preload_libraries shared_preload_libraries " +
  "unix_socket_directories"
).split(" ");

/** `name TO value`, for SET. */
export const settingValue = (name: string, value: string): string =>
  `${name.split(".").map(identifier).join(".")} TO ${listSettings.includes(name) ? namesIn(value) : text(value)}`;

const namesIn = (list: string): string =>
  [...list.matchAll(/"((?:[^"]|"")*)"|([^\s,]+)/g)]
    .map(([, quoted, plain = ""]) => text(quoted === undefined ? plain : quoted.replaceAll('""', '"')))
    .join(", ") || "''";

type Beside = "restoring" | "before" | "verify";

/** The part of `database` that fits in front of a suffix with a time; cut as UTF-8. */
function stemOf(database: string, what: Beside | "new"): string {
  const letters = Array.from(database);
  while (Buffer.byteLength(letters.join("")) + `_${what}_2026-01-31_03-00-00`.length > longestName) letters.pop();
  return letters.join("");
}

/** The name of a database beside `database`: `app_before_2026-01-31_03-00-00`. */
export const besideName = (database: string, what: Beside, time: Date): string =>
  `${stemOf(database, what)}_${what}_${stampOf(time)}`;

/** SQL: whether `datname` is such a name. */
export const isBeside = (database: string, what: Beside | "new"): string => {
  const stem = `${stemOf(database, what)}_${what}_`;
  const time = "^[0-9]{4}-[0-9]{2}-[0-9]{2}_[0-9]{2}-[0-9]{2}-[0-9]{2}$";
  return `(starts_with(datname, ${literal(stem)}) AND substr(datname, ${Array.from(stem).length + 1}) ~ '${time}')`;
};

/** How the comment of a database begins that is not finished. */
export const unfinished = "backup_scripts: unfinished restore of ";

/** The comment of a database that is not finished: how a later run knows what a killed one has left. */
export const markOf = (database: string, system: string | undefined): string =>
  `${unfinished}${database} on server ${system ?? "unknown"}`;

/** As SQL wants it: a table that is called `schema.table` (`table` alone in dumps of pg_dump before 10.3). */
function relation(table: string): string {
  const point = table.indexOf(".");
  const schema = point < 0 ? "" : `${identifier(table.slice(0, point))}.`;
  return schema + identifier(table.slice(point + 1));
}

/** SQL that answers as a COPY does: the rows of a table, without those of tables that inherit from it. */
export function counting(table: string): string {
  const sql = relation(table);
  return `SELECT 'COPY ' || count(*) FROM ${sql} WHERE tableoid = ${literal(sql)}::regclass
  OR (SELECT relkind = 'p' FROM pg_catalog.pg_class WHERE oid = ${literal(sql)}::regclass);`;
}

/** SQL that removes the same rows. */
export function emptying(table: string): string {
  const sql = relation(table);
  return `DO ${literal(`BEGIN TRUNCATE ONLY ${sql}; EXCEPTION WHEN wrong_object_type THEN TRUNCATE ${sql}; END`)};`;
}
