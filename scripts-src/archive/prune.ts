/** Carries out retention, in the local folder or in S3. */
import { messageOf } from "../shared/errors.ts";
import type { Logger } from "../shared/log.ts";
import { manifestName } from "./name.ts";
import { decideRetention, type Candidate } from "./retention.ts";

export interface Place {
  /** For the log: a folder or an S3 location. */
  where: string;
  /** Setting that gives the days, for the log. */
  setting: string;
  candidates: readonly Candidate[];
  /** Deletes a file or an object by its name. */
  remove(name: string): Promise<void>;
}

/**
 * Deletes the backups of `database` that are older than `days` (undefined: none) by `decideRetention`, each with its
 * manifest. Logs every deletion; one that fails is logged and the next one tried. Never throws.
 */
export async function prune(
  place: Place,
  { database, days, log }: { database: string; days: number | undefined; log: Logger },
): Promise<void> {
  if (days === undefined) return;
  const { expired, refusal } = decideRetention(place.candidates, { database, days, now: new Date() });
  if (refusal) log.warn(`retention in ${place.where}: ${refusal}`);
  for (const { name } of expired) {
    try {
      // the backup before its manifest: a manifest left alone is no backup, a backup left alone would look like one
      await place.remove(name);
      await place.remove(manifestName(name));
      log.info(`deleted ${name} from ${place.where}: older than ${days} days (${place.setting})`, { deleted: name });
    } catch (error) {
      log.error(`cannot delete ${name} from ${place.where}: ${messageOf(error)}`, { file: name });
    }
  }
}
