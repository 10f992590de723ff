/** What a schedule runs: `backup --upload` at every tick of BACKUP_INTERVAL, `verify` at those of VERIFY_INTERVAL beside it. */
import { liesAhead } from "../base/clock.ts";
import { type Outbox, pingHealthcheck } from "../notify/notify.ts";
import { attempt, type Outcome } from "../run/attempt.ts";
import type { Check } from "../run/checklist.ts";
import type { Job, Result } from "../run/script.ts";
import { startOf, type State } from "../scheduling/health.ts";
import { handlersFor } from "../scheduling/keep-time.ts";
import { lastText, nextText, type Ticks } from "../scheduling/ticks.ts";
import type { Settings } from "../settings/settings.ts";
import { findAllBackups, readBackups } from "./find-all-backups.ts";
import { lastGood } from "./last-good.ts";
import type { BackupOptions, VerifyOptions } from "./options.ts";
import { runBackup } from "./run-backup.ts";
import { checkProver, runVerify } from "./run-verify.ts";
import { writeReport } from "./write-report.ts";

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
export async function newestProof(job: Job, known: Date | undefined): Promise<Date | undefined> {
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
