/** What happens at the ticks of a schedule, and what is logged of it. */
import { messageOf } from "../base/errors.ts";
import { durationText } from "../base/text.ts";
import type { Outcome } from "../run/attempt.ts";
import type { Job } from "../run/script.ts";
import type { State } from "./health.ts";
import type { Duties } from "./keep-time.ts";
import { writeState } from "./state.ts";
import { type Ticks, timeText } from "./ticks.ts";

interface Task {
  /** Kept up to date, here and in the file `path`, for the health check. */
  state: State;
  path: string;
  /** What is to be done at a tick. Never throws. */
  work: () => Promise<Outcome>;
}

/** `job` is the scheduler's own: its log, and whether it is asked to end. */
export function dutiesOf({ settings, log, asked }: Job, ticks: Ticks, { state, path, work }: Task): Duties {
  const text = (time: Date) => timeText(time, settings.BACKUP_TIMEZONE);
  const save = () => {
    try {
      writeState(path, state);
    } catch (error) {
      log.warn(`cannot keep the state of the schedule in ${path}, for the health check: ${messageOf(error)}`);
    }
  };
  let failures = 0;
  save();
  return {
    async run(tick) {
      log.info(`scheduled run of ${text(tick)} starts`, { tick: tick.toISOString() });
      state.running = new Date();
      save();
      const { status, startedAt, error, exitStatus } = await work();
      state.running = undefined;
      if (status !== "failure") state.good = startedAt;
      state.failure = error?.message;
      save();
      failures = error ? failures + 1 : 0;
      if (asked.aborted) return;
      const next = ticks.next(new Date());
      const facts = { nextRun: next.toISOString() };
      if (!error) return log.info(`next run ${text(next)}`, facts);
      const count = failures > 1 ? `, ${failures} in a row` : "";
      const end = `the scheduled run failed (exit status ${exitStatus}${count})`;
      log.error(`${end}; the schedule goes on, next run ${text(next)}`, { exitStatus, failures, ...facts });
    },
    skipped: (tick, began) =>
      log.warn(`tick of ${text(tick)} skipped: the run that began ${text(began)} is still under way`, {
        tick: tick.toISOString(),
      }),
    missed(tick, late) {
      const madeUp = settings.BACKUP_CATCH_UP;
      const verdict = madeUp ? "it is made up now" : "it is not made up (BACKUP_CATCH_UP is false)";
      log.warn(`the run of ${text(tick)} was missed, ${durationText(late)} ago: ${verdict}`, {
        tick: tick.toISOString(),
      });
      return madeUp;
    },
    setBack: () => log.warn("the clock was set back; the schedule goes on by its new time"),
  };
}
