/** Which databases the server has. */
import type { ServerDatabase } from "../database.ts";
import { jsonList } from "./catalog.ts";
import { type Connection, inDatabase } from "./connection.ts";
import { query } from "./session.ts";

/** The providers' own. */
const providers = ["rdsadmin", "cloudsqladmin", "azure_maintenance", "azure_sys"];

const question = `
  SELECT ${jsonList(`SELECT json_build_object('name', datname, 'isSystem', datistemplate, 'refuses', CASE
      WHEN datconnlimit = -2 THEN 'it is half dropped'
      WHEN NOT datallowconn THEN 'it accepts no connections'
      WHEN NOT has_database_privilege(oid, 'CONNECT') THEN 'the user lacks CONNECT on it' END)
    FROM pg_database ORDER BY datname`)}`;

/** Whether anybody has made a table, view or sequence in the database. Throws `Failure`. */
export const isUsed = (connection: Connection): Promise<boolean> =>
  query(connection, "SELECT to_json(EXISTS (SELECT FROM pg_class WHERE oid >= 16384))");

/** Throws `Failure`. `postgres` counts as one of the system's as long as nobody has made anything in it. */
export async function listDatabases(connection: Connection): Promise<ServerDatabase[]> {
  const found = await query<(ServerDatabase & { refuses: string | null })[]>(connection, question);
  return Promise.all(
    found.map(async ({ name, isSystem, refuses }) => ({
      name,
      isSystem:
        isSystem ||
        providers.includes(name) ||
        (name === "postgres" && !(await isUsed(inDatabase(connection, name)).catch(() => false))),
      ...(refuses !== null && { refuses }),
    })),
  );
}
