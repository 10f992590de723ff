/** What a restore has to know about the server and the present database, and whether another can take its place. */
import { freeBytes } from "../../base/disk.ts";
import type { TargetState } from "../restoring.ts";
import type { Place } from "./connection.ts";
import { isLocal } from "./login.ts";
import { isBeside, quoteText } from "./names.ts";
import { idOf, objectsFrom, objectsQuestion } from "./objects.ts";
import { plainMode, query } from "./session.ts";

/** What `plan` needs beyond what every engine says. */
export interface MysqlTarget extends TargetState {
  /** As the server sees the login: "app@%". */
  user: string;
  /** What the database holds: "PROCEDURE work", "EVENT cleanup", … */
  programs: string[];
  engines: ReadonlySet<string>;
  /** Every account of the server; undefined when the user may not see them. */
  accounts: ReadonlySet<string> | undefined;
  /** Global variables that can stand in the way: names and values. */
  variables: ReadonlyMap<string, string>;
}

const question = (schema: string) => `
  SELECT 'facts', (SELECT count(*) FROM information_schema.schemata WHERE schema_name = ${schema}), @@datadir, current_user();
  ${objectsQuestion(schema)};
  SELECT 'rows', table_name, coalesce(table_rows, 0) FROM information_schema.tables
    WHERE table_schema = ${schema} AND table_type <> 'VIEW';
  SELECT 'database', s.schema_name, coalesce(sum(t.data_length + t.index_length), 0) FROM information_schema.schemata s
    LEFT JOIN information_schema.tables t ON t.table_schema = s.schema_name GROUP BY s.schema_name;
  SELECT 'engine', lower(engine) FROM information_schema.engines WHERE support IN ('YES', 'DEFAULT');
  SHOW GLOBAL VARIABLES WHERE variable_name IN ('log_bin', 'log_bin_trust_function_creators', 'lower_case_table_names')`;

/** Asks the server. Throws `Failure`. */
export async function askTarget(place: Place): Promise<MysqlTarget> {
  const { database } = place;
  const rows = await query(place, place.settings + question(quoteText(database)));
  const tagged = (tag: string) => rows.filter((row) => row[0] === tag).map((row) => row.slice(1));
  const [there, datadir = "", user = ""] = tagged("facts")[0] ?? [];
  const databases = new Map(tagged("database").map(([name = "", bytes]) => [name, Number(bytes)]));
  const tables = new Map(tagged("rows").map(([name = "", count]) => [name, Number(count)]));
  const others = objectsFrom(rows).others.map(idOf);
  return {
    exists: there !== "0",
    empty: tables.size + others.length === 0,
    tables,
    others: others.length,
    dataBytes: databases.get(database) ?? 0,
    earlier: [...databases]
      .filter(([name]) => isBeside(name, database, "before"))
      .map(([name, bytes]) => ({ name, bytes })),
    freeBytes: isLocal(place.target) ? await freeBytes(datadir).catch(() => undefined) : undefined,
    user,
    programs: others.filter((id) => !/^(?:VIEW|TRIGGER) /.test(id)),
    engines: new Set(tagged("engine").flat()),
    accounts: await askAccounts(place),
    variables: new Map(rows.map(([name = "", value = ""]) => [name, value])),
  };
}

async function askAccounts(place: Place): Promise<Set<string> | undefined> {
  try {
    const rows = await query(place, `${plainMode}SELECT concat(user, '@', host) FROM mysql.user`);
    return new Set(rows.map(([account = ""]) => account));
  } catch {
    place.signal.throwIfAborted();
    return undefined;
  }
}

/** Asks what ties a database's tables to where they are. */
export const tiesQuestion = (database: string) => {
  const schema = quoteText(database);
  const parentExists = `EXISTS (SELECT 1 FROM information_schema.tables t WHERE t.table_schema = ${schema} AND t.table_name = k.referenced_table_name)`;
  return `
  SELECT DISTINCT 'foreign', concat(k.table_schema, '.', k.table_name) FROM information_schema.key_column_usage k
    WHERE k.referenced_table_schema = ${schema} AND k.table_schema <> ${schema} AND ${parentExists};
  SELECT DISTINCT 'orphan', concat(k.table_name, ' (', k.constraint_name, ')') FROM information_schema.key_column_usage k
    WHERE k.table_schema = ${schema} AND k.referenced_table_schema = ${schema} AND NOT ${parentExists};
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
