/** MariaDB keeps the database's name with the sequence that a column takes its default from, and RENAME TABLE leaves it as it was. */
import { quoteName, quoteText } from "./names.ts";
import type { Session } from "./session.ts";

/** SQL that points the defaults of tables from `source` to the sequences of `database`, a letter for each byte; to be run there. */
export async function sequenceDefaults(session: Session, source: string, database: string): Promise<string> {
  const bytes = (name: string) => Buffer.from(quoteName(name)).toString("latin1");
  const rows = await session.askBytes(
    `SELECT table_name, column_name, column_default FROM information_schema.columns
     WHERE table_schema = ${quoteText(source)} AND locate(${quoteText(`${quoteName(source)}.`)}, column_default) > 0`,
  );
  // all of a table in one statement, which needs every sequence that the others name
  const changes = [...Map.groupBy(rows, ([table = ""]) => table)].map(([table, columns]) => {
    const defaults = columns.map(
      ([, column = "", value = ""]) =>
        `ALTER COLUMN ${quoteName(column)} SET DEFAULT (${value.replaceAll(bytes(source), () => bytes(database))})`,
    );
    return `ALTER TABLE ${quoteName(table)} ${defaults.join(", ")};\n`;
  });
  return changes.length > 0 ? `SET NAMES utf8mb4;\n${changes.join("")}` : "";
}
