/** Where the backups of a run lie, and which database the run is about. */
import { resolve } from "node:path";
import type { Database } from "../database/database.ts";
import type { Job } from "../run/script.ts";

/** Absolute path of BACKUP_DIR: a relative one starts at the executables. */
export const backupFolder = ({ home, settings }: Job): string => resolve(home, settings.BACKUP_DIR);

/** One lock for each database, whatever characters its name holds. */
export const lockName = (database: Pick<Database, "name">): string => encodeURIComponent(database.name);

/** No database can be called so: the backups that run beside a proof do not sweep its copy from S3. */
export const proofSpool = ({ name }: Pick<Database, "name">): string => `${name}\0verify`;

/** Puts into the notices which database this run is about. */
export function nameDatabase(job: Job, database: Pick<Database, "name" | "where">): void {
  job.facts.database = database.name;
  job.facts.server = database.where;
}
