/** The one place that starts psql: its sessions, and short questions to the server. */
import { Failure } from "../../base/errors.ts";
import { type Program, start } from "../../base/process.ts";
import { unanswered } from "../explain.ts";
import { ClientSession } from "../session.ts";
import { knowsRestrict } from "./clients.ts";
import type { Connection } from "./connection.ts";
import { clientFailure } from "./explain.ts";

/** psql without surprises: no .psqlrc, no questions, the first error ends it. */
const words = ["--no-psqlrc", "--no-password", "--quiet", "--set=ON_ERROR_STOP=1"];

/**
 * Starts psql, locked: whatever it reads on its stdin, it runs SQL and no command of its own (`\!`, `\copy`, `\o |program`), because
 * it obeys no command between our `\restrict` and an `\unrestrict` with the same token, which nobody knows.
 */
export function startPsql(connection: Connection, options: readonly string[] = []): Program {
  const { psql } = connection;
  const program = start([psql.path, ...words, ...options, connection.dbname], connection);
  // a psql that has ended reports the reason itself
  if (knowsRestrict(psql)) write(program, `\\restrict ${crypto.randomUUID().replaceAll("-", "")}\n`).catch(() => {});
  return program;
}

const write = async (program: Program, text: string) => program.stdin.write(text);

/**
 * Switches off the limits that a login, a database or a server sets for statements and sessions, for the present transaction or for the
 * session. The answer is an empty line. Which limits there are differs between versions.
 */
export const withoutTimeouts = (scope: "transaction" | "session"): string =>
  `SELECT pg_catalog.left(pg_catalog.string_agg(pg_catalog.set_config(name, '0', ${scope === "transaction"}), ''), 0)
   FROM pg_catalog.pg_settings WHERE name IN
   ('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout', 'idle_session_timeout');\n`;

/** A login for backups may be read-only by default. In databases of our own it must write. */
export const writable = "SET default_transaction_read_only = off;\n";

/** psql's exit status after an error under ON_ERROR_STOP. */
const scriptError = 3;
/** How long (ms) psql may take for an answer before it is looked whether it reads on instead. */
const patience = 5_000;
/** More than a pipe and psql's own buffer hold. */
const blanks = Buffer.from(`${" ".repeat(1023)}\n`.repeat(1024));

export class Session extends ClientSession {
  /** It has ended because the server refused a statement: not because the connection or the program broke. */
  refused = false;
  readonly #psql: Connection["psql"];
  readonly #what: () => string | Promise<string>;
  /** psql was ended because it waits for more input. */
  #stuck = false;

  /** Starts psql. `what` gives the beginning of a failure's message, when psql has ended. `counts`: for `copied`. */
  constructor(connection: Connection, what: () => string | Promise<string>, { counts = false } = {}) {
    // psql that answers ends when nobody reads the answers any more; what must be done to its end is not counted
    const counting = counts ? ["--set=QUIET=off"] : [];
    super(startPsql(connection, [...counting, "--tuples-only", "--no-align"]), connection.signal);
    this.#psql = connection.psql;
    this.#what = what;
  }

