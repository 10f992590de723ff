/** What sync has to do, as far as listings and manifests in S3 say: both ways of sending use it. */
import { originIn, ownerOf } from "../archive/identity.ts";
import { backupNameOf, manifestName, parseBackupName } from "../archive/name.ts";
import { inBucket } from "../places/bucket.ts";
import { inFolder } from "../places/folder.ts";
import { readOwners, unknownIsOurs } from "../places/owners.ts";
import { findBackups, type Place, type StoredFile } from "../places/place.ts";
import type { Settings } from "../settings/settings.ts";
import { type Entry, type Named, planSync, type SyncPlan } from "../storage/plan.ts";
import type { RemoteObject, Storage } from "../storage/storage.ts";
import { identityWithoutServer } from "./identity.ts";
import type { LocalFile } from "./local-files.ts";

export type RemoteFile = Entry & RemoteObject;

/** Lists S3 and plans; of what could be deleted only backups of ours are. */
export async function planFor(
  settings: Settings,
  folder: string,
  storage: Storage,
  files: LocalFile[] | Promise<LocalFile[]>,
): Promise<SyncPlan<LocalFile, RemoteFile>> {
  const [local, remote] = await Promise.all([files, listRemote(storage)]);
  const plan = planSync(local, remote, { mayDelete: settings.REMOTE_S3_DELETE });
  const foreign = await findForeign(settings, inFolder(folder), inBucket(storage), { deletes: plan.deletes, remote });
  const kept = plan.deletes.flatMap((entry) => {
    const why = foreign.get(backupNameOf(entry.name));
    return why === undefined ? [] : [{ entry, why }];
  });
  const deletes = plan.deletes.filter(({ name }) => !foreign.has(backupNameOf(name)));
  return { ...plan, deletes, kept: [...plan.kept, ...kept] };
}

/** Which backups in S3 are not ours, or may be another server's, and why they stay. */
export async function findForeign(
  settings: Settings,
  local: Place,
  place: Place,
  { deletes, remote }: { deletes: readonly StoredFile[]; remote: readonly StoredFile[] },
): Promise<ReadonlyMap<string, string>> {
  const concerned = new Set(deletes.map(({ name }) => backupNameOf(name)));
  const reasons = new Map<string, string>();
  for (const [database, all] of Map.groupBy(findBackups(remote), ({ backup }) => backup.database)) {
    const some = all.filter(({ name }) => concerned.has(name));
    if (some.length === 0) continue;
    const present = await identityWithoutServer(settings, local, database, { surely: true });
    const owned = await readOwners(place, some, present);
    // one backup of another server protects those that do not say whose they are
    const isDoubtful = owned.some(({ owner }) => owner === "unknown");
    const mayBeOurs = unknownIsOurs(place, isDoubtful ? await readOwners(place, all, present) : owned);
    for (const { name, owner, identity, error } of owned) {
      if (error) reasons.set(name, "it is damaged, or its manifest cannot be read");
      else if (owner === "other") reasons.set(name, "a backup of another server");
      else if (identity && !present) reasons.set(name, "nothing here says that it is of this server");
      else if (owner === "unknown" && !mayBeOurs) reasons.set(name, "its manifest does not say whose it is");
    }
  }
  const names = new Set(remote.map(({ name }) => name));
  for (const name of concerned) {
    const database = parseBackupName(name)?.database;
    if (database === undefined || names.has(name) || !names.has(manifestName(name))) continue;
    // a manifest whose backup is missing: somebody's run has died between two deletions
    const identity = originIn(String(await place.load(manifestName(name))))?.identity;
    const present = await identityWithoutServer(settings, local, database, { surely: true });
    if (identity && ownerOf(identity, present) !== "ours") reasons.set(name, "of a backup of another server");
  }
  return reasons;
}

/** What lies in S3. */
export async function listRemote(storage: Storage): Promise<RemoteFile[]> {
  const objects = await Array.fromAsync(storage.list());
  return objects.map((object) => ({ ...object, named: nameOf(object.name) }));
}

/** What the name of a backup, a manifest or a proof says. */
function nameOf(name: string): Named | undefined {
  const backup = backupNameOf(name);
  const parsed = parseBackupName(backup);
  return parsed && { backup, database: parsed.database, time: parsed.time };
}
