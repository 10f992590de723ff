/** A session of psql. */
import { Failure } from "../../base/errors.ts";
import { ClientSession } from "../session.ts";
import type { Connection } from "./connection.ts";
import { clientFailure } from "./explain.ts";
import { startPsql } from "./psql.ts";
import { withoutTimeouts, writable } from "./query.ts";

/** psql's exit status after an error under ON_ERROR_STOP. */
const scriptError = 3;
/** How long (ms) psql may take for an answer before it is looked whether it reads on instead. */
const patience = 5_000;
/** More than a pipe and psql's own buffer hold. */
const blanks = Buffer.from(`${" ".repeat(1023)}\n`.repeat(1024));

export class Session extends ClientSession {
  /** It has ended because the server refused a statement: not because the connection or the program broke. */
  refused = false;
  readonly #what: () => string | Promise<string>;
  /** psql was ended because it waits for more input. */
  #stuck = false;

  /** Starts psql. `what` gives the beginning of a failure's message, when psql has ended. `counts`: for `copied`. */
  constructor(connection: Connection, what: () => string | Promise<string>, { counts = false } = {}) {
    // psql that answers ends when nobody reads the answers any more; what must be done to its end is not counted
    const counting = counts ? ["--set=QUIET=off"] : [];
    super(startPsql(connection, [...counting, "--tuples-only", "--no-align"]), connection.signal);
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
