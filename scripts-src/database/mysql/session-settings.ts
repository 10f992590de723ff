/** Session settings under which a server takes back what it once accepted, whatever its defaults are now. */
import type { Connection } from "./connection.ts";
import { query } from "./session.ts";

/** sql_select_limit, max_join_size: as much as there is. */
export const unlimited = "18446744073709551615";

/** Settings that every user may change. A server knows only some of them. */
const ordinary: Readonly<Record<string, string>> = {
  autocommit: "1",
  // else a COMMIT can end the session
  completion_type: "0",
  sql_mode: "'NO_AUTO_VALUE_ON_ZERO'",
  foreign_key_checks: "0",
  unique_checks: "0",
  check_constraint_checks: "0",
  restrict_fk_on_non_standard_key: "0",
  sql_select_limit: unlimited,
  // sets sql_big_selects, too
  max_join_size: unlimited,
  sql_big_selects: "1",
  max_statement_time: "0",
  max_execution_time: "0",
  tx_read_only: "0",
  transaction_read_only: "0",
  system_versioning_insert_history: "1",
  // MySQL remembers for a day how many rows a table has had
  information_schema_stats_expiry: "0",
  // seconds
  net_read_timeout: "3600",
  net_write_timeout: "3600",
  wait_timeout: "604800",
  lock_wait_timeout: "15",
  innodb_lock_wait_timeout: "15",
};

/** Settings that some servers let only administrators change. */
const privileged: Readonly<Record<string, string>> = {
  innodb_strict_mode: "0",
  sql_require_primary_key: "0",
  sql_generate_invisible_primary_key: "0",
};

const assign = (settings: readonly (readonly [string, string])[]) =>
  `SET SESSION ${settings.map(([name, value]) => `${name} = ${value}`).join(", ")}`;

/** The statement with which each session of a restore begins. Throws `Failure`. */
export async function sessionSettings(connection: Connection): Promise<string> {
  const names = [...Object.keys(ordinary), ...Object.keys(privileged)].map((name) => `'${name}'`).join(", ");
  const rows = await query(connection, `SHOW SESSION VARIABLES WHERE variable_name IN (${names})`);
  const values = new Map(rows.map(([name = "", value = ""]) => [name.toLowerCase(), value]));
  const known = (settings: Readonly<Record<string, string>>) =>
    Object.entries(settings).filter(([name]) => values.has(name));
  // none of these is tried that is as it should be
  const wanted = known(privileged).filter(([name]) => values.get(name) !== "OFF");
  const allowed = await Promise.all(wanted.map((one) => isAllowed(connection, assign([one]))));
  return `${assign([...known(ordinary), ...wanted.filter((_, i) => allowed[i])])};\n`;
}

async function isAllowed(connection: Connection, statement: string): Promise<boolean> {
  try {
    await query(connection, statement);
    return true;
  } catch {
    connection.signal.throwIfAborted();
    return false;
  }
}
