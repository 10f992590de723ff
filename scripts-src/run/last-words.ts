/** The last lines of a script, on stderr and on stdout. */
import { writeSync } from "node:fs";
import { hintsOf } from "../base/disk.ts";
import { codeOf, exitStatus, Failure, messageOf } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { Settings } from "../settings/settings.ts";

export function failureOf(error: unknown): Failure {
  if (error instanceof Failure) return error;
  return new Failure(messageOf(error), { cause: error, hints: hintsOf(error) });
}

/** An error that nobody foresaw: where it happened matters. */
export const isUnexpected = (failure: Failure): boolean => failure.cause !== undefined && failure.hints.length === 0;

export const stackOf = (failure: Failure): string =>
  (failure.cause instanceof Error ? failure.cause.stack : failure.stack) ?? failure.message;

/** Failures that were logged: a signal that stops a scheduled run stops the scheduler too, for the same reason. */
const logged = new WeakSet<Failure>();

export function lastWords(log: Logger, failure: Failure, level: Settings["LOG_LEVEL"]): void {
  if (logged.has(failure)) return;
  logged.add(failure);
  log.error(failure.message, {
    exitStatus: failure.status,
    ...((level === "debug" || isUnexpected(failure)) && { stack: stackOf(failure) }),
  });
  for (const hint of failure.hints) log.error(`hint: ${hint}`);
}

/** How long (ms) to wait for a reader of stdout that takes nothing now. */
const readersPause = 10;

/** Writes a result to stdout, where nothing else is ever written. */
export function print(text: string): number {
  let rest = Buffer.from(`${text}\n`);
  while (rest.length > 0)
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      if (codeOf(error) === "EPIPE") break;
      // another program has made this pipe or terminal non-blocking
      if (codeOf(error) !== "EAGAIN")
        throw new Failure(`the run is over, but its result cannot be written to stdout: ${messageOf(error)}`, {
          hints: ["look at the disk of the file that stdout leads to"],
        });
      Bun.sleepSync(readersPause);
    }
  return exitStatus.done;
}
