/** A session of the command-line client of MySQL or MariaDB. */
import { type Failure, messageOf } from "../../base/errors.ts";
import { unanswered } from "../explain.ts";
import { ClientSession } from "../session.ts";
import { type Connection, startClient } from "./connection.ts";
import { clientFailure } from "./explain.ts";

const options = [
  "--batch",
  // comments in the bodies of programs stay
  "--comments",
  "--skip-column-names",
  // a new connection would have neither our settings nor our locks
  "--skip-reconnect",
  "--default-character-set=utf8mb4",
  "--max-allowed-packet=1G",
];

/** Between two calls the delimiter is `;`. */
export class Session extends ClientSession {
  readonly #connection: Connection;
  readonly #what: string;

  /** `what` begins the message of a failure: "the restore into … failed". With `once`, answers come when the session is ended. */
  constructor(connection: Connection, what: string, { once = false } = {}) {
    const program = startClient(connection, connection.client, [
      ...options,
      ...(once ? [] : ["--unbuffered"]),
      `--database=${connection.target.database}`,
    ]);
    super(program, connection.signal);
    this.#connection = connection;
    this.#what = what;
  }

  /** Resolves when all that was handed over has been carried out. */
  async settled(): Promise<void> {
    await this.answerTo();
  }

  /** The rows that `sql` (without its last semicolon; several statements, if you like) selects; NULL comes as the word. */
  async ask(sql: string): Promise<string[][]> {
    const rows = await this.askBytes(sql);
    return rows.map((row) => row.map((field) => Buffer.from(field, "latin1").toString()));
  }

  /** The same with a letter for each byte. */
  async askBytes(sql: string): Promise<string[][]> {
    return (await this.answerTo(sql)).map((line) => line.split("\t").map(unescapeField));
  }

  protected override failure(status: number, stderr: string): Failure {
    const { client } = this.#connection;
    return status === 0
      ? unanswered(this.#what, client.name, client.path)
      : clientFailure(this.#what, client, status, stderr);
  }
}

/** Before questions about accounts: PAD_CHAR_TO_FULL_LENGTH would fill up their names with blanks. */
export const plainMode = "SET SESSION sql_mode = '';\n";

/** The rows that `sql` selects, in a session of their own: see `Session.ask`. Throws `Failure`. */
export async function query(connection: Connection, sql: string): Promise<string[][]> {
  const session = new Session(connection, `cannot query ${connection.target.where}`, { once: true });
  // its input ends at once: a client would wait for the rest of SQL that breaks off in a string
  const [rows] = await Promise.all([session.ask(sql), session.end()]);
  return rows;
}

/** Why a server refuses a statement, now and later; undefined for a lost connection, a lock and errors of the client program. */
export const refusalIn = (error: unknown): string | undefined =>
  /ERROR (?!1053|1205|1213|1927)[134]\d{3} [^]*/.exec(messageOf(error))?.[0];

const escaped: Record<string, string> = { t: "\t", n: "\n", "0": "\0" };

/** --batch writes tab, newline, NUL and backslash in fields as `\t`, `\n`, `\0` and `\\`. */
const unescapeField = (field: string): string =>
  field.replaceAll(/\\(.)/g, (_, letter: string) => escaped[letter] ?? letter);

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

/**
 * The first statement of each session of a restore: after it the server accepts what it once accepted, whatever its defaults are now.
 * Throws `Failure`.
 */
export async function sessionSettings(connection: Connection): Promise<string> {
  const names = [...Object.keys(ordinary), ...Object.keys(privileged)].map((name) => `'${name}'`).join(", ");
  const rows = await query(connection, `SHOW SESSION VARIABLES WHERE variable_name IN (${names})`);
  const values = new Map(rows.map(([name = "", value = ""]) => [name.toLowerCase(), value]));
  const known = (settings: Readonly<Record<string, string>>) =>
    Object.entries(settings).filter(([name]) => values.has(name));
  // a setting that already has the right value is not tried
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
