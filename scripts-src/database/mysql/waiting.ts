/** Which lock a dump waits for, and whose it is. */
import type { Connection } from "./connection.ts";
import { query } from "./session.ts";

/** In words. A user without the privilege PROCESS sees only its own sessions. */
export async function findWaits(connection: Connection): Promise<string[]> {
  const rows = await query(connection, "SELECT 'user', current_user(); SHOW FULL PROCESSLIST");
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
  if (!ours) return [];
  const table = /(?:FROM|TABLES?|LIKE) [`']((?:[^`']|``)+)[`']/i.exec(ours.doing)?.[1] ?? "";
  const others = sessions.filter((session) => session !== ours && session.database === ours.database && !session.waits);
  // what it does names the table, else it is probably the one that has lasted longest
  const weight = ({ doing, seconds }: (typeof others)[number]) => (doing.includes(table) ? 1e9 : 0) + Number(seconds);
  const [holder] = others.toSorted((a, b) => weight(b) - weight(a));
  const whose = holder
    ? `probably session ${holder.id} of ${holder.user}@${holder.host.replace(/:\d+$/, "")} (${holder.doing.slice(0, 80)}, for ${holder.seconds} s)`
    : "another session (the privilege PROCESS would show whose)";
  return [
    `the dump waits for the table ${table || ours.doing.slice(0, 80)}, which is locked by ${whose}; gives up after 5 minutes`,
  ];
}
