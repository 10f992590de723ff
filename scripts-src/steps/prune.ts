/** Deletes what has outlived its days, and aborts what killed runs left unfinished in S3. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { type BackupName, manifestName, namePrefix, parseBackupName } from "../archive/name.ts";
import type { Database } from "../database/database.ts";
import { listBackups, removeFile } from "../places/folder.ts";
import { prune } from "../places/prune.ts";
import type { Job } from "../run/script.ts";
import type { RemoteObject, Storage } from "../storage/storage.ts";

type Named = Pick<Database, "name">;

/** Deletes local backups of this database that are older than LOCAL_RETENTION_DAYS. */
export async function pruneLocal({ settings, log }: Job, database: Named, folder: string): Promise<void> {
  const days = settings.LOCAL_RETENTION_DAYS;
  const place = {
    where: folder,
    setting: "LOCAL_RETENTION_DAYS",
    candidates: await listBackups(folder, database.name),
    names: await readdir(folder),
    remove: (name: string) => removeFile(join(folder, name)),
  };
  await prune(place, { database: database.name, days, log });
}

/** A backup in S3, in the form that retention looks at. */
export interface RemoteBackup extends RemoteObject {
  backup: BackupName;
  committed: boolean;
}

/** Backups of this database in S3. */
export async function listRemote(storage: Storage, database: string): Promise<RemoteBackup[]> {
  return remoteBackups(await Array.fromAsync(storage.list(namePrefix(database))), database);
}

function remoteBackups(objects: readonly RemoteObject[], database: string): RemoteBackup[] {
  const names = new Set(objects.map(({ name }) => name));
  return objects.flatMap((object) => {
    const backup = parseBackupName(object.name);
    if (backup?.database !== database) return [];
    return [{ ...object, backup, committed: names.has(manifestName(object.name)) }];
  });
}

/** Deletes backups of this database in S3 that are older than BACKUP_RETENTION_DAYS. */
export async function pruneRemote({ settings, log }: Job, database: Named, storage: Storage): Promise<void> {
  const days = settings.BACKUP_RETENTION_DAYS;
  if (days === undefined) return;
  const objects = await Array.fromAsync(storage.list(namePrefix(database.name)));
  const place = {
    where: storage.location(""),
    setting: "BACKUP_RETENTION_DAYS",
    candidates: remoteBackups(objects, database.name),
    names: objects.map(({ name }) => name),
    remove: (name: string) => storage.delete(name),
  };
  await prune(place, { database: database.name, days, log });
}

const dayMs = 86_400_000;

/** Aborts uploads of this database that a killed run left unfinished: their parts are billed for ever. */
export async function sweepUploads(storage: Storage | undefined, database: Named): Promise<void> {
  await storage?.sweepStaleUploads(dayMs, (name) => parseBackupName(name)?.database === database.name);
}
