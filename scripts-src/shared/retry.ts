import type { Logger } from "./log.ts";
import { messageOf } from "./errors.ts";

/** Waits between tries, in ms: three tries in all, growing waits. */
const waits = [1_000, 3_000];

/**
 * Does `work`, and again when it fails and `again` says that another try may help. Every failed try is logged with its
 * number and the wait before the next. Throws the last error; stops at once when `signal` is aborted.
 */
export async function retry<T>(
  what: string,
  work: () => Promise<T>,
  options: { log: Logger; signal: AbortSignal; again: (error: unknown) => boolean },
): Promise<T> {
  for (let tried = 1; ; tried++) {
    try {
      return await work();
    } catch (error) {
      options.signal.throwIfAborted();
      const wait = waits[tried - 1];
      if (wait === undefined || !options.again(error)) throw error;
      options.log.warn(
        `${what} failed (try ${tried} of ${waits.length + 1}), next try in ${wait / 1000} s: ${messageOf(error)}`,
        { try: tried, tries: waits.length + 1, waitMs: wait },
      );
      await pause(wait, options.signal);
    }
  }
}

/** Waits `ms`; throws the reason of `signal` as soon as it is aborted. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done, { once: true });
  });
  signal.throwIfAborted();
}
