import { messageOf } from "../base/errors.ts";
import { inBucket } from "../places/bucket.ts";
import { listBackups, newestGood } from "../places/place.ts";
import type { Job } from "../run/script.ts";
import { openStorage } from "../storage/open.ts";

/** When the newest good backup in S3 began; `known` when S3 cannot be asked, which is logged. */
export async function newestInBucket(job: Job, known: Date | undefined): Promise<Date | undefined> {
  const { settings, log, asked, facts } = job;
  try {
    const storage = await openStorage(settings, { log, signal: asked });
    return newestGood(await listBackups(inBucket(storage), facts.database))?.backup.time;
  } catch (error) {
    if (!asked.aborted) log.warn(`cannot look for the last backup in S3: ${messageOf(error)}`);
    return known;
  }
}
