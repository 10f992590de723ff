/** A session of psql that carries out SQL in order while the caller goes on. */
import { codeOf } from "../../base/errors.ts";
import { type Client } from "./clients.ts";
import type { Connection } from "./connection.ts";
import { endOf } from "./contents.ts";
import { clientFailure } from "./explain.ts";
import { startPsql } from "./psql.ts";

/** All but `stop` throw the `Failure` of an error that has ended psql. */
export interface Session {
  /** Resolves when little of what was handed over still waits to be read: the time to hand over more. */
  room(): Promise<void>;
  /** Hands SQL over. */
  write(...sql: (string | Uint8Array)[]): void;
  /** Resolves when all that was handed over has been carried out. */
  settled(): Promise<void>;
  /** Ends the session in good order. */
  end(): Promise<void>;
  /** Ends it at once; what was not committed never happened. */
  stop(): Promise<void>;
}

/** More than this is not "little". */
const roomBytes = 262_144;

/** Starts psql. `what` gives the beginning of a failure's message, for what psql wrote to its stderr. */
export function openSession(connection: Connection, psql: Client, what: (stderr: string) => string): Session {
  const program = startPsql(connection, psql);
  // unlike anything that a dump may print
  const token = crypto.randomUUID();
  const marks: { text: string; reached: PromiseWithResolvers<void> }[] = [];
  const waiting: PromiseWithResolvers<void>[] = [];
  let count = 0;
  let waitingBytes = 0;
  let written = Promise.resolve();
  let ending = false;
  let failure: { error: unknown } | undefined;

  // no Promise.race with one promise of the failure: it would keep something of every call until the end
  const fail = (error: unknown) => {
    failure ??= { error };
    for (const { reject } of [...waiting.splice(0), ...marks.splice(0).map(({ reached }) => reached)]) reject(error);
  };
  const check = () => {
    if (failure) throw failure.error;
  };
  const read = async () => {
    let tail: Buffer = Buffer.alloc(0);
    for await (const chunk of program.stdout) {
      const said = Buffer.concat([tail, chunk]);
      while (marks[0] && said.includes(marks[0].text)) marks.shift()?.reached.resolve();
      tail = endOf(tail, chunk);
    }
  };
  const ended = (async () => {
    await read();
    const [status, stderr] = [await program.exited, await program.stderr];
    if (status === 0 && ending && marks.length === 0) return;
    fail(connection.signal.aborted ? connection.signal.reason : clientFailure(what(stderr), status, stderr));
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
  return {
    write: (...sql) => write(sql),
    async room() {
      check();
      if (waitingBytes < roomBytes) return;
      const room = Promise.withResolvers<void>();
      waiting.push(room);
      await room.promise;
    },
    async settled() {
      check();
      const reached = Promise.withResolvers<void>();
      const text = `backup_scripts ${token} ${++count}.`;
      marks.push({ text, reached });
      // not by \echo, which a dump's \restrict forbids
      write([`\nSELECT '${text}';\n`], true);
      await reached.promise;
    },
    async end() {
      await written;
      ending = true;
      await Promise.resolve(program.stdin.end()).catch(() => {}); // gone already: how, its status tells
      await ended;
      check();
    },
    async stop() {
      program.stop();
      await program.exited;
    },
  };
}

/**
 * Runs SQL whose results are of no interest. It goes through psql's stdin: a setting of a database may be a secret, and arguments
 * are seen by all. Throws `Failure`, which begins with `what`.
 */
export async function execute(connection: Connection, psql: Client, what: string, sql: string): Promise<void> {
  const session = openSession(connection, psql, () => what);
  try {
    session.write(sql);
    await session.settled();
    await session.end();
  } catch (error) {
    await session.stop();
    throw error;
  }
}
