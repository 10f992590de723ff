/** Deletes backups that the settings no longer keep. */
import type { Database } from "../database/database.ts";
import type { Place } from "../places/place.ts";
import { prune } from "../places/prune.ts";
import type { Job } from "../run/script.ts";

/** Where backups of a run lie. */
export interface Places {
  local: Place;
  /** Absent without S3. */
  remote: Place | undefined;
}

/** Deletes backups of this database, locally and in S3. */
export async function pruneAll({ settings, log }: Job, { name: database }: Pick<Database, "name">, places: Places) {
  const { LOCAL_RETENTION_DAYS, BACKUP_RETENTION_DAYS } = settings;
  await prune(places.local, { database, log, setting: "LOCAL_RETENTION_DAYS", days: LOCAL_RETENTION_DAYS });
  if (places.remote)
    await prune(places.remote, { database, log, setting: "BACKUP_RETENTION_DAYS", days: BACKUP_RETENTION_DAYS });
}
