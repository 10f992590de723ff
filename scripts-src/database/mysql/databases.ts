/** Which databases the server has. */
import type { ServerDatabase } from "../database.ts";
import { type Connection, query } from "./connection.ts";

/** Whether every server has that database. */
export const isSystem = (name: string): boolean =>
  ["information_schema", "performance_schema", "mysql", "sys"].includes(name);

/** Those that the user may see. A folder in the data directory that is no database (`lost+found`) is listed as `#mysql50#…`. */
export async function listDatabases(connection: Connection): Promise<ServerDatabase[]> {
  const rows = await query(connection, "SELECT schema_name FROM information_schema.schemata ORDER BY 1");
  return rows.map(([name = ""]) => ({ name, isSystem: isSystem(name) || name.startsWith("#mysql50#") }));
}
