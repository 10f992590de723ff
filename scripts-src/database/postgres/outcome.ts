/** What became of a transaction whose connection is gone. */
import type { Connection } from "./connection.ts";
import { query } from "./query.ts";

export type Outcome = "aborted" | "committed" | "in progress" | "unknown";

/** Gives the present transaction its number. */
export const transactionNumber = "pg_catalog.txid_current()";

const tries = 10;

/**
 * Asks the server over a new connection. A server may go on with a statement whose client is gone: that is waited for, a few
 * seconds. Without a number nothing had begun.
 */
export async function outcomeOf(connection: Connection, number: string): Promise<Outcome> {
  if (number === "") return "aborted";
  // a run that is stopped wants to know it too
  const way = { ...connection, signal: AbortSignal.timeout(15_000) };
  const ask = () => query<Outcome | null>(way, `SELECT to_json(txid_status(${number}))`);
  let answer: Outcome | null | undefined;
  for (let n = 0; n < tries; n++) {
    answer = await ask().catch(() => undefined);
    if (answer === "aborted" || answer === "committed") return answer;
    await Bun.sleep(500);
  }
  return answer ?? "unknown";
}
