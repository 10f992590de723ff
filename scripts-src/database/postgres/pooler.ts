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

/** So often one of two sessions is asked, in turn: a pooler lends the session that was used last, but not always. */
const questions = 6;

/** What becomes of two connections that are open together: each has its session, both share some, or the second is refused. */
type Pair = "own" | "lent" | "refused";

const answers = memory<Pair>(60_000);

/** Asks the server, or knows it from a minute ago. */
export const pairOf = (connection: Connection): Promise<Pair> =>
  answers(JSON.stringify(connection.keywords.filter(([keyword]) => keyword !== "dbname")), () => ask(connection));

/** Such a pooler lies between. */
export const isPooled = async (connection: Connection): Promise<boolean> => (await pairOf(connection)) === "lent";

async function ask(connection: Connection): Promise<Pair> {
  const open = () => new Session(connection, () => `cannot query ${connection.where}`);
  await using one = open();
  await using other = open();
  try {
    const processes: string[] = [];
    for (let at = 0; at < questions; at++)
      processes.push(await (at % 2 === 0 ? one : other).settled("pg_catalog.pg_backend_pid()"));
    await Promise.all([one.end(), other.end()]);
    const lent = processes[0] === processes[1] || processes.some((process, at) => process !== processes[at % 2]);
    return lent ? "lent" : "own";
  } catch {
    // where there may be one session alone, either of the two has it, and the next program needs it
    await Promise.allSettled([one.end(), other.end()]);
    connection.signal.throwIfAborted();
    return "refused";
  }
}
