/** Which lock a dump waits for, and whose it is. */
import type { Client } from "./clients.ts";
import { type Connection, query } from "./connection.ts";

/** After so long (ms) without output of the dump program it is looked whether it waits, and how often then. */
const [silence, pause] = [6_000, 10_000];

/** Watches one dump; `reads` surrounds each wait for output of the dump program. */
export function watchLocks(connection: Connection, client: Client) {
  let since = 0;
  let looked = 0;
  const reported = new Set<string>();
  const look = async () => {
    looked = Date.now();
    const found = await findWait(connection, client).catch(() => undefined);
    if (found === undefined || reported.has(found) || since === 0) return;
    reported.add(found);
    connection.log.warn(`${found}; gives up after 5 minutes of waiting`);
  };
  const timer = setInterval(() => {
    const now = Date.now();
    if (since > 0 && now - since >= silence && now - looked >= pause) void look();
  }, 1_000);
  return {
    async reads<T>(output: Promise<T>): Promise<T> {
      since = Date.now();
      try {
        return await output;
      } finally {
        since = 0;
      }
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

/** What the dump waits for, in words; undefined when it does not wait for a lock. A user without PROCESS sees only its own sessions. */
async function findWait(connection: Connection, client: Client): Promise<string | undefined> {
  const rows = await query(connection, client, "SELECT 'user', current_user(); SHOW FULL PROCESSLIST");
  const user = rows.find(([tag]) => tag === "user")?.[1]?.replace(/@[^@]*$/, "");
  const sessions = rows
    .filter((row) => row.length >= 8)
    .map(([id = "", name = "", host = "", database = "", command = "", seconds = "", state = "", info = ""]) => ({
      id,
      user: name,
      host,
      database,
      seconds,
      doing: info === "NULL" ? command : info,
      waits: /^Waiting for .*lock/i.test(state),
    }));
  const ours = sessions.find(
    (session) => session.user === user && session.database === connection.target.database && session.waits,
  );
  if (!ours) return undefined;
  const table = /(?:FROM|TABLES?|LIKE) [`']((?:[^`']|``)+)[`']/i.exec(ours.doing)?.[1] ?? "";
  const others = sessions.filter((session) => session !== ours && session.database === ours.database && !session.waits);
  // what it does names the table, else it is probably the one that has lasted longest
  const weight = ({ doing, seconds }: (typeof others)[number]) => (doing.includes(table) ? 1e9 : 0) + Number(seconds);
  const [holder] = others.toSorted((a, b) => weight(b) - weight(a));
  const whose = holder
    ? `probably session ${holder.id} of ${holder.user}@${holder.host.replace(/:\d+$/, "")} (${holder.doing.slice(0, 80)}, for ${holder.seconds} s)`
    : "another session (the privilege PROCESS would show whose)";
  return `the dump waits for the table ${table || ours.doing.slice(0, 80)}, which is locked by ${whose}`;
}
