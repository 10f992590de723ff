/** Is a backup or a proof overdue? Pure. */
import { liesAhead } from "../base/clock.ts";
import type { Ticks } from "./ticks.ts";

/** What is known of one kind of work. All times UTC. */
export interface Work {
  /** When this schedule was first started here. */
  since: Date;
  /** Start of the newest good run. */
  good?: Date | undefined;
  /** Start of the run that is under way. */
  running?: Date | undefined;
  /** Why the last run failed; absent when it did not. */
  failure?: string | undefined;
}

/** What is known of the backups, and of the proofs; kept in BACKUP_DIR by the scheduler. */
export interface State extends Work {
  /** What was found at the start that would make a run fail, and when; absent when all worked, or a run has ended since. */
  trouble?: { since: Date; cause: string } | undefined;
  proof?: Work | undefined;
}

/** What can be believed of it: times from the future were taken by a wrong clock. */
export function believable<W extends Work>(state: W, now: Date): W {
  const past = (time: Date | undefined) => (time && !liesAhead(time, now) ? time : undefined);
  return { ...state, since: past(state.since) ?? now, good: past(state.good), running: past(state.running) };
}

/** From when on its ticks count: none since then was kept. */
export const startOf = ({ good, since }: Work): Date => new Date(Math.min(Date.now(), Number(good ?? since)));

/** How late (ms) a run can be before it counts as overdue. */
const slack = 5 * 60_000;
/** How long (ms) a run can take when the interval is shorter than that. */
const shortestPatience = 3_600_000;

/**
 * Since when a run has been overdue; undefined when all is well. One is due at the first tick after the last good
 * one began (before the first one: after the schedule was first started), and overdue 5 minutes later, or one
 * interval where that is shorter. While a run is under way, it has one interval, at least an hour, from its beginning.
 */
export function overdueSince(ticks: Ticks, state: Work, now: Date): Date | undefined {
  const due = ticks.next(state.good ?? state.since);
  const interval = ticks.next(due).getTime() - due.getTime();
  const limit = due.getTime() + Math.min(slack, interval);
  const patience = state.running ? state.running.getTime() + Math.max(interval, shortestPatience) : 0;
  return now.getTime() > Math.max(limit, patience) ? due : undefined;
}
