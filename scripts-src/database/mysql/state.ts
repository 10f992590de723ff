/** What a load has to know of its target. */
import { type Connection, everywhere, inDatabase, query } from "./connection.ts";
import { quoteText } from "./names.ts";
import type { ServerInfo } from "./probe.ts";

export interface ServerState {
  /** As the server sees the login: "app@%". */
  user: string;
  /** What the database holds: "PROCEDURE work", "EVENT cleanup", … */
  programs: string[];
  collations: ReadonlySet<string>;
  engines: ReadonlySet<string>;
  /** Every account of the server; undefined when the user may not see them. */
  accounts: ReadonlySet<string> | undefined;
  /** Global variables that can stand in the way: names and values. */
  variables: ReadonlyMap<string, string>;
}

const question = (schema: string) => `
  SET SESSION sql_mode = '';
  SELECT 'user', current_user();
  SELECT 'program', concat(routine_type, ' ', routine_name) FROM information_schema.routines WHERE routine_schema = ${schema};
  SELECT 'program', concat('EVENT ', event_name) FROM information_schema.events WHERE event_schema = ${schema};
  SELECT 'collation', lower(collation_name) FROM information_schema.collations;
  SELECT 'engine', lower(engine) FROM information_schema.engines WHERE support IN ('YES', 'DEFAULT');
  SHOW GLOBAL VARIABLES WHERE variable_name IN ('read_only', 'super_read_only', 'log_bin', 'log_bin_trust_function_creators',
    'lower_case_table_names')`;

/** Asks the server. Throws `Failure`. */
export async function askTarget(connection: Connection, { client, grants }: ServerInfo): Promise<ServerState> {
  const rows = await query(inDatabase(connection, everywhere), client, question(quoteText(connection.target.database)));
  const tagged = (tag: string) => rows.filter(([one]) => one === tag).map(([, value = ""]) => value);
  return {
    user: tagged("user")[0] ?? "",
    programs: tagged("program"),
    collations: new Set(tagged("collation")),
    engines: new Set(tagged("engine")),
    accounts: grants.hasOn("mysql", "user", "SELECT") ? await askAccounts(connection, client) : undefined,
    variables: new Map(rows.map(([name = "", value = ""]) => [name, value])),
  };
}

async function askAccounts(connection: Connection, client: ServerInfo["client"]): Promise<Set<string> | undefined> {
  try {
    const rows = await query(connection, client, "SELECT concat(user, '@', host) FROM mysql.user");
    return new Set(rows.map(([account = ""]) => account));
  } catch {
    connection.signal.throwIfAborted();
    return undefined;
  }
}
