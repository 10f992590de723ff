/** Carries out retention, in the local folder or in S3. */
import { messageOf } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { manifestName } from "../archive/name.ts";
import { decideRetention, lonelyManifests, type Candidate } from "./retention.ts";

export interface Place {
  /** For the log: a folder or an S3 location. */
  where: string;
  /** Setting that gives the days, for the log. */
  setting: string;
  candidates: readonly Candidate[];
  /** Everything that is there, by name. */
  names: readonly string[];
  /** Deletes a file or an object by its name. */
  remove(name: string): Promise<void>;
}

/**
 * Deletes the backups of `database` that are older than `days` (undefined: none) by `decideRetention`, each with its
 * manifest. Logs every deletion; one that fails is logged and the next one tried. Never throws.
 */
export async function prune(
  place: Place,
  { database, days, log, now = new Date() }: { database: string; days: number | undefined; log: Logger; now?: Date },
): Promise<void> {
  if (days === undefined) return;
  const rule = { database, days, now };
  const { expired, refusal } = decideRetention(place.candidates, rule);
  if (refusal) log.warn(`retention in ${place.where}: ${refusal}`);
  // the backup before its manifest: a manifest left alone is no backup, a backup left alone would look like one
  const gone = expired.map(({ name }) => [name, manifestName(name)] as const);
  const rest = (refusal ? [] : lonelyManifests(place.names, rule)).map((name) => [name] as const);
  for (const names of [...gone, ...rest]) {
    const [name] = names;
    try {
      for (const one of names) await place.remove(one);
      log.info(`deleted ${name} from ${place.where}: older than ${days} days (${place.setting})`, { deleted: name });
    } catch (error) {
      log.error(`cannot delete ${name} from ${place.where}: ${messageOf(error)}`, { file: name });
    }
  }
}
