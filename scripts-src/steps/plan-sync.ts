/** What sync has to do, as far as listings and manifests say. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { originIn, ownerOf, strictOwnerOf } from "../archive/identity.ts";
import { faultOf } from "../archive/manifest.ts";
import { backupNameOf, manifestName, parseBackupName } from "../archive/name.ts";
import { Failure, noSuchBackup } from "../base/errors.ts";
import { counted } from "../base/text.ts";
import type { Distrust } from "../base/trust.ts";
import { inBucket } from "../places/bucket.ts";
import { originText } from "../places/choose.ts";
import { checkFolder, inFolder, survey } from "../places/folder.ts";
import { readOwners, unknownIsOurs, whyNotOurs } from "../places/owners.ts";
import { findBackups, oldestFirst, type Place, type StoredFile } from "../places/place.ts";
import type { Settings } from "../settings/settings.ts";
import type { Storage } from "../storage/connect.ts";
import { eachOf } from "../storage/together.ts";
import { identityWithoutServer } from "./identity.ts";
import { liesAhead } from "../base/clock.ts";

export type LocalFile = Entry & { named: Named; path: string; distrust?: Distrust | undefined };
/** Names of backups that are not sent, each with what speaks against it. */
type Unfit = ReadonlyMap<string, Failure>;

/** Throws a `Failure` when there is no such folder, or it cannot be trusted. */
export async function requireFolder(folder: string): Promise<void> {
  await checkFolder(folder);
  if (!existsSync(folder))
    throw noSuchBackup(`there is no backup folder ${folder}`, "check BACKUP_DIR; backup creates it");
}

/** The backups of the folder with their manifests and proofs. */
export async function listLocal(folder: string): Promise<LocalFile[]> {
  const all = await survey(folder);
  const names = new Set(all.map(({ name }) => name));
  return all.flatMap((file) => {
    const named = nameOf(file.name);
    return named && names.has(named.backup) ? [{ ...file, named, path: join(folder, file.name) }] : [];
  });
}

/** What there is to say when nothing was left out; otherwise a `Failure` that says it too. */
export function completeOrFail(text: string, unfit: Unfit): string {
  if (unfit.size === 0) return text;
  const reasons = [...unfit.values()].map(({ message }) => message).join("\n");
  throw new Failure(`${counted(unfit.size, "backup")} left out, nothing is deleted:\n${reasons}\n${text}`, {
    hints: [
      ...new Set([...unfit.values()].flatMap(({ hints }) => hints)),
      "the copies in S3 of what was left out were not touched",
    ],
  });
}

/** Backups that would replace another server's in S3: two can make a backup of one name in the same second. */
async function findRivals(
  uploads: readonly LocalFile[][],
  local: Place,
  remote: Place,
  there: readonly Entry[],
): Promise<[name: string, why: Failure][]> {
  const names = new Set(there.map(({ name }) => name));
  const doubtful = uploads.flatMap(([file]) => file?.named.backup ?? []).filter((name) => names.has(name));
  const identity = async (place: Place, name: string) =>
    originIn(String(await place.load(manifestName(name))))?.identity;
  const found = await eachOf(doubtful, async (name): Promise<[string, Failure][]> => {
    const other = await identity(remote, name);
    if (!other || strictOwnerOf(other, await identity(local, name)) !== "other") return [];
    const hints = ["give each server an S3_PATH of its own"];
    return [[name, new Failure(`${name}: S3 has a backup of this name, of ${originText(other)}`, { hints })]];
  });
  return found.flat();
}

/** Sending those would replace what may be a good copy, or is not allowed. */
async function findUnfit(folder: string, files: readonly LocalFile[]): Promise<Map<string, Failure>> {
  const unfit = new Map<string, Failure>();
  for (const { name, named, distrust } of files) {
    if (name !== named.backup) continue;
    const why = distrust
      ? new Failure(`${name}: ${distrust.cause}`, { hints: [distrust.hint] })
      : await faultOf(join(folder, name));
    if (why !== undefined) unfit.set(name, why);
  }
  return unfit;
}

export type Plan = SyncPlan<LocalFile> & { unfit: Unfit };

