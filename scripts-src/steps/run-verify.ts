/** A run of `verify`, by hand or scheduled: choose a backup, check it, restore and compare it, write the proof. */
import { proofName } from "../archive/name.ts";
import { formatProof } from "../archive/manifest.ts";
import { hintsOf } from "../base/disk.ts";
import { Damaged, Failure, messageOf, Stopped } from "../base/errors.ts";
import { takeLock } from "../base/lock.ts";
import { counted, durationText } from "../base/text.ts";
import type { Database } from "../database/database.ts";
import { openDatabase } from "../database/open.ts";
import { prepareFolder } from "../places/folder.ts";
import { type Place, proofOf } from "../places/place.ts";
import type { Check } from "../run/checklist.ts";
import type { Job, Result } from "../run/script.ts";
import { databaseNames } from "../settings/env-rules.ts";
import { backupFolder, databaseOf, localPlace, lockName, proofSpool, remotePlace } from "./backup-folder.ts";
import { chooseDatabases, type ChosenDatabase, eachDatabase, inDatabase } from "./several-databases.ts";
import { checkLogin, checkNotices, type Target } from "./dry-run-checks.ts";
import { checkBackup, type ChosenBackup, isTrusted, openChosen } from "./open-chosen.ts";
import type { VerifyOptions } from "./options.ts";
import { dumpOptionsFor, verifyBackup } from "./verify-backup.ts";

/** Proves a backup of the database, or with DB_NAMES one of each of them. Throws `Failure`. */
export async function runVerify(job: Job<VerifyOptions>): Promise<Result> {
  const chosen = await chooseToProve(job);
  return chosen ? eachDatabase(job, chosen, verifyOne) : verifyOne(job);
}

/** Undefined: the database that the settings name, or the backup that was named. */
async function chooseToProve(job: Job<VerifyOptions>): Promise<ChosenDatabase[] | undefined> {
  const { all, database, file } = job.options;
  if (file !== undefined) return undefined;
  const { DB_NAMES = all ? "*" : undefined } = job.settings;
  const wanted = database === undefined ? undefined : [database];
  return chooseDatabases({ ...job, settings: { ...job.settings, DB_NAMES } }, wanted);
}

/** Proves one backup. Throws a `Failure`; if the backup is the reason, no proof lies beside it. */
async function verifyOne(job: Job<VerifyOptions>): Promise<Result> {
  const database = databaseOf(job);
  const folder = backupFolder(job);
  await prepareFolder(folder);
  // not that of backup and restore: a proof takes hours, and neither must wait for it
  using _lock = takeLock(folder, `${lockName(database)}%verify`, job.script);
  await localPlace(job).sweep(proofSpool(database));
  const prover = proverOf(job, database);
  const connected = await prover.connect({ mayBeMissing: true });
  const target = { database, connected: prover === database ? connected : undefined };
  await using file = await openChosen(chooses(job), target, (backup) => withdrawProof(job, backup));
  const trusted = isTrusted(job, file);
  const dumpOptions = dumpOptionsFor(job, file, trusted);
  await using _serverLock = await connected.lock("verify");
  const tried = async () => {
    const contents = await checkBackup(chooses(job), target, file);
    return verifyBackup(job, { database: connected, file, contents, trusted, dumpOptions });
  };
  const proof = await tried().catch(async (error: unknown) => {
    if (!(error instanceof Stopped) && !job.signal.aborted) await withdrawProofs(job, file, error);
    throw error;
  });
  for (const one of proof.leftOut) job.log.info(`not compared: ${one}`);
  const equal = `${counted(proof.tables, "table")} and ${counted(proof.rows, "row")} are equal`;
  const found = `${file.name} was restored in ${durationText(proof.restoreMs)} on ${proof.serverVersion}; ${equal}`;
  await file.place.put(proofName(file.name), formatProof(proof, job.settings.MANIFEST_KEY)).catch((error: unknown) => {
    job.signal.throwIfAborted();
    // the backup is good, and what proved it earlier stays true
    throw new Failure(`${found}, but its proof could not be written: ${messageOf(error)}`, { hints: hintsOf(error) });
  });
  Object.assign(job.facts, { rows: proof.rows, restoreMs: proof.restoreMs });
  return { summary: `verify done: ${found}`, output: file.place.locate(proofName(file.name)) };
}

/** Nor is its copy in the other place proved, unless this one is damaged: then that one may be good. */
async function withdrawProofs(job: Job, file: ChosenBackup, error: unknown): Promise<void> {
  await withdrawProof(job, file);
  if (error instanceof Damaged || !file.manifest) return;
  try {
    const other = await otherPlace(job, file.place);
    const proof = other && (await proofOf(other, file.name, undefined));
    if (other && proof?.sha256 === file.manifest.sha256) await withdrawProof(job, { place: other, name: file.name });
  } catch (cause) {
    job.log.warn(`cannot look for another proof of ${file.name}, which is no longer true: ${messageOf(cause)}`);
  }
}

/** Where a copy of a backup may lie; undefined without S3. */
async function otherPlace(job: Job, { shared }: Place): Promise<Place | undefined> {
  if (shared) return localPlace(job);
  return job.settings.S3_BUCKET === undefined ? undefined : await remotePlace(job);
}

/** A backup that failed is no longer proved. */
async function withdrawProof({ log }: Job, { place, name }: Pick<ChosenBackup, "place" | "name">): Promise<void> {
  await place.remove(proofName(name)).catch((error: unknown) => {
    log.warn(`cannot remove ${place.locate(proofName(name))}, which is no longer true: ${messageOf(error)}`);
  });
}

/** The server for proofs. */
export const checkProver = (job: Job): Check =>
  checkLogin(job, { database: proverOf(job, openDatabase(job.settings, job)) }, { mayBeMissing: true });

/** What a dry run looks at. */
export async function verifyChecks(job: Job<VerifyOptions>): Promise<Check[]> {
  const chosen = await chooseToProve(job);
  const jobs = chosen ? chosen.map(({ name }) => inDatabase(job, name)) : [job];
  return [...jobs.flatMap(checksOf), ...checkNotices(job.settings)];
}

function checksOf(job: Job<VerifyOptions>): Check[] {
  const database = databaseOf(job);
  const prover: Target = { database: proverOf(job, database) };
  return [
    checkLogin(job, prover, { mayBeMissing: true }),
    {
      what: "backup",
      async look() {
        const target = { database, connected: prover.database === database ? prover.connected : undefined };
        await using file = await openChosen(chooses(job), target);
        await checkBackup(chooses(job), target, file);
        return `${file.name} is complete and intact; verify would restore and compare it`;
      },
    },
  ];
}

/** The job with what choosing a backup asks for. */
const chooses = (job: Job<VerifyOptions>) => ({
  ...job,
  options: { ...job.options, before: undefined, unsigned: false, into: undefined, unproved: true },
});

/**
 * Where the copy is made: the server of VERIFY_DATABASE_URL, else the database's own. The copy gets its name and properties from a
 * database of that name, which may not exist there, whatever one the URL names.
 */
function proverOf(job: Job, own: Database): Database {
  const { VERIFY_DATABASE_URL: url } = job.settings;
  if (url === undefined) return own;
  const unnamed = Object.fromEntries(databaseNames.map((name) => [name, undefined]));
  const there = inDatabase({ ...job, settings: { ...job.settings, ...unnamed, DATABASE_URL: url } }, own.name);
  return openDatabase(there.settings, job);
}
