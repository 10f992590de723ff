/** A run of `backup`, by hand or scheduled: lock, sweep, take the backup, retention. */
import { bytesText } from "../base/text.ts";
import { takeLock } from "../base/lock.ts";
import { openDatabase } from "../database/open.ts";
import { inBucket } from "../places/bucket.ts";
import { inFolder, prepareFolder } from "../places/folder.ts";
import { type Check, checkAll } from "../run/checklist.ts";
import type { Job, Result } from "../run/script.ts";
import { openStorage } from "../storage/open.ts";
import { backupFolder, lockName, nameDatabase } from "./backup-folder.ts";
import { checkNotices } from "./check-notices.ts";
import { checkRetention } from "./check-retention.ts";
import { checkEncryption, checkExposure } from "./check-security.ts";
import { checkLogin, checkPrivileges, checkRoom, checkStorage, type Target } from "./dry-run-checks.ts";
import { pruneAll } from "./prune.ts";
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
  const places = {
    local: inFolder(folder),
    remote: job.options.upload ? inBucket(await openStorage(job.settings, job)) : undefined,
  };
  for (const place of [places.local, places.remote]) await place?.sweep(database.name);
  const connected = await database.connect();
  const where = await takeBackup(job, connected, places);
  await pruneAll(job, connected, places);
  return { summary: summaryOf(job), output: where };
}

/** What a dry run looks at. */
export const backupChecks = (job: Job<BackupOptions>, target: Target, folder: string): Check[] => [
  checkLogin(job, target),
  checkPrivileges(target),
  checkRoom(job, target, folder),
  ...(job.settings.AGE_RECIPIENTS ? [checkEncryption(job, job.settings.AGE_RECIPIENTS)] : []),
  ...(job.options.upload ? [checkStorage(job, { writes: true }), checkExposure(job)] : []),
  ...checkRetention(job, target, folder, job.options),
  ...checkNotices(job.settings),
];

const summaryOf = ({ facts }: Job): string =>
  `backup done: ${[facts.localPath, facts.remoteLocation].filter(Boolean).join(" and ")}, ${bytesText(facts.bytes ?? 0)}`;
