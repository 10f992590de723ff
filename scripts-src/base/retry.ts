import { setTimeout } from "node:timers/promises";
import type { Logger } from "./log.ts";
import { messageOf } from "./errors.ts";

/** Waits between tries, in ms: three tries in all, growing waits. */
const usualWaits = [1_000, 3_000];

interface RetryOptions {
  log: Logger;
  signal: AbortSignal;
  /** Says whether another try may help. */
  again: (error: unknown) => boolean;
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
  { log, signal, again, limit, waits = usualWaits, describe = messageOf }: RetryOptions,
): Promise<T> {
  for (let tried = 1; ; tried++) {
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      const wait = waits[tried - 1];
      const tries = Math.min(waits.length + 1, limit?.() ?? Infinity);
      if (wait === undefined || tried >= tries || !again(error)) throw error;
      log.warn(`${what} failed (try ${tried} of ${tries}), next try in ${wait / 1000} s: ${describe(error)}`, {
        try: tried,
        tries,
        waitMs: wait,
      });
      await pause(wait, signal);
    }
  }
}

/** Waits `ms`; throws the reason of `signal` as soon as it is aborted. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await setTimeout(ms, undefined, { signal }).catch((error: unknown) => {
    signal.throwIfAborted();
    throw error;
  });
}
