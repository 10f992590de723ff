import { messageOf } from "../base/errors.ts";
import { inBucket } from "../places/bucket.ts";
import { newestOfOurs } from "../places/choose.ts";
import { inFolder } from "../places/folder.ts";
import { listBackups } from "../places/place.ts";
import type { Job } from "../run/script.ts";
import { openStorage } from "../storage/open.ts";
import { backupFolder } from "./backup-folder.ts";
import { identityWithoutServer } from "./identity.ts";

/** When the newest good backup of ours in S3 began; `known` when S3 cannot be asked, which is logged. */
export async function newestInBucket(job: Job, known: Date | undefined): Promise<Date | undefined> {
  const { settings, log, stopRequested, facts } = job;
  // of several, the newest stands for the run that made them
  const database = settings.DB_NAMES === undefined ? facts.database : undefined;
  try {
    const place = inBucket(await openStorage(settings, { log, signal: stopRequested }));
    const present = await identityWithoutServer(settings, inFolder(backupFolder(job)), database);
    return (await newestOfOurs(place, await listBackups(place, database), present))?.backup.time;
  } catch (error) {
    if (!stopRequested.aborted) log.warn(`cannot look for the last backup in S3: ${messageOf(error)}`);
    return known;
  }
}
