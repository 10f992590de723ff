/** Asks a person on the terminal. */
import { createInterface } from "node:readline/promises";
import { Declined, Stopped } from "../base/errors.ts";
import { redact } from "../base/secrets.ts";
import { indented, visible } from "../base/text.ts";

/** Whether a person can be asked. */
export const isAnyoneThere = (): boolean => process.stdin.isTTY;

/** Goes on only when the answer is "yes". Throws `Declined` otherwise; a signal (Ctrl-C) is such an answer, with its own status. */
export async function confirm(question: string, signal: AbortSignal): Promise<void> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  // the terminal is in raw mode: Ctrl-C comes as a key
  terminal.on("SIGINT", () => process.kill(process.pid, "SIGINT"));
  const closed = new Promise<string>((resolve) => terminal.once("close", () => resolve("")));
  try {
    const answer = await Promise.race([
      terminal.question(`${indented(visible(redact(question.trimEnd())))}\nType yes to go on: `, { signal }),
      closed,
    ]);
    signal.throwIfAborted();
    if (answer.trim().toLowerCase() === "yes") return;
    throw new Declined("not confirmed: nothing was changed", { hints: ["--yes continues without asking"] });
  } catch (error) {
    if (!(signal.reason instanceof Stopped)) throw error;
    const { message, status } = signal.reason;
    throw new Declined(`${message} at the question: nothing was changed`, { status });
  } finally {
    terminal.close();
  }
}