/** Lists both sides at once. Only backups of ours are deleted, and none while one cannot be sent. Throws a `Failure` when nothing may be done. */
export async function planFor(
  settings: Settings,
  folder: string,
  storage: Storage,
  files: LocalFile[] | Promise<LocalFile[]>,
): Promise<Plan> {
  const [local, remote] = await Promise.all([files, listRemote(storage)]);
  const plan = planSync(local, remote, { mayDelete: settings.REMOTE_S3_DELETE });
  if (plan.refusal !== undefined)
    throw new Failure(`${folder}: ${plan.refusal}`, {
      hints: ["check BACKUP_DIR; set REMOTE_S3_DELETE=false to sync without deleting"],
    });
  const places = [inFolder(folder), inBucket(storage)] as const;
  const foreign = await findForeign(settings, ...places, { deletes: plan.deletes, remote });
  const kept = plan.deletes.flatMap((entry) => {
    const why = foreign.get(backupNameOf(entry.name));
    return why === undefined ? [] : [{ entry, why }];
  });
  const deletes = plan.deletes.filter(({ name }) => !foreign.has(backupNameOf(name)));
  // what is not sent matters too when something is to go: it may be what outdates that
  const unfit = await findUnfit(folder, deletes.length > 0 ? local : plan.uploads.flat());
  for (const [name, why] of await findRivals(plan.uploads, ...places, remote)) unfit.set(name, why);
  return {
    ...plan,
    uploads: plan.uploads.filter(([file]) => file && !unfit.has(file.named.backup)),
    // a backup that cannot be sent outdates no other
    deletes: unfit.size > 0 ? [] : deletes,
    kept: [...plan.kept, ...kept],
    unfit,
  };
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
    const present = await identityWithoutServer(settings, database, local);
    const read = (backups: typeof all) =>
      readOwners(place, backups, present, settings.MANIFEST_KEY, { toDelete: true });
    const owned = await read(some);
    // one backup of another server protects those that do not say whose they are
    const isDoubtful = owned.some(({ owner }) => owner === "unknown");
    const weAreKnown = present !== undefined;
    const isOurs = unknownIsOurs(place, isDoubtful ? await read(all) : owned, { weAreKnown });
    for (const one of owned) {
      const why = whyNotOurs(one, isOurs);
      if (why !== undefined) reasons.set(one.name, why);
    }
    const proved = owned.findLast(({ name, proved }) => proved && !reasons.has(name));
    const newer = all.filter((one) => proved && one.proved && !concerned.has(one.name) && oldestFirst(proved, one) < 0);
    const isOutdated = (await read(newer)).some((one) => one.proved && one.owner !== "other");
    if (proved && !isOutdated) reasons.set(proved.name, "the newest proved backup");
  }
  const names = new Set(remote.map(({ name }) => name));
  for (const name of concerned) {
    const database = parseBackupName(name)?.database;
    if (database === undefined || names.has(name) || !names.has(manifestName(name))) continue;
    // a manifest whose backup is missing: somebody's run has died between two deletions
    const identity = originIn(String(await place.load(manifestName(name))))?.identity;
    const present = await identityWithoutServer(settings, database, local);
    if (identity && ownerOf(identity, present) !== "ours") reasons.set(name, "of a backup of another server");
  }
  return reasons;
}

/** What lies in S3. */
export async function listRemote(storage: Storage): Promise<Entry[]> {
  const objects = await Array.fromAsync(storage.list());
  return objects.map((object) => ({ ...object, named: nameOf(object.name) }));
}

/** What the name of a backup, a manifest or a proof says. */
function nameOf(name: string): Named | undefined {
  const backup = backupNameOf(name);
  const parsed = parseBackupName(backup);
  return parsed && { backup, database: parsed.database, time: parsed.time };
}

/** What a name says, when it is that of a backup or of its manifest. */
export interface Named {
  /** Name of the backup itself; a manifest belongs to one. */
  backup: string;
  database: string;
  /** When the backup was taken. */
  time: Date;
}

export interface Entry {
  name: string;
  bytes: number;
  /** Undefined: it is not named like a backup or a manifest. */
  named: Named | undefined;
}

