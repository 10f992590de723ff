/** Carries out retention in one place. */
import { messageOf } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { manifestName, proofName } from "../archive/name.ts";
import { findBackups, type Place } from "./place.ts";
import { decideRetention, lonelyManifests } from "./retention.ts";

interface Retention {
  database: string;
  /** Undefined: all backups are kept. */
  days: number | undefined;
  /** Name of the setting that gives the days, for the log. */
  setting: string;
  log: Logger;
  now?: Date;
}

/**
 * Deletes the backups of `database` that are older than `days` by `decideRetention`, each with its manifest. Logs every deletion;
 * one that fails is logged and the next one tried. Throws only when the place cannot be listed.
 */
export async function prune(place: Place, wanted: Retention): Promise<void> {
  const { database, days, setting, log, now = new Date() } = wanted;
  if (days === undefined) return;
  const files = await place.list(database);
  const rule = { database, days, now };
  const { expired, refusal } = decideRetention(findBackups(files, database), rule);
  if (refusal) log.warn(`retention in ${place.where}: ${refusal}`);
  // the backup before its manifest: a manifest left alone is no backup, a backup left alone would look like one
  const gone = expired.map(({ name, proved }) => [name, manifestName(name), ...(proved ? [proofName(name)] : [])]);
  const names = files.map(({ name }) => name);
  const rest = (refusal ? [] : lonelyManifests(names, rule)).map((name) => [name]);
  for (const files of [...gone, ...rest]) {
    const [name = ""] = files;
    try {
      for (const file of files) await place.remove(file);
      log.info(`deleted ${name} from ${place.where}: older than ${days} days (${setting})`, { deleted: name });
    } catch (error) {
      log.error(`cannot delete ${name} from ${place.where}: ${messageOf(error)}`, { file: name });
    }
  }
}
