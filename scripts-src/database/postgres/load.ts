/** Loading a dump into the database. */
import type { Client } from "./clients.ts";
import type { Connection } from "./connection.ts";
import { loadFilter } from "./filter.ts";
import type { PostgresPlan } from "./plan.ts";
import { openSession } from "./session.ts";
import { statementCheck } from "./kinds.ts";
import { splitStatements } from "./statements.ts";

/** Loads a dump in one transaction. Throws `Failure`, and then nothing has changed. */
export async function load(
  connection: Connection,
  psql: Client,
  sql: AsyncIterable<Uint8Array>,
  plan: PostgresPlan,
  noOwner: boolean,
): Promise<void> {
  const filter = loadFilter({ ...plan.rules, noOwner, oneTransaction: true });
  const check = statementCheck();
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
      check(piece);
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
