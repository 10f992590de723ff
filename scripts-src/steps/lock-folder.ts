/** The lock of BACKUP_DIR for a restore. */
import type { Database } from "../database/database.ts";
import { isDiskFull } from "../base/disk.ts";
import { messageOf } from "../base/errors.ts";
import { takeLock, tryLock } from "../base/lock.ts";
import { checkFolder, isReadOnly, lookAtFolder, prepareFolder } from "../places/folder.ts";
import type { Check } from "../run/checklist.ts";
import type { Job } from "../run/script.ts";
import { lockName } from "./backup-folder.ts";

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
