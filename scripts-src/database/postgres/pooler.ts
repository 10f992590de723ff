/** A pooler between us and the server that lends its sessions for one transaction (PgBouncer's `pool_mode = transaction`). */
import { memory } from "../../base/memory.ts";
import type { Connection } from "./connection.ts";
import { Session } from "./session.ts";

/**
 * pg_dump and dumps set `search_path` to nothing and `row_security` to off for their session. Such a pooler gives that session to the
 * application afterwards.
 */
export const poolerWarning =
  "a pooler lies between this machine and the server and lends its sessions for one transaction: settings of pg_dump " +
  "(an empty search_path, row_security = off) stay in sessions that your application gets; use the server's own host and port";

/** How often two sessions are asked in turn: a pooler lends the session that was used last, but not always. */
const rounds = 3;

const answers = memory<boolean>(60_000);

/** Two connections that are open together share processes of the server. False where a second connection is refused. */
export const isPooled = (connection: Connection): Promise<boolean> =>
  answers(JSON.stringify(connection.keywords.filter(([keyword]) => keyword !== "dbname")), () => ask(connection));

async function ask(connection: Connection): Promise<boolean> {
  const sessions = [1, 2].map(() => new Session(connection, () => `cannot query ${connection.where}`));
  try {
    const seen = new Set<string>();
    for (let round = 0; round < rounds; round++)
      for (const [at, session] of sessions.entries())
        seen.add(`${at} ${await session.settled("pg_catalog.pg_backend_pid()")}`);
    await Promise.all(sessions.map((session) => session.end()));
    return new Set([...seen].map((one) => one.slice(2))).size < seen.size || seen.size > sessions.length;
  } catch {
    connection.signal.throwIfAborted();
    await Promise.all(sessions.map((session) => session.stop()));
    return false;
  }
}
