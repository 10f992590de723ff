/** Reading a dump back: first to know what it is, then into the database. */
import { codeOf, Failure } from "../../shared/errors.ts";
import { start } from "../../shared/process.ts";
import { type Client, knowsRestrict } from "./clients.ts";
import { type Connection, psqlArguments } from "./connection.ts";
import { checkHead, type DumpContents, emptyContents, endOf, isComplete, readPiece } from "./contents.ts";
import { clientFailure } from "./explain.ts";
import { loadFilter } from "./filter.ts";
import type { PostgresPlan } from "./plan.ts";
import { splitStatements } from "./statements.ts";

const headLength = 4096;

/** Reads a dump to its end. Throws `Failure` when it is not a whole plain dump of pg_dump. */
export async function examine(sql: AsyncIterable<Uint8Array>): Promise<DumpContents> {
  const contents = emptyContents();
  let head: Buffer = Buffer.alloc(0);
  let tail: Buffer = Buffer.alloc(0);
  async function* watched() {
    for await (const chunk of sql) {
      if (head.length < headLength) {
        head = Buffer.concat([head, chunk]);
        if (head.length >= headLength) checkHead(head);
      }
      tail = endOf(tail, chunk);
      contents.bytes += chunk.length;
      yield chunk;
    }
    if (head.length < headLength) checkHead(head);
  }
  for await (const piece of splitStatements(watched())) readPiece(contents, piece);
  if (!isComplete(tail)) {
    throw new Failure("the dump is not whole: it does not end in pg_dump's last line", {
      hints: ["the file is cut short, or pg_dump was stopped while it was made: choose another backup"],
    });
  }
  contents.serverVersion = /^-- Dumped from database version (\S+)/m.exec(head.toString("latin1", 0, headLength))?.[1];
  contents.roles.delete("PUBLIC");
  return contents;
}

/** Printed by psql behind the last statement of the dump, and behind the COMMIT: without them nothing is believed. */
const loadedMark = "backup_scripts: loaded";
const committedMark = "backup_scripts: committed";

/** Loads a dump in one transaction. Throws `Failure`, and then nothing has changed. */
export async function load(
  connection: Connection,
  psql: Client,
  sql: AsyncIterable<Uint8Array>,
  plan: PostgresPlan,
  noOwner: boolean,
): Promise<void> {
  const { env, signal, where } = connection;
  const filter = loadFilter({ ...plan.rules, noOwner, knowsRestrict: knowsRestrict(psql) });
  const program = start([psql.path, ...psqlArguments(connection)], { env, signal });
  const output = readMarks(program.stdout);
  let broken: unknown;
  try {
    // BEGIN and COMMIT are ours and not psql's --single-transaction: that one commits what has come so far when its
    // input ends early, as it does when this process is killed
    await program.stdin.write(`BEGIN;\n${plan.prelude.join("\n")}\n`);
    for await (const piece of splitStatements(sql)) {
      const bytes = filter(piece);
      if (bytes) await program.stdin.write(bytes);
    }
    // only now, when all of it is done: a COMMIT that waits in the pipe would be obeyed even after we have been killed
    await program.stdin.write(`\n\\echo ${loadedMark}\n`);
    await program.stdin.flush();
    await Promise.race([output.loaded, program.exited]);
    await program.stdin.write(`COMMIT;\n\\echo ${committedMark}\n`);
    await program.stdin.end();
  } catch (error) {
    broken = error;
    program.stop();
  }
  const [status, stderr, said] = [await program.exited, await program.stderr, await output.all];
  signal.throwIfAborted();
  // a broken pipe: psql ended before its input did, and its own words say why
  if (broken !== undefined && codeOf(broken) !== "EPIPE") throw broken;
  if (broken === undefined && status === 0 && said.includes(committedMark)) return;
  const lostAtTheEnd = broken === undefined && /connection|terminating/.test(stderr);
  const how = lostAtTheEnd
    ? "broke off, perhaps while it was committed: look at the database"
    : "failed and changed nothing";
  throw clientFailure(`the restore into ${where} ${how}`, status, stderr);
}

/** Reads what psql prints: the end of it, and when the mark of the loaded dump has come. */
function readMarks(stream: ReadableStream<Uint8Array>): { loaded: Promise<void>; all: Promise<string> } {
  const { promise: loaded, resolve } = Promise.withResolvers<void>();
  async function read(): Promise<string> {
    let tail: Buffer = Buffer.alloc(0);
    for await (const chunk of stream) {
      tail = endOf(tail, chunk);
      if (tail.includes(loadedMark)) resolve();
    }
    return tail.toString();
  }
  return { loaded, all: read() };
}
