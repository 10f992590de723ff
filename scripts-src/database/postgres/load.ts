/** Reading a dump back: first to know what it is, then into the database. */
import { Failure } from "../../base/errors.ts";
import { type Client, knowsRestrict } from "./clients.ts";
import type { Connection } from "./connection.ts";
import { checkHead, type DumpContents, emptyContents, endOf, isComplete, readPiece } from "./contents.ts";
import { loadFilter } from "./filter.ts";
import type { PostgresPlan } from "./plan.ts";
import { openSession } from "./session.ts";
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

/** Loads a dump in one transaction. Throws `Failure`, and then nothing has changed. */
export async function load(
  connection: Connection,
  psql: Client,
  sql: AsyncIterable<Uint8Array>,
  plan: PostgresPlan,
  noOwner: boolean,
): Promise<void> {
  const filter = loadFilter({ ...plan.rules, noOwner, oneTransaction: true, knowsRestrict: knowsRestrict(psql) });
  let committing = false;
  const session = openSession(connection, psql, (stderr) => {
    const lost = committing && /connection|terminating/.test(stderr);
    const how = lost ? "broke off, perhaps while it was committed: look at the database" : "failed and changed nothing";
    return `the restore into ${connection.where} ${how}`;
  });
  try {
    // BEGIN and COMMIT are ours and not psql's --single-transaction: that one commits what has come so far when its
    // input ends early, as it does when this process is killed
    session.write(`BEGIN;\n${plan.prelude.join("\n")}\n`);
    for await (const piece of splitStatements(sql)) {
      const bytes = filter(piece);
      if (bytes) session.write(bytes);
      await session.room();
    }
    // only now, when all of it is done: a COMMIT that waits in the pipe would be obeyed even after we have been killed
    await session.settled();
    committing = true;
    session.write("COMMIT;\n");
    await session.settled();
    await session.end();
  } catch (error) {
    await session.stop();
    throw error;
  }
}
