/** Which lock a program of ours waits for, and whose it is. */
import { type LockWatch, watchLocks } from "../lock-watch.ts";
import { jsonList } from "./catalog.ts";
import type { Connection } from "./connection.ts";
import { literal } from "./names.ts";
import { query } from "./session.ts";

/** Watches the sessions of `program`. */
export const watchSessions = (connection: Connection, program: "pg_dump" | "psql"): LockWatch =>
  watchLocks(connection, async () =>
    (await query<string[]>(connection, question(connection))).map((wait) => `${program} waits for ${wait}`),
  );

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
