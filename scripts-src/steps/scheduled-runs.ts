/** What a schedule runs, `backup --upload` and `verify` beside it, and whether all is well with it. */
import { liesAhead } from "../base/clock.ts";
import { within } from "../base/retry.ts";
import { type Outbox, pingHealthcheck } from "../notify/notify.ts";
import { attempt, type Outcome } from "../run/attempt.ts";
import { type Check, checkAll } from "../run/checklist.ts";
import type { Job, Result } from "../run/script.ts";
import { overdueSince, startOf, type State, type Work } from "../scheduling/health.ts";
import { handlersFor } from "../scheduling/keep-time.ts";
import { lastText, nextText, type Ticks } from "../scheduling/ticks.ts";
import type { Settings } from "../settings/settings.ts";
import { findAllBackups, readBackups } from "./find-all-backups.ts";
import { lastGood, newestInBucket, schedulePatience } from "./last-good.ts";
import type { BackupOptions, VerifyOptions } from "./options.ts";
import { runBackup } from "./run-backup.ts";
import { checkProver, runVerify } from "./run-verify.ts";
import { writeReport } from "./write-report.ts";
import { Failure, messageOf } from "../base/errors.ts";
import { targetsOf } from "./several-databases.ts";
import { checkLogin, checkPrivileges, checkStorage } from "./dry-run-checks.ts";

/** How `backup` is called. */
export const backupOptions: BackupOptions = { upload: true, database: undefined, accept: false, dryRun: false };

/** `backup --upload` once. */
export const backUp = (job: Job, outbox: Outbox): Promise<Outcome> =>
  runOnce(
    { ...job, script: "backup", options: backupOptions, sendLater: outbox },
    { lastGood, afterwards: writeReport },
    runBackup,
  );

/** A run of a script at a tick. What a person would get on stdout stands in the log. */
function runOnce<O extends object>(
  job: Job<O>,
  reports: Partial<Parameters<typeof attempt>[0]>,
  act: (job: Job<O>) => Promise<Result>,
) {
  // facts and a signal of its own: nothing of the run may hang on to those of the scheduler, which lives for months
  const run = { ...job, facts: {}, signal: AbortSignal.any([job.signal]) };
  const summarized = async (given: Job) => ({ summary: (await act({ ...given, options: job.options })).summary });
  return attempt({ ...reports, name: job.script, act: summarized }, run);
}

const unsigned =
  "verify fetches backups from S3 and runs their SQL, and MANIFEST_KEY is not set: whoever can write to the bucket can run SQL with the " +
  "rights of the login, as a superuser anything on that server";
const sign = "set MANIFEST_KEY: then only backups that this program has signed are proved";

const isUnsigned = ({ settings }: Job) => fromS3(settings) && settings.MANIFEST_KEY === undefined;
const fromS3 = ({ BACKUP_KEEP_LOCAL }: Settings) => !BACKUP_KEEP_LOCAL;

interface Around {
  state: State;
  save: () => void;
  outbox: Outbox;
}

/** What `keepTime` needs. */
export async function beginProofs(job: Job, ticks: Ticks, { state, save, outbox }: Around) {
  const proof = { since: new Date(), ...state.proof, running: undefined };
  proof.good = await newestProof(job, proof.good);
  state.proof = proof;
  job.log.info(`${ticks.name}: ${lastText(ticks, proof.good)}; ${nextText(ticks, "lines")}`);
  if (isUnsigned(job)) job.log.warn(`${unsigned}; ${sign}`);
  const handlers = handlersFor(job, ticks, { state: proof, save, work: () => prove(job, outbox) });
  return { ticks, start: startOf(proof), handlers };
}

/** What a dry run looks at. */
export const proofChecks = (job: Job, ticks: Ticks): Check[] => [
  {
    what: ticks.name,
    look: async () => (isUnsigned(job) ? { warning: unsigned, hints: [sign] } : nextText(ticks)),
  },
  checkProver(job),
];

