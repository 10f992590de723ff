/** A session of psql that carries out SQL in order while the caller goes on. */
import { codeOf, Failure } from "../../base/errors.ts";
import type { Connection } from "./connection.ts";
import { clientFailure } from "./explain.ts";
import { startPsql } from "./psql.ts";
import { withoutTimeouts } from "./query.ts";

/** All but `stop` throw the `Failure` of an error that has ended psql. */
export interface Session {
  /** It has ended because the server refused a statement: not because the connection or the program broke. */
  readonly refused: boolean;
  /** Resolves when little of what was handed over still waits to be read: the time to hand over more. */
  room(): Promise<void>;
  /** Hands SQL over. */
  write(...sql: (string | Uint8Array)[]): void;
  /**
   * Resolves when all that was handed over has been carried out, with the whole number that `expression` then is ("" without one).
   * Throws also when psql waits for more input instead: when a comment or quotation is open.
   */
  settled(expression?: string): Promise<string>;
  /** As `settled`, but resolves to the server's answers to each COPY since the last time: the rows that it took. */
  copied(): Promise<number[]>;
  /** Ends the session in good order and resolves to what psql wrote to its stderr. */
  end(): Promise<string>;
  /** Ends it at once; what was not committed never happened. */
  stop(): Promise<void>;
}

/** psql's exit status after an error under ON_ERROR_STOP. */
const scriptError = 3;
/** A line of psql's output that is longer (characters) is no answer of interest. */
const longestAnswer = 4096;

/** What psql has answered when a mark is reached. */
interface Answer {
  number: string;
  copies: number[];
}

/** More than this is not "little". */
const roomBytes = 262_144;

/** How long (ms) psql may take for an answer before it is looked whether it reads on instead. */
const patience = 5_000;

/** More than a pipe and psql's own buffer hold. */
const blanks = Buffer.from(`${" ".repeat(1023)}\n`.repeat(1024));

/** Starts psql. `what` gives the beginning of a failure's message, when psql has ended. `counts`: for `copied`. */
export function openSession(
  connection: Connection,
  what: () => string | Promise<string>,
  { counts = false } = {},
): Session {
  // psql that answers ends when nobody reads the answers any more; what must be done to its end is not counted
  const counting = counts ? ["--set=QUIET=off"] : [];
  const program = startPsql(connection, [...counting, "--tuples-only", "--no-align"]);
  const marks: { text: string; reached: PromiseWithResolvers<Answer> }[] = [];
  let copies: number[] = [];
  const waiting: PromiseWithResolvers<void>[] = [];
  let waitingBytes = 0;
  let written = Promise.resolve();
  let ending = false;
  /** psql was ended because it waits for more input. */
  let stuck = false;
  let refused = false;
  let failure: { error: unknown } | undefined;

  // no Promise.race with one promise of the failure: it would keep something of every call until the end
  const fail = (error: unknown) => {
    failure ??= { error };
    for (const { reject } of [...waiting.splice(0), ...marks.splice(0).map(({ reached }) => reached)]) reject(error);
  };
  const check = () => {
    if (failure) throw failure.error;
  };
  const hear = (line: string) => {
    const number = answerTo(marks[0]?.text, line);
    const copy = /^COPY (\d+)$/.exec(line)?.[1];
    if (copy !== undefined) copies.push(Number(copy));
    if (number === undefined) return;
    marks.shift()?.reached.resolve({ number, copies });
    copies = [];
  };
  const read = async () => {
    let rest = "";
    for await (const chunk of program.stdout) {
      const lines = (rest + Buffer.from(chunk).toString("latin1")).split("\n");
      rest = (lines.pop() ?? "").slice(0, longestAnswer);
      for (const line of lines) hear(line);
    }
  };
  const ended = (async () => {
    await read();
    const [status, stderr] = [await program.exited, await program.stderr];
    if (status === 0 && ending && marks.length === 0) return stderr;
    refused = status === scriptError;
    if (connection.signal.aborted) fail(connection.signal.reason);
    else fail(stuck ? unanswered(await what()) : clientFailure(await what(), status, stderr));
    return stderr;
  })();

  async function pass(sql: readonly (string | Uint8Array)[], flush: boolean): Promise<void> {
    try {
      for (const bytes of sql) {
        if (failure) return;
        await program.stdin.write(bytes);
        waitingBytes -= bytes.length;
      }
      if (flush) await program.stdin.flush();
      if (waitingBytes < roomBytes) for (const { resolve } of waiting.splice(0)) resolve();
    } catch (error) {
      // a broken pipe: psql ended before its input did, and its own words say why
      if (codeOf(error) === "EPIPE") await ended;
      fail(error);
    }
  }
  function write(sql: readonly (string | Uint8Array)[], flush = false): void {
    for (const bytes of sql) waitingBytes += bytes.length;
    written = written.then(() => pass(sql, flush));
  }
  /** psql reads on only when it has nothing to do: once it has read this much more, it never answers. */
  async function lookWhether(mark: (typeof marks)[number]): Promise<void> {
    write([blanks]);
    await written;
    await Bun.sleep(2_000);
    if (!marks.includes(mark)) return;
    stuck = true;
    program.stop();
  }
  async function settle(expression = "''"): Promise<Answer> {
    check();
    const reached = Promise.withResolvers<Answer>();
    // unlike anything that a dump may print, and nothing in it can know it
    const mark = { text: `backup_scripts ${crypto.randomUUID()}`, reached };
    marks.push(mark);
    // not by \echo, which our \restrict forbids; without operators, which may be the dump's own
    write([`\nSELECT '${mark.text}', ${expression}, '.';\n`], true);
    const timer = setTimeout(() => void lookWhether(mark), patience);
    try {
      return await reached.promise;
    } finally {
      clearTimeout(timer);
    }
  }
  return {
    get refused() {
      return refused;
    },
    write: (...sql) => write(sql),
    async room() {
      check();
      if (waitingBytes < roomBytes) return;
      const room = Promise.withResolvers<void>();
      waiting.push(room);
      await room.promise;
    },
    settled: async (expression) => (await settle(expression)).number,
    copied: async () => (await settle()).copies,
    async end() {
      await written;
      ending = true;
      await (async () => program.stdin.end())().catch(() => {}); // gone already: how, its status tells
      const stderr = await ended;
      check();
      return stderr;
    },
    async stop() {
      program.stop();
      await program.exited;
    },
  };
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
  const session = openSession(connection, () => what);
  try {
    session.write(withoutTimeouts("session"), sql);
    await session.settled();
    await session.end();
  } catch (error) {
    await session.stop();
    throw error;
  }
}
