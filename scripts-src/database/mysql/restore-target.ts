/** What a restore has to know about the present database, and whether another can take its place. */
import { existsSync } from "node:fs";
import { statfs } from "node:fs/promises";
import type { TargetState } from "../restoring.ts";
import { query } from "./connection.ts";
import type { Place } from "./exchange.ts";
import { isBeside, quoteText } from "./names.ts";

const question = (schema: string) => `
  SELECT 'facts', (SELECT count(*) FROM information_schema.schemata WHERE schema_name = ${schema}), @@datadir,
    (SELECT count(*) FROM information_schema.processlist WHERE db = ${schema} AND id <> connection_id()),
    (SELECT count(*) FROM information_schema.routines WHERE routine_schema = ${schema})
      + (SELECT count(*) FROM information_schema.events WHERE event_schema = ${schema});
  SELECT 'others', (SELECT count(*) FROM information_schema.triggers WHERE trigger_schema = ${schema})
      + (SELECT count(*) FROM information_schema.views WHERE table_schema = ${schema});
  SELECT 'table', table_name, coalesce(table_rows, 0), table_type FROM information_schema.tables WHERE table_schema = ${schema};
  SELECT 'database', s.schema_name, coalesce(sum(t.data_length + t.index_length), 0) FROM information_schema.schemata s
    LEFT JOIN information_schema.tables t ON t.table_schema = s.schema_name GROUP BY s.schema_name`;

/** Asks the server. Throws `Failure`. */
export async function askPresent({ connection, client, database }: Place): Promise<TargetState> {
  const rows = await query(connection, client, question(quoteText(database)));
  const tagged = (tag: string) => rows.filter((row) => row[0] === tag).map((row) => row.slice(1));
  const [there, datadir = "", sessions, programs] = tagged("facts")[0] ?? [];
  const databases = new Map(tagged("database").map(([name = "", bytes]) => [name, Number(bytes)]));
  const tables = tagged("table");
  return {
    exists: there !== "0",
    empty: tables.length + Number(programs) === 0,
    tables: new Map(tables.filter(([, , type]) => type !== "VIEW").map(([name = "", count]) => [name, Number(count)])),
    others: Number(programs) + Number(tagged("others")[0]?.[0]),
    sessions: Number(sessions),
    dataBytes: databases.get(database) ?? 0,
    earlier: [...databases]
      .filter(([name]) => isBeside(name, database, "before"))
      .map(([name, bytes]) => ({ name, bytes })),
    unproven: [],
    freeBytes: await freeBytes(connection.target, datadir),
  };
}

/** Undefined where the server's data is not on this machine, as far as that can be seen. */
async function freeBytes({ host, socket }: Place["connection"]["target"], folder: string): Promise<number | undefined> {
  const local = socket !== undefined || /^(?:localhost|127\..*|::1)$/.test(host ?? "localhost");
  if (!local || !existsSync(folder)) return undefined;
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

/** Asks what ties a database's tables to where they are. */
export const tiesQuestion = (database: string) => {
  const schema = quoteText(database);
  return `
  SELECT DISTINCT 'foreign', concat(k.table_schema, '.', k.table_name) FROM information_schema.key_column_usage k
    WHERE k.referenced_table_schema = ${schema} AND k.table_schema <> ${schema};
  SELECT DISTINCT 'orphan', concat(k.table_name, ' (', k.constraint_name, ')') FROM information_schema.key_column_usage k
    WHERE k.table_schema = ${schema} AND k.referenced_table_schema = ${schema} AND NOT EXISTS (
      SELECT 1 FROM information_schema.tables t WHERE t.table_schema = ${schema} AND t.table_name = k.referenced_table_name);
  SELECT 'elsewhere', table_name FROM information_schema.tables
    WHERE table_schema = ${schema} AND create_options LIKE '%DATA DIRECTORY%' AND version() LIKE '%MariaDB%'`;
};

/** What each kind of row of `tiesQuestion` means. */
const meanings = {
  foreign: "foreign keys of other databases refer to it, and would follow its tables",
  orphan: "foreign keys refer to tables that do not exist",
  elsewhere: "MariaDB would leave the files of tables with DATA DIRECTORY behind",
};

/** Why a database's tables cannot be renamed out of it, or into the present one. `rows` are the answers to `tiesQuestion`. */
export const ties = (rows: readonly string[][]): string[] =>
  Object.entries(meanings).flatMap(([tag, meaning]) => {
    const names = rows.filter((row) => row[0] === tag).map(([, name = ""]) => name);
    return names.length > 0 ? [`${meaning}: ${names.join(", ")}`] : [];
  });
