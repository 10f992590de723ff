/** The proofs of a schedule: `verify` at every tick of VERIFY_INTERVAL, beside the backups. */
import { liesAhead } from "../base/clock.ts";
import { pingHealthcheck } from "../notify/notify.ts";
import { attempt, type Outcome } from "../run/attempt.ts";
import type { Check } from "../run/checklist.ts";
import type { Job } from "../run/script.ts";
import { handlersFor } from "../scheduling/tick-handlers.ts";
import { startOf, type State } from "../scheduling/health.ts";
import { nextTicks, readTicks, type Ticks, timeText } from "../scheduling/ticks.ts";
import type { Settings } from "../settings/settings.ts";
import { findAllBackups, readBackups } from "./find-all-backups.ts";
import type { Outbox } from "./outbox.ts";
import type { VerifyOptions } from "./options.ts";
import { checkProver, runVerify } from "./run-verify.ts";

/** Undefined without VERIFY_INTERVAL. Throws as `readTicks` does. */
export const readProofTicks = (settings: Settings): Ticks | undefined =>
  settings.VERIFY_INTERVAL === undefined ? undefined : readTicks(settings, "VERIFY_INTERVAL");

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
  const { settings, log } = job;
  const proof = { since: new Date(), ...state.proof, running: undefined };
  proof.good = await newestProof(job, proof.good);
  state.proof = proof;
  const last = proof.good
    ? `the last proof is from ${timeText(proof.good, settings.BACKUP_TIMEZONE)}`
    : "there is no proof yet";
  log.info(`VERIFY_INTERVAL ${settings.VERIFY_INTERVAL}: ${last}; ${nextProofs(settings, ticks)}`);
  if (isUnsigned(job)) log.warn(`${unsigned}; ${sign}`);
  const handlers = handlersFor(job, ticks, { what: "proof", state: proof, save, work: () => prove(job, outbox) });
  return { ticks, start: startOf(proof), handlers };
}

const nextProofs = ({ BACKUP_TIMEZONE: zone }: Settings, ticks: Ticks) =>
  `next proofs ${nextTicks(ticks, new Date(), 3)
    .map((time) => timeText(time, zone))
    .join(", ")}`;

/** What a dry run looks at. */
export const proofChecks = (job: Job, ticks: Ticks | undefined): Check[] =>
  ticks === undefined
    ? []
    : [
        {
          what: `VERIFY_INTERVAL ${job.settings.VERIFY_INTERVAL}`,
          look: () =>
            Promise.resolve(isUnsigned(job) ? { warning: unsigned, hints: [sign] } : nextProofs(job.settings, ticks)),
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
  // a signal of its own, as a backup has
  const signal = AbortSignal.any([job.signal]);
  const quiet = { ...settings, HEALTHCHECK_URL: undefined };
  const run = { ...job, script: "verify", options, settings: quiet, facts: {}, signal, sendLater: outbox };
  const act = async (given: Job) => ({ summary: (await runVerify({ ...given, options })).summary });
  const outcome = await attempt({ name: run.script, act }, run);
  if (outcome.status === "failure") await pingHealthcheck(settings, "fail", log, outcome.summary);
  return outcome;
}
