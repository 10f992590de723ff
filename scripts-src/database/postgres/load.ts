/** Loading a dump into the database. */
import { Failure } from "../../base/errors.ts";
import type { Client } from "./clients.ts";
import type { Connection } from "./connection.ts";
import { loadFilter } from "./filter.ts";
import { statementCheck } from "./kinds.ts";
import { lockPatience, watchLocks } from "./lock-watch.ts";
import { type Outcome, outcomeOf, transactionNumber } from "./outcome.ts";
import type { PostgresPlan } from "./plan.ts";
import { openSession, type Session } from "./session.ts";
import { splitStatements } from "./statements.ts";

/** What a restore that failed has done, as the server knows it. */
const words: Record<Outcome, string> = {
  aborted: "failed and changed nothing",
  "in progress": "failed; the server is still undoing it",
  committed: "broke off after the changes were made",
  unknown: "broke off, and the server cannot be asked what became of it: look at the database",
};

/** Loads a dump in one transaction. Throws `Failure`, which says what became of it. */
export async function load(
  connection: Connection,
  psql: Client,
  sql: AsyncIterable<Uint8Array>,
  plan: PostgresPlan,
  noOwner: boolean,
): Promise<void> {
  let ours = "";
  let outcome: Outcome | undefined;
  let committing = false;
  const session = openSession(connection, psql, async () => {
    outcome = await outcomeOf(connection, psql, ours);
    return `the restore into ${connection.where} ${words[outcome]}`;
  });
  using watch = watchLocks(connection, psql, "psql");
  try {
    // BEGIN and COMMIT are ours and not psql's --single-transaction: that one commits what has come so far when its
    // input ends early, as it does when this process is killed
    session.write(`BEGIN;\nSET LOCAL lock_timeout = ${lockPatience};\n`);
    ours = await session.settled(transactionNumber);
    session.write(`${plan.prelude.join("\n")}\n`);
    await feed(
      session,
      watched(sql, () => watch.moved()),
      loadFilter({ ...plan.rules, noOwner, oneTransaction: true }),
    );
    // only now, when all of it is done: a COMMIT that waits in the pipe would be obeyed even after we have been killed
    if ((await session.settled(transactionNumber)) !== ours) throw endedByDump(connection);
    committing = true;
    session.write("COMMIT;\n");
    await session.settled();
    await session.end();
  } catch (error) {
    await session.stop();
    if (!committing || outcome !== "committed") throw error;
    connection.log.warn("the connection broke while the restore was committed; the server says that all of it was");
  }
}

async function* watched(sql: AsyncIterable<Uint8Array>, see: () => void) {
  for await (const chunk of sql) {
    see();
    yield chunk;
  }
}

async function feed(session: Session, sql: AsyncIterable<Uint8Array>, filter: ReturnType<typeof loadFilter>) {
  const check = statementCheck();
  for await (const piece of splitStatements(sql)) {
    check(piece);
    const bytes = filter(piece);
    if (bytes) session.write(bytes);
    await session.room();
  }
}

const endedByDump = ({ where }: Connection) =>
  new Failure(
    `the restore into ${where} failed: the dump has ended its transaction; what came before may have been kept`,
    {
      hints: ["look at the database and at the file: this is not what pg_dump writes"],
    },
  );
