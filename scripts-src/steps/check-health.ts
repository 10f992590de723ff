/** Whether all is well with a schedule: would a run work now, and are the last good backup and the last proof as recent as they should be? */
import { Failure, messageOf } from "../base/errors.ts";
import { checkAll } from "../run/checklist.ts";
import type { Job, Result } from "../run/script.ts";
import { overdueSince, type State, type Work } from "../scheduling/health.ts";
import { lastText, type Ticks } from "../scheduling/ticks.ts";
import { targetsOf } from "./several-databases.ts";
import { checkLogin, checkPrivileges, checkStorage } from "./dry-run-checks.ts";
import { newestInBucket } from "./last-good.ts";
import { newestProof } from "./scheduled-runs.ts";

/**
 * `schedule --check`. Judges by the state on disk and by what lies in S3, where a backup or a proof made by hand counts too. What was
 * found wrong at the start of the schedule is tried again. Throws a `Failure` with the cause when all is not well.
 */
export async function checkHealth(
  job: Job,
  { ticks, proofTicks }: { ticks: Ticks; proofTicks: Ticks | undefined },
  known: State | undefined,
): Promise<Result> {
  const state = known && isEnough(ticks, known) && !known.trouble ? known : await withNewest(job, known);
  const [last, ...failure] = judge(ticks, state);
  const trouble = isOver(state) ? undefined : (await tryOut(job, job.signal)).trouble;
  if (trouble) throw new Failure(`unhealthy: the next run will fail: ${trouble}; ${last}`, { hints: failure });
  const proved = proofTicks ? judge(proofTicks, await withNewestProof(job, proofTicks, state)) : [];
  return { summary: "", output: [`healthy: ${last}`, ...failure, ...proved].join("; ") };
}

/** When the last good one was, and whether one failed since. Throws a `Failure` when one is overdue. */
function judge(ticks: Ticks, work: Work): [last: string, ...failure: string[]] {
  const last = lastText(ticks, work.good);
  const failure = work.failure === undefined ? [] : [`the last ${ticks.words.run} failed: ${work.failure}`];
  const overdue = overdueSince(ticks, work, new Date());
  if (!overdue) return [last, ...failure];
  throw new Failure(`unhealthy: ${ticks.words.due} has been due since ${ticks.text(overdue)}; ${last}`, {
    hints: failure,
  });
}

/** Whether the state on disk says enough. */
const isEnough = (ticks: Ticks, work: Work): boolean =>
  work.good !== undefined && overdueSince(ticks, work, new Date()) === undefined;

async function withNewest(job: Job, known: State | undefined): Promise<State> {
  const good = await newestInBucket(job, known?.good);
  const since = known?.since ?? good;
  if (since) return { ...known, since, good };
  throw new Failure("unhealthy: no schedule has run here, and no good backup is known", {
    hints: ["start schedule, or run backup --upload"],
  });
}

async function withNewestProof(job: Job, ticks: Ticks, { proof = { since: new Date() } }: State): Promise<Work> {
  return isEnough(ticks, proof) ? proof : { ...proof, good: await newestProof(job, proof.good) };
}

/** A good backup since then shows that all works. */
const isOver = ({ trouble, good }: State) => !trouble || Number(good ?? 0) > Number(trouble.since);

/**
 * Logs in to the database and writes, reads and deletes an object in S3. Returns a tick or a cross a line, and the crosses alone as
 * `trouble`. Throws only when `signal` is aborted.
 */
export async function tryOut(job: Job, signal: AbortSignal): Promise<{ lines: string; trouble: string | undefined }> {
  const run = { ...job, signal };
  try {
    const { targets, refused } = await targetsOf(run);
    const logins = targets.flatMap(({ one, target }) => [checkLogin(one, target), checkPrivileges(target)]);
    const checks = [...refused, ...logins, checkStorage(run)];
    return { lines: await checkAll(checks), trouble: undefined };
  } catch (error) {
    signal.throwIfAborted();
    const lines = error instanceof Failure && error.output !== undefined ? error.output : messageOf(error);
    const crosses = lines.split("\n").flatMap((line) => /^✗ (.*)/.exec(line)?.[1] ?? []);
    return { lines, trouble: crosses.join("; ") || lines };
  }
}
