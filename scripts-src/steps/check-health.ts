/** `schedule --check`: are the last good backup and the last proof as recent as they should be? */
import { Failure } from "../base/errors.ts";
import type { Job, Result } from "../run/script.ts";
import { overdueSince, type State } from "../scheduling/health.ts";
import { type Ticks, timeText } from "../scheduling/ticks.ts";
import { newestInBucket } from "./newest-in-bucket.ts";
import { newestProof } from "./scheduled-proofs.ts";
import { tryOut } from "./try-out.ts";

/**
 * Judges by the state on disk and by what lies in S3, where a backup made by hand counts too. What was found wrong
 * at the start of the schedule is tried again. Throws a `Failure` with the cause when all is not well.
 */
export async function checkHealth(
  job: Job,
  { ticks, proofTicks }: { ticks: Ticks; proofTicks: Ticks | undefined },
  known: State | undefined,
): Promise<Result> {
  const now = new Date();
  const text = (time: Date) => timeText(time, job.settings.BACKUP_TIMEZONE);
  const state = needsLook(known, ticks, now) ? await withNewest(job, known) : known;
  const last = state.good ? `the last good backup began ${text(state.good)}` : "there is no good backup yet";
  const failure = state.failure === undefined ? [] : [`the last run failed: ${state.failure}`];
  const overdue = overdueSince(ticks, state, now);
  if (overdue)
    throw new Failure(`unhealthy: a backup has been due since ${text(overdue)}; ${last}`, { hints: failure });
  const trouble = isOver(state) ? undefined : (await tryOut(job, job.signal)).trouble;
  if (trouble) throw new Failure(`unhealthy: the next run will fail: ${trouble}; ${last}`, { hints: failure });
  const proved = proofTicks ? [await checkProofs(job, proofTicks, state)] : [];
  return { summary: "", output: [`healthy: ${last}`, ...failure, ...proved].join("; ") };
}

/** A proof made by hand counts too. */
async function checkProofs(job: Job, ticks: Ticks, { proof = { since: new Date() } }: State): Promise<string> {
  const now = new Date();
  const text = (time: Date) => timeText(time, job.settings.BACKUP_TIMEZONE);
  const good = !proof.good || overdueSince(ticks, proof, now) ? await newestProof(job, proof.good) : proof.good;
  const last = good ? `the last proof is from ${text(good)}` : "there is no proof yet";
  const failure = proof.failure === undefined ? [] : [`the last proof failed: ${proof.failure}`];
  const overdue = overdueSince(ticks, { ...proof, good }, now);
  if (overdue) throw new Failure(`unhealthy: a proof has been due since ${text(overdue)}; ${last}`, { hints: failure });
  return [last, ...failure].join("; ");
}

/** Whether the state on disk does not say enough. */
const needsLook = (state: State | undefined, ticks: Ticks, now: Date): state is undefined =>
  !state?.good || state.trouble !== undefined || overdueSince(ticks, state, now) !== undefined;

async function withNewest(job: Job, known: State | undefined): Promise<State> {
  const good = await newestInBucket(job, known?.good);
  const since = known?.since ?? good;
  if (since) return { ...known, since, good };
  throw new Failure("unhealthy: no schedule has run here, and no good backup is known", {
    hints: ["start schedule, or run backup --upload"],
  });
}

/** A good backup since then shows that all works. */
const isOver = ({ trouble, good }: State) => !trouble || Number(good ?? 0) > Number(trouble.since);
