/** How a client program ended that left no words, and what to do about it, by its exit status (a signal n is 128 + n). */
import { getSystemErrorName } from "node:util";
import { systemHint } from "../base/disk.ts";

/** The name of the error with which the system refused to start the program: zx reports it as a negative status. */
const refusal = (status: number): string | undefined => (status < 0 ? getSystemErrorName(status) : undefined);

export function endWithoutWords(status: number): string {
  const error = refusal(status);
  if (error !== undefined) return `cannot be started (${error})`;
  return status > 128 ? `killed by signal ${status - 128}` : `exit status ${status}, no message`;
}

export function unexplainedHint(status: number): string {
  if (status > 128) return "it was killed, perhaps by the kernel for lack of memory (see dmesg); run it again";
  return systemHint({ code: refusal(status) }) ?? "the server's log may say more";
}
