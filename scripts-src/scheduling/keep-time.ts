/** The scheduler's loop: waits for ticks and acts on them, one run at a time. */
import { pause } from "../base/retry.ts";
import type { Ticks } from "./ticks.ts";

/** Time as the loop sees it; a test brings its own. */
export interface Clock {
  now(): Date;
  /** Waits; throws the reason of `signal` when it is aborted. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

const realClock: Clock = { now: () => new Date(), wait: pause };

export interface TickHandlers {
  /** Does the work of a tick. Never throws. */
  run(tick: Date): Promise<void>;
  /** A tick came while the run of `began` was still under way. */
  skipped(tick: Date, began: Date): void;
  /** Nobody was there at that tick, `late` ms ago; `true`: run it now. */
  missed(tick: Date, late: number): boolean;
  /** The clock was set back; the schedule continues from the new time. */
  setBack(): void;
}

/** The machine's sleep, or a clock that was set, is noticed after so long (ms). */
const longestWait = 30_000;
/** A tick that is this late (ms) was missed: the machine slept, or the container was paused. */
const tolerance = 60_000;

/** Acts on every tick after `start` until `signal` is aborted; then waits for the run that is under way. */
export async function keepTime(
  { ticks, start, handlers }: { ticks: Ticks; start: Date; handlers: TickHandlers },
  signal: AbortSignal,
  clock = realClock,
): Promise<void> {
  let running: { began: Date; done: Promise<void> } | undefined;
  let from = start;
  while (!signal.aborted) {
    const tick = await nextTick(ticks, from, { handlers, signal, clock });
    if (!tick) break;
    const now = clock.now();
    const late = now.getTime() - tick.getTime();
    // of several missed ticks at most one is run
    from = now;
    if (running) handlers.skipped(tick, running.began);
    else if (late <= tolerance || handlers.missed(tick, late)) {
      const done = handlers.run(tick).finally(() => (running = undefined));
      running = { began: now, done };
    }
  }
  await running?.done;
}

/** Waits for the first tick after `from`; undefined when `signal` is aborted before. */
async function nextTick(
  ticks: Ticks,
  from: Date,
  { handlers, signal, clock }: { handlers: TickHandlers; signal: AbortSignal; clock: Clock },
): Promise<Date | undefined> {
  let tick = ticks.next(from);
  let before = from;
  for (;;) {
    const now = clock.now();
    if (now >= tick) return tick;
    if (now.getTime() < before.getTime() - tolerance) {
      handlers.setBack();
      tick = ticks.next(now);
    }
    before = now;
    try {
      await clock.wait(Math.min(tick.getTime() - now.getTime(), longestWait), signal);
    } catch (error) {
      if (signal.aborted) return undefined;
      throw error;
    }
  }
}
