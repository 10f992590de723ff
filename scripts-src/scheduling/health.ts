/** Is a backup or a proof overdue? And what the scheduler keeps on disk for the health check, which is another process. */
import { join } from "node:path";
import { z } from "zod";
import { liesAhead } from "../base/clock.ts";
import type { Logger } from "../base/log.ts";
import { keep, readKept } from "../base/replace-file.ts";
import type { Ticks } from "./ticks.ts";

const instant = z.iso.datetime().transform((text) => new Date(text));
const work = z.object({
  /** When this schedule was first started here. */
  since: instant,
  /** Start of the newest good run. */
  good: instant.optional(),
  /** Start of the run that is under way. */
  running: instant.optional(),
  /** Why the last run failed; absent when it did not. */
  failure: z.string().optional(),
});
const schema = work.extend({
  /** What was found at the start that would make a run fail, and when; absent when all worked, or a run has ended since. */
  trouble: z.object({ since: instant, cause: z.string() }).optional(),
  proof: work.optional(),
});

/** What is known of one kind of work. All times UTC. */
export type Work = z.infer<typeof work>;
/** What is known of the backups, and of the proofs; kept in BACKUP_DIR by the scheduler. */
export type State = z.infer<typeof schema>;

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

/** One schedule a database, as with the lock. */
export const stateFile = (folder: string, name: string): string => join(folder, `.${name}.schedule.json`);

/** The state as it was written last, as far as it can be believed; undefined when there is none, or none that can be read. */
export function readState(path: string): State | undefined {
  const now = new Date();
  const state = readKept(path, schema);
  return state && { ...believable(state, now), proof: state.proof && believable(state.proof, now) };
}

/** Returns a function that writes the state as it is then. */
export const stateKeeper = (path: string, state: State, log: Logger) => (): void =>
  keep(path, state, "the state of the schedule, for the health check,", log);