interface SyncPlan<Local extends Entry> {
  /** Backups to be sent, newest first; of each the files that are missing or differ in size, the manifest last. */
  uploads: Local[][];
  /** Files that are there already. */
  present: Local[];
  /** The oldest first; a backup before its manifest. */
  deletes: Entry[];
  /** Objects that are missing locally and are kept all the same, with the reason. */
  kept: { entry: Entry; why: string }[];
  /** Why nothing may be deleted at all; a person must hear of it. */
  refusal: string | undefined;
}

/** Compares what is there locally (backups and their manifests) with what is in the bucket. Pure: decides by names and sizes alone. */
export function planSync<Local extends Entry & { named: Named }>(
  local: readonly Local[],
  remote: readonly Entry[],
  { mayDelete, now = new Date() }: { mayDelete: boolean; now?: Date },
): SyncPlan<Local> {
  const there = new Map(remote.map(({ name, bytes }) => [name, bytes]));
  const differs = ({ name, bytes }: Local) => there.get(name) !== bytes;
  // the manifest there may belong to another backup and have the same size
  const renewed = new Set(local.filter(differs).map(({ name }) => name));
  const isMissing = (file: Local) => differs(file) || renewed.has(file.named.backup);
  const names = new Set(local.map(({ name }) => name));
  const gone = remote.filter(({ name }) => !names.has(name));
  const here = indexLocal(local, now);
  const judged = gone.map((entry) => ({ entry, why: reasonToKeep(entry.named, here, mayDelete) }));
  const refusal =
    mayDelete && here.size === 0 && gone.some(({ named }) => named)
      ? "there is no backup locally, but there are some in S3: is this the right folder, is its disk there? nothing is deleted"
      : undefined;
  return {
    uploads: byBackup(local.filter(isMissing)),
    present: local.filter((file) => !isMissing(file)),
    deletes: judged.flatMap(({ entry, why }) => (why === undefined ? [entry] : [])).toSorted(byTimeAndName),
    kept: judged.flatMap(({ entry, why }) => (why === undefined ? [] : [{ entry, why }])),
    refusal,
  };
}

/** What the delete rule needs to know of a database's local backups. */
interface Here {
  backups: Set<string>;
  /** Time of the newest one (ms). */
  newest: number;
}

/**
 * The local backups by database, made once for all objects: there may be many thousands of both. A manifest whose backup
 * is gone counts for nothing: a folder that holds no more than that must not outdate what is in S3.
 */
export function indexLocal(
  local: readonly { name: string; named: Named }[],
  now: Date = new Date(),
): ReadonlyMap<string, Here> {
  const index = new Map<string, Here>();
  for (const { name, named } of local) {
    if (name !== named.backup) continue;
    const here = index.getOrInsertComputed(named.database, () => ({ backups: new Set(), newest: -Infinity }));
    here.backups.add(name);
    // a name from the future would outdate whatever another machine sends
    if (!liesAhead(named.time, now)) here.newest = Math.max(here.newest, named.time.getTime());
  }
  return index;
}

/**
 * The delete rule. Undefined: the object is deleted. That holds only for a backup or manifest that is missing locally and is older than
 * the newest local backup of its database. Everything else is kept: what is newer may come from another machine.
 */
export function reasonToKeep(
  named: Named | undefined,
  local: ReadonlyMap<string, Here>,
  mayDelete: boolean,
): string | undefined {
  if (!named) return "not named like a backup";
  if (!mayDelete) return "REMOTE_S3_DELETE is not true";
  const ours = local.get(named.database);
  if (!ours) return `there is no local backup of ${named.database}`;
  if (ours.backups.has(named.backup)) return "its backup exists locally";
  return named.time.getTime() < ours.newest
    ? undefined
    : "not older than the newest local backup: it may belong to another machine";
}

/** Groups the files of each backup, the newest backup first, the backup before its manifest. */
function byBackup<Local extends { name: string; named: Named }>(files: readonly Local[]): Local[][] {
  const groups = Map.groupBy(files.toSorted(byTimeAndName), ({ named }) => named.backup);
  return [...groups.values()].toReversed();
}

const byTimeAndName = (a: Pick<Entry, "name" | "named">, b: Pick<Entry, "name" | "named">): number =>
  Number(a.named?.time ?? 0) - Number(b.named?.time ?? 0) || (a.name < b.name ? -1 : 1);
