/** Restores one database: the one that the settings name. */
import { join } from "node:path";
import { parseBackupName, serverRoles } from "../archive/name.ts";
import { hintsOf } from "../base/disk.ts";
import { Failure, messageOf, Stopped, usageFailure } from "../base/errors.ts";
import { showProgress } from "../base/progress.ts";
import { counted, durationText } from "../base/text.ts";
import type { Connected } from "../database/database.ts";
import { openDatabase } from "../database/open.ts";
import type { Loaded, Scratch } from "../database/restoring.ts";
import { inFolder, prepareFolder } from "../places/folder.ts";
import type { Job } from "../run/script.ts";
import { backupFolder, databaseOf, localPlace, lockFolder } from "./backup-folder.ts";
import { checkBackup, type ChosenBackup, openChosen, propertiesOf } from "./open-chosen.ts";
import { restoreCommand, type RestoreOptions } from "./options.ts";
import { describeRestore, type Planned, planRestore, refuseTaken } from "./plan-restore.ts";
import { takeBackup } from "./take-backup.ts";

/** Hears what is going to happen before anything is changed; throws when that is not wanted. */
type Agree = (description: string) => Promise<void>;

/** Returns the last word. Throws `Failure`. */
export async function restoreOne(job: Job<RestoreOptions>, agree: Agree): Promise<string> {
  const { options } = job;
  const database = databaseOf(job);
  const folder = backupFolder(job);
  using lock = await lockFolder(job, database, folder);
  if (lock) await localPlace(job).sweep(database.name);

  const connected = await database.connect({ mayBeMissing: true });
  if (options.undo !== undefined) return undoRestore(job, connected, options.undo, agree);
  const target = { database, connected };
  await refuseTaken(connected, options);
  await using file = await openChosen(job, target);
  if (parseBackupName(file.name)?.database === serverRoles)
    throw usageFailure(
      `${file.name} holds the roles of a server, no database`,
      "restore --all creates those that are missing; to see them, or to create them by hand: gunzip -c FILE",
    );
  // a load in place that is not atomic cannot be taken back: the file is unpacked to its end before anything is removed
  const loads = database.atomicLoad || !options.inPlace;
  const contents = await checkBackup(job, target, file, { loads });
  await using _serverLock = await connected.lock("restore");
  const planned = await planRestore(job, connected, file, contents);
  await agree(describeRestore(planned, options));
  const done = await carryOut(job, planned);
  job.facts.rows = contents.rows.values().reduce((sum, rows) => sum + rows, 0);
  return done;
}

/** Returns the last word. Throws `Failure`. */
async function undoRestore(job: Job, database: Connected, before: string, agree: Agree): Promise<string> {
  const { log } = job;
  if (!database.undo)
    throw usageFailure(
      "--undo is for MySQL and MariaDB",
      "on PostgreSQL, run the command that the restore has logged (to take the restore back: …)",
    );
  await using _lock = await database.lock("restore");
  await agree(
    `${before} takes the place of ${database.where}; the present state is kept as ${database.name}_before_TIME`,
  );
  const exchanged = await database.undo(before);
  if (!exchanged) return `undo done: ${database.where} is as it was before the restore`;
  const { before: kept, undo, drop } = exchanged;
  log.info(`to take this back: ${typeof undo === "string" ? undo : restoreCommand(job, undo)}`);
  log.info(`to drop the state before this: ${drop}`);
  return `undo done: ${database.where} is as it was before the restore; the state before this is kept as ${kept}`;
}

/** Restores in the way that was decided; returns the last word. Throws `Failure`. */
async function carryOut(job: Job<RestoreOptions>, planned: Planned): Promise<string> {
  const { way } = planned;
  if (way === "in place" || way === "fill") return restoreInPlace(job, planned);
  try {
    return await (way === "into" ? restoreInto(job, planned, job.options.into ?? "") : restoreBeside(job, planned));
  } catch (error) {
    throw await withState(planned, error);
  }
}

/** Says that nothing was changed, after looking. */
async function withState({ database, target, way }: Planned, error: unknown): Promise<unknown> {
  if (!(error instanceof Failure) || error instanceof Stopped) return error;
  const now = await database.target().catch(() => undefined);
  const names = (tables: ReadonlyMap<string, number>) => [...tables.keys()].join("\n");
  const isSame = now?.exists === target.exists && now.others === target.others;
  if (!isSame || names(now.tables) !== names(target.tables)) return error;
  const state =
    target.exists || way === "into" ? `nothing was changed in ${database.where}` : `${database.where} was not created`;
  return error.reworded(`${error.message}\n${state}`);
}

const done = ({ database, file }: Planned) => `restore done: ${database.where} now holds what ${file.name} holds`;

async function restoreBeside(job: Job<RestoreOptions>, planned: Planned): Promise<string> {
  const { log, options } = job;
  const properties = await propertiesOf(job, planned.file, { roles: !options.noOwner });
  await using scratch = await planned.database.createScratch({ purpose: "restore", properties });
  await load(job, planned, scratch);
  const exchanged = await scratch.exchange();
  if (!exchanged) return done(planned);
  const { before, undo, drop } = exchanged;
  if (options.dropBefore) {
    const failure = await exchanged.dropBefore().then(() => undefined, messageOf);
    if (failure === undefined) return `${done(planned)}; the state before the restore was dropped`;
    log.warn(`the state before the restore stays as ${before}: ${failure}`);
  }
  log.info(`to take the restore back: ${typeof undo === "string" ? undo : restoreCommand(job, undo)}`);
  log.info(`to drop the state before the restore: ${drop}`);
  return `${done(planned)}; the state before is kept as ${before}`;
}

