/** Where the backups of a run lie, which database the run is about, and the lock of a restore. */
import { resolve } from "node:path";
import type { Database } from "../database/database.ts";
import { openDatabase } from "../database/open.ts";
import { inBucket } from "../places/bucket.ts";
import { checkFolder, inFolder, isReadOnly, lookAtFolder, prepareFolder } from "../places/folder.ts";
import type { Place } from "../places/place.ts";
import type { Job } from "../run/script.ts";
import { openStorage } from "../storage/open.ts";
import { isDiskFull } from "../base/disk.ts";
import { messageOf } from "../base/errors.ts";
import { takeLock, tryLock } from "../base/lock.ts";
import type { Check } from "../run/checklist.ts";

/** Absolute path of BACKUP_DIR: a relative one starts at the executables. */
export const backupFolder = ({ home, settings }: Job): string => resolve(home, settings.BACKUP_DIR);

/** One lock for each database, whatever characters its name holds. */
export const lockName = (database: Pick<Database, "name">): string => encodeURIComponent(database.name);

/** No database can be called so: the backups that run beside a proof do not sweep its copy from S3. */
export const proofSpool = ({ name }: Pick<Database, "name">): string => `${name}\0verify`;

/** The places where backups of a run lie. Throws `Failure`. */
export const localPlace = (job: Job): Place => inFolder(backupFolder(job));
export const remotePlace = async (job: Job): Promise<Place> => inBucket(await openStorage(job.settings, job));

/** The database that a run is about: the notices name it. Does not connect yet. Throws `Failure`. */
export function databaseOf(job: Job): Database {
  const database = openDatabase(job.settings, job);
  job.facts.database = database.name;
  job.facts.server = database.where;
  return database;
}

/**
 * Takes the lock. A folder that can only be read (a disk mounted read-only), or that has no room for a lock file, is restored
 * from without it: no backup is made there.
 */
export async function lockFolder(
  { log, script }: Job,
  database: Database,
  folder: string,
): Promise<Disposable | undefined> {
  if (await isReadOnly(folder)) {
    await checkFolder(folder);
    log.warn(`${folder} cannot be written to: restoring without the lock that keeps two runs apart`);
    return undefined;
  }
  await prepareFolder(folder);
  try {
    return takeLock(folder, lockName(database), script);
  } catch (error) {
    if (!isDiskFull(error)) throw error;
    log.warn(`${messageOf(error)}; restoring without the lock that keeps two runs apart`);
    return undefined;
  }
}

/** Whether BACKUP_DIR is good enough to restore from: what `lockFolder` needs, changing nothing. */
export const checkFolderAndLock = (database: Database, folder: string): Check => ({
  what: `folder ${folder}`,
  async look() {
    if (await isReadOnly(folder)) {
      await checkFolder(folder);
      return "can be read";
    }
    const { exists, nearest } = await lookAtFolder(folder);
    tryLock(folder, lockName(database));
    return exists ? "writable" : `can be created in ${nearest}`;
  },
});
