/** What a load has to know of its target. */
import { type Connection, query } from "./connection.ts";
import type { Contact } from "./probe.ts";

export interface TargetState {
  /** As the server sees the login: "app@%". */
  user: string;
  /** Sequences among them. */
  tables: string[];
  sequences: string[];
  views: string[];
  /** "PROCEDURE work", "EVENT cleanup", … */
  programs: string[];
  collations: ReadonlySet<string>;
  engines: ReadonlySet<string>;
  /** Every account of the server; undefined when the user may not see them. */
  accounts: ReadonlySet<string> | undefined;
  /** Global variables that can stand in the way: names and values. */
  variables: ReadonlyMap<string, string>;
  /** Other sessions in the database, as far as the user sees them. */
  sessions: number;
  /** What `loadLock` gave; undefined where the server knows no such locks (Galera). */
  loadLock: "free" | "held" | undefined;
}

/**
 * A lock of the server for its database, which every load holds. The session of a load may outlive our program: when that
 * is killed, the client and the server still do what they were given. Names have at most 64 characters.
 */
export const loadLock = (seconds: number): string =>
  `SELECT get_lock(left(concat('backup_scripts restore ', database()), 64), ${seconds})`;

const question = `
  SET SESSION sql_mode = '';
  SELECT 'facts', current_user(),
    (SELECT count(*) FROM information_schema.processlist WHERE db = database() AND id <> connection_id());
  SELECT table_type, table_name FROM information_schema.tables WHERE table_schema = database() ORDER BY table_name;
  SELECT 'program', concat(routine_type, ' ', routine_name) FROM information_schema.routines WHERE routine_schema = database();
  SELECT 'program', concat('EVENT ', event_name) FROM information_schema.events WHERE event_schema = database();
  SELECT 'collation', lower(collation_name) FROM information_schema.collations;
  SELECT 'engine', lower(engine) FROM information_schema.engines WHERE support IN ('YES', 'DEFAULT');
  SHOW GLOBAL VARIABLES WHERE variable_name IN ('read_only', 'super_read_only', 'log_bin', 'log_bin_trust_function_creators',
    'lower_case_table_names')`;

/** Asks the server. Throws `Failure`. */
export async function askTarget(connection: Connection, { client, grants }: Contact): Promise<TargetState> {
  // first: what such a load still does must not come after the questions
  const lock = await awaitLoad(connection, client);
  const rows = await query(connection, client, question);
  const tagged = (...tags: string[]) => rows.filter(([tag = ""]) => tags.includes(tag)).map(([, value = ""]) => value);
  const [, user = "", sessions] = rows.find(([tag]) => tag === "facts") ?? [];
  const sequences = tagged("SEQUENCE");
  return {
    user,
    tables: [...tagged("BASE TABLE", "SYSTEM VERSIONED"), ...sequences],
    sequences,
    views: tagged("VIEW"),
    programs: tagged("program"),
    collations: new Set(tagged("collation")),
    engines: new Set(tagged("engine")),
    accounts: grants.hasOn("mysql", "user", "SELECT") ? await askAccounts(connection, client) : undefined,
    variables: new Map(rows.map(([name = "", value = ""]) => [name, value])),
    sessions: Number(sessions),
    loadLock: lock,
  };
}

async function awaitLoad(connection: Connection, client: Contact["client"]): Promise<TargetState["loadLock"]> {
  try {
    const [[given] = []] = await query(connection, client, loadLock(15));
    return given === "1" ? "free" : "held";
  } catch {
    connection.signal.throwIfAborted();
    return undefined;
  }
}

async function askAccounts(connection: Connection, client: Contact["client"]): Promise<Set<string> | undefined> {
  try {
    const rows = await query(connection, client, "SELECT concat(user, '@', host) FROM mysql.user");
    return new Set(rows.map(([account = ""]) => account));
  } catch {
    connection.signal.throwIfAborted();
    return undefined;
  }
}
