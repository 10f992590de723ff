/** Short questions to the server. */
import { Failure } from "../../base/errors.ts";
import { answerOf } from "../run-program.ts";
import type { Facts, Found } from "./catalog.ts";
import type { Connection } from "./connection.ts";
import { clientFailure } from "./explain.ts";
import { startPsql } from "./psql.ts";

/**
 * Switches off the limits that a login, a database or a server sets for statements and sessions, for the present transaction or for the
 * session. The answer is an empty line. Which limits there are differs between versions.
 */
export const withoutTimeouts = (scope: "transaction" | "session"): string =>
  `SELECT pg_catalog.left(pg_catalog.string_agg(pg_catalog.set_config(name, '0', ${scope === "transaction"}), ''), 0)
   FROM pg_catalog.pg_settings WHERE name IN
   ('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout');\n`;

/** A login that can only read by default, as one for backups may be, writes into the databases that are ours all the same. */
export const writable = "SET default_transaction_read_only = off;\n";

/** The one JSON value that `sql` selects. Throws `Failure`. */
export async function query<T>(connection: Connection, sql: string): Promise<T> {
  const { where, psql } = connection;
  const what = `cannot query ${where}`;
  // for the transaction only: behind a pooler the session belongs to others afterwards
  const own = `${withoutTimeouts("transaction")}SET LOCAL search_path = pg_catalog;\n`;
  const answer = await answerTo(connection, what, `BEGIN;\n${own}${sql}\n;\nCOMMIT;\n`);
  try {
    return JSON.parse(answer) as T;
  } catch (error) {
    throw new Failure(`${what}: psql exited with status 0, but gave no answer`, {
      hints: [`look at ${psql.path}: it is not what it should be`],
      cause: error,
    });
  }
}

/** Asks for all of them at once. Throws `Failure`. */
export function queryFacts<F extends Facts>(connection: Connection, facts: F): Promise<Found<F>> {
  const pairs = Object.entries(facts).map(([name, { sql }]) => `'${name}', ${sql}`);
  return query(connection, `SELECT json_build_object(${pairs.join(", ")})`);
}

/** The one value that a query of the user's own selects, as text; in a transaction that can change nothing. Throws `Failure`. */
export async function askValue(connection: Connection, sql: string): Promise<string> {
  const transaction = `BEGIN READ ONLY;\n${withoutTimeouts("transaction")}${sql}\n;\nROLLBACK;\n`;
  return (await answerTo(connection, `the query failed on ${connection.where}`, transaction)).trim();
}

/** What psql prints. Throws a `Failure` that begins with `what`. */
const answerTo = async (connection: Connection, what: string, sql: string): Promise<string> =>
  answerOf(startPsql(connection, ["--tuples-only", "--no-align"]), sql, {
    signal: connection.signal,
    failure: (status, stderr) => clientFailure(what, status, stderr),
  });
