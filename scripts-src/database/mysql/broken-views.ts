/** Views whose tables are missing: dump programs fail at them. */
import type { Client } from "./clients.ts";
import { type Connection, query } from "./connection.ts";
import { quoteName, quoteText } from "./names.ts";
import type { Session } from "./session.ts";

/** Views that name what is not there any more, or whose definer may not use it. */
export async function brokenViews(
  session: Pick<Session, "ask">,
  database: string,
  views: readonly string[],
): Promise<string[]> {
  if (views.length === 0) return [];
  const list = views.map((view) => `${quoteName(database)}.${quoteName(view)}`).join(", ");
  const rows = await session.ask(`CHECK TABLE ${list}`);
  const bad = new Set(rows.filter(([, , kind]) => kind?.toLowerCase() === "error").map(([name = ""]) => name));
  return views.filter((view) => bad.has(`${database}.${view}`));
}

/** Options of the dump program that leave broken views out; a warning keeps the definition of each. Throws `Failure`. */
export async function withoutBroken(connection: Connection, client: Client): Promise<string[]> {
  const { database } = connection.target;
  const ask = (sql: string) => query(connection, client, sql);
  const views = await ask(
    `SELECT table_name FROM information_schema.views WHERE table_schema = ${quoteText(database)}`,
  );
  const broken = await brokenViews({ ask }, database, views.flat());
  for (const view of broken) {
    const shown = await ask(`SHOW CREATE VIEW ${quoteName(database)}.${quoteName(view)}`).catch(() => []);
    connection.log.warn(
      `the view ${view} is broken (it names what is not there) and is left out: ${shown[0]?.[1] ?? "its definition cannot be read"}`,
    );
  }
  return broken.map((view) => `--ignore-table=${database}.${view}`);
}
