/** Whether the database may be exchanged for a new one: told before that is created. */
import { mayEnd } from "./beside.ts";
import { jsonList } from "./json-list.ts";

/** Part of what the target says of itself. */
export interface SwapFacts {
  mayCreate: boolean;
  owns: boolean;
  /** "replication slot x": what belongs to the present database and would stay behind. */
  tied: string[];
  /** Whose sessions are there that the user may not end. */
  lasting: string[];
}

export const swapQuery = `
  SELECT json_build_object(
    'mayCreate', (SELECT rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = current_user),
    'owns', pg_has_role(datdba, 'USAGE'),
    'tied', ${jsonList(`SELECT 'replication slot ' || slot_name FROM pg_replication_slots WHERE database = current_database()
      UNION ALL SELECT 'subscription ' || subname FROM pg_subscription WHERE subdbid = d.oid
      UNION ALL SELECT 'prepared transaction ' || gid FROM pg_prepared_xacts WHERE database = current_database()`)},
    'lasting', ${jsonList(`SELECT DISTINCT coalesce(usename, 'unknown') FROM pg_stat_activity
      WHERE datname = current_database() AND coalesce(backend_type, 'client backend') = 'client backend' AND NOT ${mayEnd}`)})
  FROM pg_database d WHERE datname = current_database()`;

/** What stands in the way, each with its remedy. */
export function swapProblems({ mayCreate, owns, tied, lasting }: SwapFacts, user: string): string[] {
  return [
    ...(mayCreate ? [] : [`${user} may not create databases: ALTER ROLE … CREATEDB, or restore without --swap`]),
    ...(owns ? [] : [`${user} does not own the database: restore as its owner, or without --swap`]),
    ...(tied.length > 0
      ? [
          `${tied.join(", ")} would stay with the present database: drop what is no longer needed, or restore without --swap`,
        ]
      : []),
    ...(lasting.length > 0
      ? [`sessions of ${lasting.join(", ")} are open, which ${user} may not end: stop them, or GRANT pg_signal_backend`]
      : []),
  ];
}
