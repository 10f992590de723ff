/** Restores one database: the one that the settings name. */
import { parseBackupName, serverRoles } from "../archive/name.ts";
import { usageFailure } from "../base/errors.ts";
import type { Connected } from "../database/database.ts";
import type { Job } from "../run/script.ts";
import { backupFolder, databaseOf, localPlace } from "./backup-folder.ts";
import { carryOut } from "./carry-out-restore.ts";
import { checkBackup } from "./check-backup.ts";
import { describeRestore } from "./describe-restore.ts";
import { lockFolder } from "./lock-folder.ts";
import { openChosen } from "./open-chosen.ts";
import { restoreCommand, type RestoreOptions } from "./options.ts";
import { planRestore, refuseTaken } from "./plan-restore.ts";

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
  const contents = await checkBackup(job, target, file);
  await using _serverLock = await connected.lock("restore");
  const planned = await planRestore(job, connected, file, contents);
  await agree(describeRestore(planned, options));
  const done = await carryOut(job, planned);
  if (contents.rows) job.facts.rows = contents.rows.values().reduce((sum, rows) => sum + rows, 0);
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
  const { before: kept, undo, drop } = await database.undo(before);
  if (kept === undefined) return `undo done: ${database.where} is as it was before the restore`;
  log.info(`to take this back: ${typeof undo === "string" ? undo : restoreCommand(job, undo)}`);
  log.info(`to drop the state before this: ${drop}`);
  return `undo done: ${database.where} is as it was before the restore; the state before this is kept as ${kept}`;
}
