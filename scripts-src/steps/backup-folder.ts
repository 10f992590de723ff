/** Where the backups of a run lie, and which database the run is about. */
import { resolve } from "node:path";
import type { Database } from "../database/database.ts";
import { openDatabase } from "../database/open.ts";
import { inBucket } from "../places/bucket.ts";
import { inFolder } from "../places/folder.ts";
import type { Place } from "../places/place.ts";
import type { Job } from "../run/script.ts";
import { openStorage } from "../storage/open.ts";

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
