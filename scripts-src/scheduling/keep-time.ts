/** The scheduler's loop: waits for ticks and acts on them, one run at a time; and what is logged of it. */
import { pause } from "../base/retry.ts";
import type { Ticks } from "./ticks.ts";
import { ageText } from "../base/text.ts";
import type { Outcome } from "../run/attempt.ts";
import type { Job } from "../run/script.ts";
import { believable, type Work } from "./health.ts";

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

interface Task {
  /** Kept up to date, for the health check. */
  state: Work;
  /** Writes it to the disk. */
  save: () => void;
  /** What is to be done at a tick. Never throws. */
  work: () => Promise<Outcome>;
}

/** `job` is the scheduler's own: its log, and whether it is to end. */
export function handlersFor(
  { settings, log, stopRequested }: Job,
  ticks: Ticks,
  { state, save, work }: Task,
): TickHandlers {
  const { text, words } = ticks;
  let failures = 0;
  save();
  return {
    async run(tick) {
      log.info(`scheduled ${words.run} of ${text(tick)} starts`, { tick: tick.toISOString() });
      state.running = new Date();
      save();
      const { status, startedAt, error, exitStatus } = await work();
      state.running = undefined;
      if (status !== "failure") state.good = startedAt;
      state.failure = error?.message;
      save();
      failures = error ? failures + 1 : 0;
      if (stopRequested.aborted) return;
      const next = ticks.next(new Date());
      const facts = { nextRun: next.toISOString() };
      if (!error) return log.info(`next ${words.run} ${text(next)}`, facts);
      const count = failures > 1 ? `, ${failures} in a row` : "";
      const end = `the scheduled ${words.run} failed (exit status ${exitStatus}${count})`;
      log.error(`${end}; the schedule continues, next ${words.run} ${text(next)}`, { exitStatus, failures, ...facts });
    },
    skipped: (tick, began) =>
      log.warn(`tick of ${text(tick)} skipped: the ${words.run} that began ${text(began)} is not done yet`, {
        tick: tick.toISOString(),
      }),
    missed(tick, late) {
      const catchesUp = settings.BACKUP_CATCH_UP;
      const verdict = catchesUp ? "running it now" : "it is not run now (BACKUP_CATCH_UP is false)";
      log.warn(`the ${words.run} of ${text(tick)} was missed ${ageText(late)}; ${verdict}`, {
        tick: tick.toISOString(),
      });
      return catchesUp;
    },
    setBack() {
      log.warn("the clock was set back; the schedule follows the new time");
      Object.assign(state, believable(state, new Date()));
      save();
    },
  };
}
