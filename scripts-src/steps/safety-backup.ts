/** The state before a restore in place, kept as a backup of its own. */
import { join } from "node:path";
import { inFolder, prepareFolder } from "../places/folder.ts";
import { backupFolder } from "./backup-folder.ts";
import { takeBackup } from "./take-backup.ts";
import { openDatabase } from "../database/open.ts";
import { hintsOf } from "../base/disk.ts";
import { Failure, messageOf } from "../base/errors.ts";
import { restoreCommand } from "./options.ts";
import type { Job } from "../run/script.ts";

interface SafetyBackup {
  path: string;
  /** What made the restore fail, with the way back: where the state before lies and the command that loads it. */
  explain(error: unknown): unknown;
}

/**
 * Takes the backup into a folder below BACKUP_DIR, where no restore, sync or retention takes it for a regular one. Throws
 * `Failure`, and then nothing has been changed.
 */
export async function takeSafetyBackup(job: Job): Promise<SafetyBackup> {
  const folder = join(backupFolder(job), "before-restore");
  // complete, whatever regular backups leave out. Its facts are its own: the facts of the run are about what is restored
  const settings = { ...job.settings, DB_DUMP_OPTIONS: undefined };
  const path = await backUpInto(folder, { ...job, settings, facts: {} });
  const wayBack = wayBackTo(path, job);
  job.log.info(`the state before the restore lies in ${path}; to bring it back: ${wayBack}`);
  return {
    path,
    explain(error) {
      const { aborted } = job.signal;
      // of a restore that was stopped the last word is the signal alone
      if (aborted) job.log.error(`the state before the restore lies in ${path}; to bring it back: ${wayBack}`);
      if (aborted || !(error instanceof Failure)) return error;
      const hints = [...error.hints, `to bring back the state before the restore: ${wayBack}`];
      return error.reworded(`${error.message}\nthe state before the restore lies in ${path}`, hints);
    },
  };
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