  /**
   * Resolves when all that was handed over has been carried out, with the whole number that `expression` then is ("" without one).
   * Throws also when psql waits for more input instead: when a comment or quotation is open.
   */
  async settled(expression?: string): Promise<string> {
    // SELECT and not \echo, which our \restrict forbids; without operators, which may be the dump's own
    return (await this.#patiently(expression && `SELECT ${expression}`)).find((line) => /^\d+$/.test(line)) ?? "";
  }

  /** As `settled`, but resolves to the server's answers to each COPY since the last time: the rows that it took. */
  async copied(): Promise<number[]> {
    return (await this.#patiently()).map((line) => Number(line.slice("COPY ".length)));
  }

  /** What `sql` selects, as psql prints it. */
  async ask(sql: string): Promise<string> {
    return Buffer.from((await this.answerTo(`${sql}\n`)).join("\n"), "latin1").toString();
  }

  protected override keeps(line: string): boolean {
    return /^COPY \d+$/.test(line);
  }

  async #patiently(question?: string): Promise<string[]> {
    let answered = false;
    const timer = setTimeout(() => void this.#lookWhether(() => answered), patience);
    try {
      return await this.answerTo(question);
    } finally {
      answered = true;
      clearTimeout(timer);
    }
  }

  protected override async failure(status: number, stderr: string): Promise<Failure> {
    this.refused = status === scriptError;
    const what = await this.#what();
    if (status === 0) return unanswered(what, "psql", this.#psql.path);
    if (!this.#stuck) return clientFailure(what, status, stderr);
    return new Failure(`${what}: psql waits for the end of a comment or quotation`, {
      hints: ["look at the file: this is not what pg_dump writes; or take another backup"],
    });
  }

  /** psql reads on only when it has nothing to do: once it has read this much more, it never answers. */
  async #lookWhether(answered: () => boolean): Promise<void> {
    this.write(blanks);
    await this.drained();
    await Bun.sleep(2_000);
    if (answered()) return;
    this.#stuck = true;
    await this.stop();
  }
}

/**
 * Runs SQL whose results are of no interest. It reaches psql by its stdin: a setting of a database may be a secret, and arguments
 * are seen by all. Throws `Failure`, which begins with `what`.
 */
export async function execute(connection: Connection, what: string, sql: string): Promise<void> {
  await using session = new Session(connection, () => what);
  session.write(withoutTimeouts("session"), writable, sql);
  await session.settled();
  await session.end();
}

/** What `sql` selects in a transaction of its own, which `begin` begins. Throws a `Failure` that begins with `what`. */
async function askOnce(
  connection: Connection,
  what: string,
  { begin, sql, end }: Record<"begin" | "sql" | "end", string>,
) {
  const session = new Session(connection, () => what);
  session.write(begin, withoutTimeouts("transaction"));
  const answer = session.ask(sql);
  session.write(end);
  // its input ends at once: psql would wait for the rest of SQL that breaks off in a string
  return (await Promise.all([answer, session.end()]))[0];
}

/** The one JSON value that `sql` selects. Throws `Failure`. */
export async function query<T>(connection: Connection, sql: string): Promise<T> {
  // for the transaction only: behind a pooler the session belongs to others afterwards
  const begin = "BEGIN;\nSET LOCAL search_path = pg_catalog;\n";
  const answer = await askOnce(connection, `cannot query ${connection.where}`, { begin, sql, end: "COMMIT;\n" });
  return JSON.parse(answer) as T;
}

/** What a query of one column finds, as a JSON array. */
export const jsonList = (query: string): string => `(SELECT coalesce(json_agg(x), '[]') FROM (${query}) AS q(x))`;

/** Something to ask the server for: `sql` gives it as JSON. */
interface Fact<T> {
  sql: string;
  /** The value where there is no database to ask. */
  absent: T;
}

export const fact = <T>(sql: string, absent: T): Fact<T> => ({ sql, absent });
/** What a query of one column finds. */
export const factList = <T = string>(query: string, absent: T[] = []): Fact<T[]> => fact(jsonList(query), absent);

type Facts = Record<string, Fact<unknown>>;
export type Found<F extends Facts> = { [Name in keyof F]: F[Name]["absent"] };

/** The values where there is no database to ask. */
export const absent = <F extends Facts>(facts: F): Found<F> =>
  Object.fromEntries(Object.entries(facts).map(([name, fact]) => [name, fact.absent])) as Found<F>;

/** Whether a schema is none of the system's. */
export const userSchema = "nspname !~ '^(pg_|information_schema$)'";

/** Whether an extension has made the object: `oid` of `catalog`. */
export const isMember = (catalog: string, oid: string): string =>
  `EXISTS (SELECT FROM pg_depend m WHERE m.classid = '${catalog}'::regclass AND m.objid = ${oid} AND m.deptype = 'e')`;

/** Asks for all of them at once. Throws `Failure`. */
export function queryFacts<F extends Facts>(connection: Connection, facts: F): Promise<Found<F>> {
  const pairs = Object.entries(facts).map(([name, { sql }]) => `'${name}', ${sql}`);
  return query(connection, `SELECT json_build_object(${pairs.join(", ")})`);
}

/** The one value that a query of the user's own selects, as text; in a transaction that can change nothing. Throws `Failure`. */
export async function askValue(connection: Connection, sql: string): Promise<string> {
  const transaction = { begin: "BEGIN READ ONLY;\n", sql, end: "ROLLBACK;\n" };
  return (await askOnce(connection, `the query failed on ${connection.where}`, transaction)).trim();
}