/** So many of the newest proved backups are looked at; proofs mostly are of the newest. */
const proofsRead = 10;

/** When a backup was last proved, by whatever run; `known` where a place could not be listed. */
function newestProof(job: Job, known: Date | undefined): Promise<Date | undefined> {
  const limited = { ...job, signal: within(schedulePatience, job.signal) };
  return lookForProof(limited, known).catch((error: unknown) => {
    job.signal.throwIfAborted();
    job.log.warn(`cannot look for proofs: ${messageOf(error)}`);
    return known;
  });
}

async function lookForProof(job: Job, known: Date | undefined): Promise<Date | undefined> {
  const { settings, facts } = job;
  const { backups, troubles } = await findAllBackups(job, settings.DB_NAMES === undefined ? facts.database : undefined);
  for (const trouble of troubles) job.log.warn(`cannot look for proofs: ${trouble}`);
  const proved = backups.filter(({ copies }) => copies.some(({ stored }) => stored.proved)).slice(0, proofsRead);
  const proofs = (await readBackups(job, proved)).flatMap(({ proof }) => (proof ? [new Date(proof.provedAt)] : []));
  const times = [...proofs, ...(troubles.length > 0 && known ? [known] : [])].filter(
    (time) => !liesAhead(time, new Date()),
  );
  return times.toSorted((a, b) => Number(a) - Number(b)).at(-1);
}

/**
 * `verify` once, of a backup in S3 where no local ones are kept. A good one does not ping the health check, which waits for backups:
 * it would be taken for one that never ran.
 */
async function prove(job: Job, outbox: Outbox): Promise<Outcome> {
  const { settings, log } = job;
  const options: VerifyOptions = {
    file: undefined,
    fromS3: fromS3(settings),
    database: undefined,
    all: false,
    dryRun: false,
  };
  const quiet = { ...settings, HEALTHCHECK_URL: undefined };
  const run = { ...job, script: "verify", options, settings: quiet, sendLater: outbox };
  const outcome = await runOnce(run, { afterwards: writeReport }, runVerify);
  if (outcome.status === "failure") await pingHealthcheck(settings, "fail", log, outcome.summary);
  return outcome;
}

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
  const trouble = isOver(state) ? undefined : (await tryOut(job, job.signal, checkPatience)).trouble;
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

/** Whether the state on disk is enough: a good backup is known, and none is overdue. */
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

/** How long (ms) a health check tries the database and S3, each. Docker ends the check after 30 s, without a cause. */
const checkPatience = 8_000;

/** A good backup since then shows that all works. */
const isOver = ({ trouble, good }: State) => !trouble || Number(good ?? 0) > Number(trouble.since);

/**
 * Logs in to the database, and writes, reads and deletes an object in S3, each for at most `patience` (ms). Returns a tick or a cross a
 * line, and the crosses alone as `trouble`. Throws only when `signal` is aborted.
 */
export async function tryOut(
  job: Job,
  signal: AbortSignal,
  patience = 30_000,
): Promise<{ lines: string; trouble: string | undefined }> {
  const limited = () => ({ ...job, signal: within(patience, signal) });
  const run = limited();
  try {
    const { targets, refused } = await targetsOf(run);
    const logins = targets.flatMap(({ one, target }) => [checkLogin(one, target), checkPrivileges(target)]);
    const storage = { ...checkStorage(run), look: () => checkStorage(limited()).look() };
    const checks = [...refused, ...logins, storage];
    return { lines: await checkAll(checks), trouble: undefined };
  } catch (error) {
    signal.throwIfAborted();
    const lines = error instanceof Failure && error.output !== undefined ? error.output : messageOf(error);
    const crosses = lines.split("\n").flatMap((line) => /^✗ (.*)/.exec(line)?.[1] ?? []);
    return { lines, trouble: crosses.join("; ") || lines };
  }
}
