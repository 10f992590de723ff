import { setTimeout as wait } from "node:timers/promises";
import type { Logger } from "./log.ts";
import { Failure, messageOf } from "./errors.ts";

/** Waits between tries, in ms: three tries in all, growing waits. */
const usualWaits = [1_000, 3_000];

interface RetryOptions {
  /** Absent: failed tries are not logged. */
  log?: Logger;
  signal?: AbortSignal;
  /** Says whether another try, after so many ms, may help. */
  again: (error: unknown, wait: number) => boolean;
  /** The wait (ms) that an error asks for, where that may be longer. */
  atLeast?: (error: unknown) => number;
  /** How many tries in all, where that may be fewer than there are waits; asked after each. */
  limit?: () => number;
  /** Waits between tries in ms. */
  waits?: readonly number[];
  /** The error as the log shall tell it. */
  describe?: (error: unknown) => string;
}

/**
 * Does `work`, and again when it fails and `again` says that another try may help. Every failed try is logged with its
 * number and the wait before the next. Throws the last error; stops at once when `signal` is aborted.
 */
export async function retry<T>(
  what: string,
  work: () => Promise<T>,
  { log, signal, again, atLeast = () => 0, limit, waits = usualWaits, describe = messageOf }: RetryOptions,
): Promise<T> {
  for (let tried = 1; ; tried++) {
    try {
      return await work();
    } catch (error) {
      signal?.throwIfAborted();
      const wait = Math.max(waits[tried - 1] ?? 0, atLeast(error));
      const tries = Math.min(waits.length + 1, limit?.() ?? Infinity);
      if (tried >= tries || !again(error, wait)) throw error;
      log?.warn(`${what} failed (try ${tried} of ${tries}), next try in ${wait / 1000} s: ${describe(error)}`, {
        try: tried,
        tries,
        waitMs: wait,
      });
      await pause(wait, signal);
    }
  }
}

/** Waits `ms`; throws the reason of `signal` as soon as it is aborted. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  await wait(ms, undefined, { ...(signal && { signal }) }).catch((error: unknown) => {
    signal?.throwIfAborted();
    throw error;
  });
}

/** A signal that is aborted with `signal`, or after `ms`. In the second case its reason says that no answer came. */
export function within(ms: number, signal: AbortSignal): AbortSignal {
  const late = new AbortController();
  setTimeout(() => late.abort(new Failure(`no answer within ${ms / 1000} s`)), ms).unref();
  return AbortSignal.any([signal, late.signal]);
}
