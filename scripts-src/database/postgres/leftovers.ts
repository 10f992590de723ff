/** What restores that were killed have left on the server. */
import { messageOf } from "../../base/errors.ts";
import { jsonList } from "./catalog.ts";
import type { Connection } from "./connection.ts";
import { dropDatabase } from "./maintenance.ts";
import { isBeside, literal, markOf } from "./names.ts";
import { query } from "./query.ts";

/**
 * Drops unfinished databases of `database` where name, mark and identity fit. The caller holds the lock on the server: nobody works on
 * them but what a killed run has left running there.
 */
export async function dropLeftovers(
  maintenance: Connection,
  { database, system, purpose }: { database: string; system: string | undefined; purpose: "restore" | "verify" },
): Promise<void> {
  const named = isBeside(database, purpose === "restore" ? "restoring" : "verify");
  const left = await query<string[]>(
    maintenance,
    `SELECT ${jsonList(`SELECT datname FROM pg_database WHERE ${named} AND datname <> ${literal(database)}
     AND shobj_description(oid, 'pg_database') = ${literal(markOf(database, system))} AND pg_has_role(datdba, 'USAGE')`)}`,
  );
  for (const found of left) {
    try {
      await dropDatabase(maintenance, found);
      maintenance.log.info(`dropped ${found}, which a ${purpose} that was killed has left`);
    } catch (error) {
      maintenance.signal.throwIfAborted();
      maintenance.log.warn(`${found}, which a restore that was killed has left, stays for now: ${messageOf(error)}`);
    }
  }
}
