/** Loading a dump with the client program. */
import { randomUUID } from "node:crypto";
import { codeOf } from "../../base/errors.ts";
import type { Client } from "./clients.ts";
import { type Connection, startClient } from "./connection.ts";
import { endOf } from "./examine.ts";
import { clientFailure } from "./explain.ts";
import { loadable } from "./filter.ts";
import type { MysqlPlan } from "./plan.ts";
import type { Contact } from "./probe.ts";
import { splitStatements } from "./statements.ts";

const options = [
  "--batch",
  "--unbuffered",
  // comments in the bodies of programs stay
  "--comments",
  "--skip-column-names",
  "--default-character-set=utf8mb4",
  "--max-allowed-packet=1G",
];

/** No endless wait for other sessions' locks (MySQL's default is a year). */
const patience = "SET SESSION lock_wait_timeout = 15;\n";

/**
 * Empties the database and loads the dump; the first error stops it. Throws `Failure`, and then the database may be neither
 * as it was nor as in the dump.
 */
export async function load(
  connection: Connection,
  { client }: Contact,
  sql: AsyncIterable<Uint8Array>,
  { locking, holding, emptying, rules }: MysqlPlan,
): Promise<void> {
  const { where } = connection.target;
  if (locking !== undefined) await awaitLocks(connection, client, locking);
  const ended = await converse(connection, client, async function* () {
    yield Buffer.from(prelude(holding === undefined ? emptying : [holding, ...emptying]));
    for await (const piece of splitStatements(sql)) yield loadable(piece, rules);
  });
  // a broken pipe: the client ended before its input did, and its own words say why
  if (ended.broken !== undefined && codeOf(ended.broken) !== "EPIPE") throw ended.broken;
  if (ended.done) return;
  const how = `the restore into ${where} failed; it may now be neither as it was nor as in the backup`;
  throw clientFailure(how, client, ended.status, ended.stderr);
}

/** What dumps rely on, for those made without it; then nothing is left over and nothing in the way. */
const prelude = (emptying: readonly string[]): string =>
  [
    `${patience}SET SESSION foreign_key_checks = 0`,
    ...emptying,
    "SET SESSION foreign_key_checks = 1, sql_mode = 'NO_AUTO_VALUE_ON_ZERO'",
    "",
  ].join(";\n");

/** Waits until no other session's transaction holds a table, while nothing has been touched yet. Throws `Failure`. */
async function awaitLocks(connection: Connection, client: Client, locking: string): Promise<void> {
  const { stderr, status } = await converse(connection, client, async function* () {
    yield Buffer.from(`${patience}${locking};\nUNLOCK TABLES;\n`);
  });
  // any other trouble, a damaged table say, may be just why there is a restore
  if (!stderr.includes("ERROR 1205")) return;
  throw clientFailure(`${connection.target.where} is in use, and nothing was changed`, client, status, stderr);
}

interface Ended {
  /** The server has done all of it. */
  done: boolean;
  /** What went wrong on our side of the pipe. */
  broken?: unknown;
  status: number;
  stderr: string;
}

/** Feeds the client with `input` to the end, or until either side fails. */
async function converse(
  connection: Connection,
  client: Client,
  input: () => AsyncIterable<Uint8Array | undefined>,
): Promise<Ended> {
  const program = startClient(connection, client, [...options, `--database=${connection.target.database}`]);
  const output = lastOf(program.stdout, program.loggedIn);
  // said by the server at the very end: the client takes an input that breaks off for a whole one
  const mark = randomUUID();
  let broken: unknown;
  try {
    await program.stdin.write("SELECT 'logged in';\n");
    for await (const bytes of input()) if (bytes) await program.stdin.write(bytes);
    await program.stdin.write(`\nDELIMITER ;\nSELECT '${mark}';\n`);
    await program.stdin.end();
  } catch (error) {
    broken = error;
    program.stop();
  }
  const [status, stderr, said] = [await program.exited, await program.stderr, await output];
  connection.signal.throwIfAborted();
  return { done: broken === undefined && status === 0 && said.includes(mark), broken, status, stderr };
}

async function lastOf(stream: ReadableStream<Uint8Array>, onChunk: () => void): Promise<string> {
  let tail: Buffer = Buffer.alloc(0);
  for await (const chunk of stream) {
    onChunk();
    tail = endOf(tail, chunk);
  }
  return tail.toString();
}
