/** A run of `backup`, by hand or scheduled: lock, sweep, take the backup, retention. */
import { bytesText } from "../base/text.ts";
import { takeLock } from "../base/lock.ts";
import { openDatabase } from "../database/open.ts";
import { prepareFolder, sweepPartials } from "../places/folder.ts";
import { type Check, checkAll } from "../run/checklist.ts";
import type { Job, Result } from "../run/script.ts";
import { openStorage } from "../storage/open.ts";
import { backupFolder, lockName, nameDatabase } from "./backup-folder.ts";
import { checkNotices } from "./check-notices.ts";
import { checkLogin, checkPrivileges, checkRoom, checkStorage, type Target } from "./dry-run-checks.ts";
import { pruneLocal, pruneRemote, sweepUploads } from "./prune.ts";
import { takeBackup } from "./take-backup.ts";

export interface BackupOptions {
  upload: boolean;
  dryRun: boolean;
}

/** Takes a backup, or with `dryRun` checks all that one needs; returns where it lies. Throws `Failure`. */
export async function runBackup(job: Job<BackupOptions>): Promise<Result> {
  const database = openDatabase(job.settings, job);
  nameDatabase(job, database);
  const folder = backupFolder(job);
  if (job.options.dryRun) return { summary: "", output: await checkAll(backupChecks(job, { database }, folder)) };

  await prepareFolder(folder);
  using _lock = takeLock(folder, lockName(database), job.script);
  await sweepPartials(folder, database.name);
  const storage = job.options.upload ? await openStorage(job.settings, job) : undefined;
  await sweepUploads(storage, database);
  const place = await takeBackup(job, await database.connect(), folder, storage);
  await pruneLocal(job, database, folder);
  if (storage) await pruneRemote(job, database, storage);
  return { summary: summaryOf(job), output: place };
}

/** What a dry run looks at. */
export const backupChecks = (job: Job<BackupOptions>, target: Target, folder: string): Check[] => [
  checkLogin(job, target),
  checkPrivileges(target),
  checkRoom(job, target, folder),
  ...(job.options.upload ? [checkStorage(job, { writes: true })] : []),
  ...checkNotices(job.settings),
];

const summaryOf = ({ facts }: Job): string =>
  `backup done: ${[facts.localPath, facts.remoteLocation].filter(Boolean).join(" and ")}, ${bytesText(facts.bytes ?? 0)}`;
