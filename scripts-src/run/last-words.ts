/** The last lines of a script, on stderr and on stdout. */
import { writeSync } from "node:fs";
import { systemHint } from "../base/disk.ts";
import { codeOf, exitStatus, Failure, messageOf } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { Settings } from "../settings/settings.ts";

export function failureOf(error: unknown): Failure {
  if (error instanceof Failure) return error;
  const hint = systemHint(error);
  return new Failure(messageOf(error), { cause: error, ...(hint && { hints: [hint] }) });
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

/** Writes a result to stdout, where nothing else is ever written. */
export function print(text: string): number {
  try {
    writeSync(1, `${text}\n`);
  } catch (error) {
    if (codeOf(error) !== "EPIPE") throw error;
  }
  return exitStatus.done;
}
