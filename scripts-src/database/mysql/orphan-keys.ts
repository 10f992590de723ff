/** Foreign keys to tables that do not exist: RENAME TABLE would leave them with the name of the database that a table came from. */
import { quoteName, quoteText } from "./names.ts";
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

export async function orphanKeys(session: Session, database: string): Promise<OrphanKeys> {
  const keys = await session.ask(question(quoteText(database)));
  if (keys.length === 0) return { drop: "", add: "" };
  const full = (table: string) => `${quoteName(database)}.${quoteName(table)}`;
  const tables = [...new Set(keys.map(([table = ""]) => table))];
  await session.ask("SET @results = @@character_set_results, character_set_results = binary");
  const shown = await session.askBytes(tables.map((table) => `SHOW CREATE TABLE ${full(table)}`).join(";\n"));
  await session.ask("SET character_set_results = @results");
  const added = keys.map(([table = "", key = ""]) => {
    const start = `CONSTRAINT ${bytes(quoteName(key))} FOREIGN KEY `;
    const lines = (shown[tables.indexOf(table)]?.[1] ?? "").split("\n").map((line) => line.trim().replace(/,$/, ""));
    return `ALTER TABLE ${bytes(quoteName(table))} ADD ${lines.find((line) => line.startsWith(start))};\n`;
  });
  const dropped = keys.map(
    ([table = "", key = ""]) => `ALTER TABLE ${full(table)} DROP FOREIGN KEY ${quoteName(key)};\n`,
  );
  return { drop: `${dropped.join("")}DO 0`, add: `SET NAMES utf8mb4;\n${added.join("")}` };
}

const bytes = (text: string): string => Buffer.from(text).toString("latin1");
