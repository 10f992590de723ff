/** Notices that could not be sent, for the scheduler to try again. */
import type { Logger } from "../base/log.ts";
import { pause } from "../base/retry.ts";
import { counted } from "../base/text.ts";
import { attempt, type Way } from "../notify/notify.ts";

const minute = 60_000;
/** Waits (ms) before each try; grey-listing mostly lasts five to fifteen minutes. The last wait is repeated. */
const usualWaits = [minute, 5 * minute, 15 * minute, 60 * minute];
/** After so many tries, about two days, it is given up. */
const usualTries = 50;

/** Takes notices, and never waits for them. */
export type Outbox = (ways: readonly Way[]) => void;

/** Tries each notice again until it is sent, `signal` is aborted, or the tries are used up. */
export function openOutbox(log: Logger, signal: AbortSignal, waits = usualWaits, tries = usualTries): Outbox {
  async function send(way: Way): Promise<void> {
    for (let tried = 0; tried < tries; tried++) {
      await pause(waits[Math.min(tried, waits.length - 1)] ?? minute, signal);
      if ((await attempt(way, log)) !== "later") return;
    }
    log.error(`a notice could not be sent: gave up after ${counted(tries, "more try", "more tries")}`);
  }
  return (ways) => {
    if (ways.length > 0)
      log.info(`${counted(ways.length, "notice")} will be sent again in ${(waits[0] ?? 0) / 1000} s`);
    // a signal ends the wait: what is not sent by then is lost
    for (const way of ways) void send(way).catch(() => {});
  };
}
