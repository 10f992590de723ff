/** Says for which lock a program of ours waits, and whose it is: nobody looks for that at night. */
import { jsonList } from "./catalog.ts";
import type { Connection } from "./connection.ts";
import { literal } from "./names.ts";
import { query } from "./query.ts";

/** How long (ms) a lock may be waited for: then a backup or a restore gives up. */
export const lockPatience = 300_000;

/** How often (ms) it is looked, while nothing moves. */
const interval = 4_000;
/** How often (ms) the same is said again. */
const sayAgain = 60_000;

interface LockWatch extends Disposable {
  /** Something moves: there is nothing to look for. */
  moved: () => void;
}

/** Watches the sessions of `program` until it is disposed of. */
export function watchLocks(connection: Connection, program: "pg_dump" | "psql"): LockWatch {
  const { log, signal } = connection;
  let still = false;
  let asking = false;
  const said = new Map<string, number>();
  const look = async () => {
    const idle = still;
    still = true;
    if (!idle || asking || signal.aborted) return;
    asking = true;
    const waits = await query<string[]>(connection, question(connection)).catch(() => []);
    asking = false;
    for (const wait of waits) {
      if (Date.now() - (said.get(wait) ?? 0) < sayAgain) continue;
      said.set(wait, Date.now());
      log.warn(`${program} waits for ${wait}`);
    }
  };
  const timer = setInterval(() => void look(), interval);
  return {
    moved: () => void (still = false),
    [Symbol.dispose]: () => clearInterval(timer),
  };
}

/** "a lock on public.t, held by session 4711 of app (psql), idle in transaction since 03:04:05". */
function question({ keywords }: Connection): string {
  const own = keywords.find(([keyword]) => keyword === "application_name")?.[1] ?? process.env.PGAPPNAME;
  const names = ["pg_dump", "psql", "backup_scripts", ...(own === undefined ? [] : [own])].map(literal);
  return `
    SELECT ${jsonList(`SELECT DISTINCT 'a lock on ' || what || ', held by ' || coalesce(holders, 'another session') FROM (
      SELECT coalesce(l.relation::regclass::text, l.locktype) AS what, (
        SELECT string_agg('session ' || h.pid || coalesce(' of ' || h.usename, '') || coalesce(' (' || nullif(h.application_name, '') || ')', '')
          || coalesce(', ' || h.state || ' since ' || to_char(h.state_change, 'HH24:MI:SS'), ''), ' and ')
        FROM pg_stat_activity h WHERE h.pid = ANY (pg_blocking_pids(l.pid))) AS holders
      FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
      WHERE NOT l.granted AND a.datname = current_database() AND a.usename = session_user AND a.application_name IN (${names.join(", ")})
    ) AS w`)}`;
}
