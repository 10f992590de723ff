/** A session of psql that carries out SQL in order while the caller goes on. */
import { Failure } from "../../base/errors.ts";
import type { Program } from "../../base/process.ts";
import { Feed } from "../feed.ts";
import type { Connection } from "./connection.ts";
import { clientFailure } from "./explain.ts";
import { startPsql } from "./psql.ts";
import { withoutTimeouts, writable } from "./query.ts";

/** psql's exit status after an error under ON_ERROR_STOP. */
const scriptError = 3;
/** A line of psql's output that is longer (characters) is no answer of interest. */
const longestAnswer = 4096;
/** How long (ms) psql may take for an answer before it is looked whether it reads on instead. */
const patience = 5_000;
/** More than a pipe and psql's own buffer hold. */
const blanks = Buffer.from(`${" ".repeat(1023)}\n`.repeat(1024));

/** What psql has answered when a mark is reached. */
interface Answer {
  number: string;
  copies: number[];
}

interface Mark {
  text: string;
  reached: PromiseWithResolvers<Answer>;
}

/** All but `stop` throw the `Failure` of an error that has ended psql. */
export class Session {
  /** It has ended because the server refused a statement: not because the connection or the program broke. */
  refused = false;
  readonly #connection: Connection;
  readonly #what: () => string | Promise<string>;
  readonly #program: Program;
  readonly #feed: Feed;
  readonly #ended: Promise<string>;
  readonly #marks: Mark[] = [];
  #copies: number[] = [];
  #ending = false;
  /** psql was ended because it waits for more input. */
  #stuck = false;

  /** Starts psql. `what` gives the beginning of a failure's message, when psql has ended. `counts`: for `copied`. */
  constructor(connection: Connection, what: () => string | Promise<string>, { counts = false } = {}) {
    this.#connection = connection;
    this.#what = what;
    // psql that answers ends when nobody reads the answers any more; what must be done to its end is not counted
    const counting = counts ? ["--set=QUIET=off"] : [];
    this.#program = startPsql(connection, [...counting, "--tuples-only", "--no-align"]);
    this.#feed = new Feed(this.#program.stdin, {
      ended: () => this.#ended,
      failed: (error) => {
        for (const { reached } of this.#marks.splice(0)) reached.reject(error);
      },
    });
    this.#ended = this.#follow();
  }

  /** Resolves when little of what was handed over still waits to be read: the time to hand over more. */
  room(): Promise<void> {
    return this.#feed.room();
  }

  /** Hands SQL over. */
  write(...sql: (string | Uint8Array)[]): void {
    this.#feed.write(sql);
  }

  /**
   * Resolves when all that was handed over has been carried out, with the whole number that `expression` then is ("" without one).
   * Throws also when psql waits for more input instead: when a comment or quotation is open.
   */
  async settled(expression?: string): Promise<string> {
    return (await this.#settle(expression)).number;
  }

  /** As `settled`, but resolves to the server's answers to each COPY since the last time: the rows that it took. */
  async copied(): Promise<number[]> {
    return (await this.#settle()).copies;
  }

  /** Ends the session in good order and resolves to what psql wrote to its stderr. */
  async end(): Promise<string> {
    await this.#feed.drained();
    this.#ending = true;
    await this.#feed.end();
    const stderr = await this.#ended;
    this.#feed.check();
    return stderr;
  }

  /** Ends it at once; what was not committed never happened. */
  async stop(): Promise<void> {
    this.#program.stop();
    await this.#program.exited;
  }

  async #settle(expression = "''"): Promise<Answer> {
    this.#feed.check();
    // unlike anything that a dump may print, and nothing in it can know it
    const mark = { text: `backup_scripts ${crypto.randomUUID()}`, reached: Promise.withResolvers<Answer>() };
    this.#marks.push(mark);
    // not by \echo, which our \restrict forbids; without operators, which may be the dump's own
    this.#feed.write([`\nSELECT '${mark.text}', ${expression}, '.';\n`], true);
    const timer = setTimeout(() => void this.#lookWhether(mark), patience);
    try {
      return await mark.reached.promise;
    } finally {
      clearTimeout(timer);
    }
  }

  /** psql reads on only when it has nothing to do: once it has read this much more, it never answers. */
  async #lookWhether(mark: Mark): Promise<void> {
    this.write(blanks);
    await this.#feed.drained();
    await Bun.sleep(2_000);
    if (!this.#marks.includes(mark)) return;
    this.#stuck = true;
    this.#program.stop();
  }

  async #follow(): Promise<string> {
    let rest = "";
    for await (const chunk of this.#program.stdout) {
      const lines = (rest + Buffer.from(chunk).toString("latin1")).split("\n");
      rest = (lines.pop() ?? "").slice(0, longestAnswer);
      for (const line of lines) this.#hear(line);
    }
    const [status, stderr] = [await this.#program.exited, await this.#program.stderr];
    if (status === 0 && this.#ending && this.#marks.length === 0) return stderr;
    this.refused = status === scriptError;
    const { signal } = this.#connection;
    if (signal.aborted) this.#feed.fail(signal.reason);
    else
      this.#feed.fail(this.#stuck ? unanswered(await this.#what()) : clientFailure(await this.#what(), status, stderr));
    return stderr;
  }

  #hear(line: string): void {
    const number = answerTo(this.#marks[0]?.text, line);
    const copy = /^COPY (\d+)$/.exec(line)?.[1];
    if (copy !== undefined) this.#copies.push(Number(copy));
    if (number === undefined) return;
    this.#marks.shift()?.reached.resolve({ number, copies: this.#copies });
    this.#copies = [];
  }
}

const unanswered = (what: string) =>
  new Failure(`${what}: psql waits for the end of a comment or quotation`, {
    hints: ["look at the file: this is not what pg_dump writes; or take another backup"],
  });

/** What psql wrote between the mark and the dot; undefined when it is no such line. */
const answerTo = (mark: string | undefined, line: string): string | undefined =>
  mark !== undefined && line.startsWith(`${mark}|`) ? /\|(\d*)\|\.$/.exec(line)?.[1] : undefined;

/**
 * Runs SQL whose results are of no interest. It goes through psql's stdin: a setting of a database may be a secret, and arguments
 * are seen by all. Throws `Failure`, which begins with `what`.
 */
export async function execute(connection: Connection, what: string, sql: string): Promise<void> {
  const session = new Session(connection, () => what);
  try {
    session.write(withoutTimeouts("session"), writable, sql);
    await session.settled();
    await session.end();
  } catch (error) {
    await session.stop();
    throw error;
  }
}
