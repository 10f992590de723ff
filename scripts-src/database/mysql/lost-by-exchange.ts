/** What an exchange would lose: RENAME TABLE and DROP do not leave it as it was. */
import { asBytes, quoteName, quoteText } from "./names.ts";
import type { Other } from "./objects.ts";
import type { Session } from "./session.ts";

interface OrphanKeys {
  /** SQL that drops them. */
  drop: string;
  /** SQL that makes them again in the session's database, a letter for each byte. */
  add: string;
}

const question = (schema: string) => `
  SELECT DISTINCT table_name, constraint_name FROM information_schema.key_column_usage k
  WHERE table_schema = ${schema} AND referenced_table_schema = ${schema} AND NOT EXISTS (
    SELECT 1 FROM information_schema.tables t WHERE t.table_schema = ${schema} AND t.table_name = k.referenced_table_name)`;

/** Foreign keys to tables that do not exist: RENAME TABLE would leave them with the name of the database that a table came from. */
export async function orphanKeys(session: Session, database: string): Promise<OrphanKeys> {
  const keys = await session.ask(question(quoteText(database)));
  if (keys.length === 0) return { drop: "", add: "" };
  const full = (table: string) => `${quoteName(database)}.${quoteName(table)}`;
  const tables = [...new Set(keys.map(([table = ""]) => table))];
  await session.ask("SET @results = @@character_set_results, character_set_results = binary");
  const shown = await session.askBytes(tables.map((table) => `SHOW CREATE TABLE ${full(table)}`).join(";\n"));
  await session.ask("SET character_set_results = @results");
  const added = keys.map(([table = "", key = ""]) => {
    const start = `CONSTRAINT ${asBytes(quoteName(key))} FOREIGN KEY `;
    const lines = (shown[tables.indexOf(table)]?.[1] ?? "").split("\n").map((line) => line.trim().replace(/,$/, ""));
    return `ALTER TABLE ${asBytes(quoteName(table))} ADD ${lines.find((line) => line.startsWith(start))};\n`;
  });
  const dropped = keys.map(
    ([table = "", key = ""]) => `ALTER TABLE ${full(table)} DROP FOREIGN KEY ${quoteName(key)};\n`,
  );
  return { drop: `${dropped.join("")}DO 0`, add: `SET NAMES utf8mb4;\n${added.join("")}` };
}

/** Rights on single routines: DROP takes them away, and CREATE does not give them back. `grants` do; `hidden`: a warning where the user may not read who has them. */
export async function readGrants(
  session: Session,
  database: string,
  objects: readonly Other[],
): Promise<{ grants: string[]; hidden?: string }> {
  if (objects.every(({ kind }) => ["VIEW", "TRIGGER", "EVENT"].includes(kind))) return { grants: [] };
  const [[readable] = []] = await session.ask(
    "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'mysql' AND table_name = 'procs_priv'",
  );
  if (readable !== "1")
    return {
      grants: [],
      hidden: `rights that others have on single procedures or functions of ${database} are lost: this user may not read them (SELECT ON mysql.procs_priv)`,
    };
  const rows = await session.ask(
    `SELECT user, host, routine_type, routine_name, proc_priv FROM mysql.procs_priv WHERE db = ${quoteText(database)}`,
  );
  return {
    grants: rows.map(([user = "", host = "", kind = "", name = "", words = ""]) => {
      const rights = words.split(",").filter((word) => word !== "Grant");
      const to = host === "" ? quoteName(user) : `${quoteName(user)}@${quoteName(host)}`;
      const option = words.includes("Grant") ? " WITH GRANT OPTION" : "";
      return `GRANT ${rights.join(", ")} ON ${kind} ${quoteName(database)}.${quoteName(name)} TO ${to}${option}`;
    }),
  };
}

/**
 * MariaDB keeps the database's name with the sequence that a column takes its default from, and RENAME TABLE leaves it as it was: SQL that
 * points the defaults of tables from `source` to the sequences of `database`, a letter for each byte; to be run there.
 */
export async function sequenceDefaults(session: Session, source: string, database: string): Promise<string> {
  const [from, to] = [asBytes(`${quoteName(source)}.`), asBytes(`${quoteName(database)}.`)];
  const rows = await session.askBytes(
    // the columns of views have defaults, too
    `SELECT table_name, column_name, column_default FROM information_schema.columns JOIN information_schema.tables
       USING (table_schema, table_name)
     WHERE table_schema = ${quoteText(source)} AND table_type <> 'VIEW' AND locate(${quoteText(`${quoteName(source)}.`)}, column_default) > 0`,
  );
  // all of a table in one statement, which needs every sequence that the others name
  const changes = [...Map.groupBy(rows, ([table = ""]) => table)].map(([table, columns]) => {
    const defaults = columns.map(
      ([, column = "", value = ""]) =>
        `ALTER COLUMN ${quoteName(column)} SET DEFAULT (${value.replaceAll(from, () => to)})`,
    );
    return `ALTER TABLE ${quoteName(table)} ${defaults.join(", ")};\n`;
  });
  return changes.length > 0 ? `SET NAMES utf8mb4;\n${changes.join("")}` : "";
}
