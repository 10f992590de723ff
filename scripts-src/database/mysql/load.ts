/** Loading a dump with the client program. */
import { randomUUID } from "node:crypto";
import { codeOf } from "../../shared/errors.ts";
import { type Connection, startClient } from "./connection.ts";
import { endOf } from "./contents.ts";
import { clientFailure } from "./explain.ts";
import { loadable } from "./filter.ts";
import type { MysqlPlan } from "./plan.ts";
import type { Contact } from "./probe.ts";
import { splitStatements } from "./statements.ts";

const options = [
  "--batch",
  "--unbuffered",
  // no command of the client is obeyed but DELIMITER, whatever stands in the dump
  "--binary-mode",
  // comments in the bodies of programs stay
  "--comments",
  "--skip-column-names",
  "--default-character-set=utf8mb4",
  "--max-allowed-packet=1G",
];

/**
 * Empties the database and loads the dump; the first error stops it. Throws `Failure`, and then the database is neither as
 * it was nor as in the dump.
 */
export async function load(
  connection: Connection,
  { client }: Contact,
  sql: AsyncIterable<Uint8Array>,
  { emptying, rules }: MysqlPlan,
): Promise<void> {
  const { target, signal } = connection;
  const program = startClient(connection, client, [...options, `--database=${target.database}`]);
  const output = lastOf(program.stdout, program.loggedIn);
  // said by the server at the very end: the client takes an input that breaks off for a whole one
  const mark = randomUUID();
  let broken: unknown;
  try {
    await program.stdin.write(prelude(emptying));
    for await (const piece of splitStatements(sql)) {
      const bytes = loadable(piece, rules);
      if (bytes) await program.stdin.write(bytes);
    }
    await program.stdin.write(`\nDELIMITER ;\nSELECT '${mark}';\n`);
    await program.stdin.end();
  } catch (error) {
    broken = error;
    program.stop();
  }
  const [status, stderr, said] = [await program.exited, await program.stderr, await output];
  signal.throwIfAborted();
  // a broken pipe: the client ended before its input did, and its own words say why
  if (broken !== undefined && codeOf(broken) !== "EPIPE") throw broken;
  if (broken === undefined && status === 0 && said.includes(mark)) return;
  const how = `the restore into ${target.where} failed; it may now be neither as it was nor as in the backup`;
  throw clientFailure(how, client, status, stderr);
}

/**
 * What dumps rely on, for those made without it, and no endless wait for other sessions' locks (MySQL's default is a
 * year).
 */
const prelude = (emptying: readonly string[]): string =>
  [
    "SELECT 'logged in'",
    "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO', lock_wait_timeout = 15, foreign_key_checks = 0",
    ...emptying,
    "SET SESSION foreign_key_checks = 1",
    "",
  ].join(";\n");

async function lastOf(stream: ReadableStream<Uint8Array>, onChunk: () => void): Promise<string> {
  let tail: Buffer = Buffer.alloc(0);
  for await (const chunk of stream) {
    onChunk();
    tail = endOf(tail, chunk);
  }
  return tail.toString();
}
