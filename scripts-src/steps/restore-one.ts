/** Restores one database: the one that the settings name. */
import { parseBackupName, serverRoles } from "../archive/name.ts";
import { usageFailure } from "../base/errors.ts";
import type { Connected } from "../database/database.ts";
import { openDatabase } from "../database/open.ts";
import { inFolder } from "../places/folder.ts";
import { confirm, isAnyoneThere } from "../run/ask.ts";
import type { Job } from "../run/script.ts";
import { backupFolder, nameDatabase } from "./backup-folder.ts";
import { carryOut } from "./carry-out-restore.ts";
import { checkBackup } from "./check-backup.ts";
import { describeRestore } from "./describe-restore.ts";
import { lockFolder } from "./lock-folder.ts";
import { openChosen } from "./open-chosen.ts";
import { restoreCommand, type RestoreOptions } from "./options.ts";
import { planRestore, refuseTaken } from "./plan-restore.ts";

/** `agree` hears what is going to happen before anything is changed. Returns the last word. Throws `Failure`. */
export async function restoreOne(
  job: Job<RestoreOptions>,
  agree: (description: string) => Promise<void>,
): Promise<string> {
  const { options } = job;
  const database = openDatabase(job.settings, job);
  nameDatabase(job, database);
  const folder = backupFolder(job);
  using lock = await lockFolder(job, database, folder);
  if (lock) await inFolder(folder).sweep(database.name);

  const connected = await database.connect({ mayBeMissing: true });
  if (options.undo !== undefined) return undoRestore(job, connected, options.undo);
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
async function undoRestore(job: Job<RestoreOptions>, database: Connected, before: string): Promise<string> {
  const { log, options, signal } = job;
  if (!database.undo)
    throw usageFailure(
      "--undo is for MySQL and MariaDB",
      "on PostgreSQL, run the command that the restore has logged (to take the restore back: …)",
    );
  await using _lock = await database.lock("restore");
  const plan = `${before} takes the place of ${database.where}; the present state is kept as ${database.name}_before_TIME`;
  if (isAnyoneThere() && !options.yes) await confirm(`${plan}\n`, signal);
  else log.info(plan);
  const { before: kept, undo, drop } = await database.undo(before);
  if (kept === undefined) return `undo done: ${database.where} is as it was before the restore`;
  log.info(`to take this back: ${typeof undo === "string" ? undo : restoreCommand(job, undo)}`);
  log.info(`to drop the state before this: ${drop}`);
  return `undo done: ${database.where} is as it was before the restore; the state before this is kept as ${kept}`;
}