async function restoreInto(job: Job<RestoreOptions>, planned: Planned, name: string): Promise<string> {
  const { database, file } = planned;
  const properties = await propertiesOf(job, file, { roles: !job.options.noOwner });
  await using scratch = await database.createScratch({ purpose: "into", name, properties });
  const { skipped } = await load(job, planned, scratch);
  await scratch.keep();
  const copy = `the database ${name} now holds`;
  if (skipped.length === 0) return `restore done: ${copy} what ${file.name} holds`;
  return `restore done: ${copy} what could be loaded of ${file.name}; ${counted(skipped.length, "item")} could not, see the warnings`;
}

async function restoreInPlace(job: Job<RestoreOptions>, planned: Planned): Promise<string> {
  const { database, way } = planned;
  const safety = way === "in place" && !job.options.noSafetyBackup ? await takeSafetyBackup(job) : undefined;
  const into: Loader = { load: (...words) => database.loadInPlace(...words) };
  await load(job, planned, into).catch((error: unknown) => {
    throw safety ? withWayBack(job, safety, error) : error;
  });
  return `${done(planned)}${safety ? `; the state before is kept in ${safety.path}` : ""}`;
}

type Loader = Pick<Scratch, "load">;

/** Loads the backup, with its progress; logs what was loaded and what was not. */
async function load(
  job: Job<RestoreOptions>,
  { database, file, contents, way, load: options }: Planned,
  into: Loader,
): Promise<Loaded> {
  const started = Date.now();
  using progress = showProgress("restore", file.bytes);
  try {
    const loaded = await into.load(file.sql(progress.add), contents, options);
    for (const warning of loaded.warnings) job.log.warn(warning);
    for (const what of loaded.skipped) job.log.warn(`not loaded: ${what}`);
    job.log.info(`${counted(contents.tables.length, "table")} loaded in ${durationText(Date.now() - started)}`);
    return loaded;
  } catch (error) {
    if (error instanceof Stopped) {
      const half = (way === "in place" || way === "fill") && !database.atomicLoad;
      job.log.warn(`the database is ${half ? "half restored" : "as it was before the restore"}`);
    }
    throw database.keepsGoing && !options.keepGoing ? withWayOut(job, file, error) : error;
  }
}

/** A backup that is not clean can still be looked into. */
function withWayOut(job: Job<RestoreOptions>, { place, name }: ChosenBackup, error: unknown): unknown {
  if (!(error instanceof Failure) || error instanceof Stopped) return error;
  const from = place.shared ? ["--from-s3", name] : [place.locate(name)];
  const words = [...from, ...(job.options.unsigned ? ["--unsigned"] : []), "--into", "saved", "--keep-going"];
  const hint = `to load what can be loaded, and see what cannot: ${restoreCommand(job, words)}`;
  return error.reworded(error.message, [...error.hints, hint]);
}

/** Where the state before lies, and the command that loads it. */
type SafetyBackup = Record<"path" | "wayBack", string>;

/**
 * Backs up the present state into a folder below BACKUP_DIR: restore, sync and retention look for backups in BACKUP_DIR itself.
 * Throws `Failure`, and then nothing has been changed.
 */
async function takeSafetyBackup(job: Job): Promise<SafetyBackup> {
  const folder = join(backupFolder(job), "before-restore");
  // complete, whatever regular backups leave out. Its facts are its own: the facts of the run are about what is restored
  const settings = { ...job.settings, DB_DUMP_OPTIONS: undefined };
  const path = await backUpInto(folder, { ...job, settings, facts: {} });
  const wayBack = wayBackTo(path, job);
  job.log.info(`the state before the restore lies in ${path}; to bring it back: ${wayBack}`);
  return { path, wayBack };
}

/** What made the restore fail, with the way back. */
function withWayBack({ log, signal }: Job, { path, wayBack }: SafetyBackup, error: unknown): unknown {
  // of a restore that was stopped the last word is the signal alone
  if (signal.aborted) log.error(`the state before the restore lies in ${path}; to bring it back: ${wayBack}`);
  if (signal.aborted || !(error instanceof Failure)) return error;
  const hints = [...error.hints, `to bring back the state before the restore: ${wayBack}`];
  return error.reworded(`${error.message}\nthe state before the restore lies in ${path}`, hints);
}

/** The command that restores it with the settings of this run. */
function wayBackTo(path: string, job: Job): string {
  const { AGE_RECIPIENTS, AGE_IDENTITY_FILE } = job.settings;
  const key = AGE_RECIPIENTS && AGE_IDENTITY_FILE === undefined ? "AGE_IDENTITY_FILE=KEYFILE " : "";
  return key + restoreCommand(job, ["--in-place", "--no-safety-backup", path]);
}

async function backUpInto(folder: string, job: Job): Promise<string> {
  try {
    const database = openDatabase(job.settings, job);
    await prepareFolder(folder);
    const local = inFolder(folder);
    await local.sweep(database.name);
    // what is broken cannot be dumped, and may be why there is a restore
    const connected = await database.connect({ leaveOutBroken: true });
    return await takeBackup(job, connected, { local, remote: undefined }, true);
  } catch (error) {
    job.signal.throwIfAborted();
    throw new Failure(`could not back up the present state; nothing was changed: ${messageOf(error)}`, {
      hints: [...hintsOf(error), "--no-safety-backup restores without one"],
      cause: error,
    });
  }
}
