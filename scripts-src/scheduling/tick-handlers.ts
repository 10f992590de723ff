/** What happens at the ticks of a schedule, and what is logged of it. */
import { ageText } from "../base/text.ts";
import type { Outcome } from "../run/attempt.ts";
import type { Job } from "../run/script.ts";
import { believable, type Work } from "./health.ts";
import type { TickHandlers } from "./keep-time.ts";
import type { Ticks } from "./ticks.ts";

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
