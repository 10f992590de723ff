/** Carries out retention in one place. */
import { type Identity, originIn, strictOwnerOf } from "../archive/identity.ts";
import type { ManifestKeys } from "../archive/manifest.ts";
import { backupNameOf, manifestName, parseBackupName, proofName } from "../archive/name.ts";
import { messageOf } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { counted } from "../base/text.ts";
import { type Owned, readOwners, unknownIsOurs } from "./owners.ts";
import { findBackups, type Place, type StoredFile } from "./place.ts";
import {
  type Candidate,
  type Circumstances,
  type Fate,
  type Plan,
  planRetention,
  type Rule,
  whyDeleted,
} from "./retention.ts";

interface Retention extends Pick<Circumstances, "rules" | "made"> {
  /** Whose backups are ours. */
  present: Identity | undefined;
  now?: Date;
  /** MANIFEST_KEY: a proof must be signed with one of these. */
  keys?: ManifestKeys;
  /** Backups whose manifests may be read; the others are taken for ours. Absent: all. */
  mayRead?: (backup: Candidate) => boolean;
}

/**
 * What retention would do with each of these backups of one database. Manifests are read only when something would be deleted, and
 * only where the owner matters. Does not throw.
 */
export async function planPrune(
  place: Place,
  all: readonly Candidate[],
  { rules, present, now = new Date(), made, keys, mayRead = () => true }: Retention,
): Promise<Plan<Candidate>> {
  let backups = all;
  for (;;) {
    const read = backups.filter(isRead);
    const isOurs = unknownIsOurs(place, read, { weAreKnown: present !== undefined });
    const plan = planRetention(backups, { rules, now, made, unknownIsOurs: isOurs });
    const unread = new Set(toRead(place, plan, rules).filter(mayRead));
    if (unread.size === 0) return plan;
    const owned = await readOwners(place, [...unread], present, keys, { toDelete: true });
    const known = new Map(owned.map((one) => [one.name, one]));
    backups = backups.map((backup) => known.get(backup.name) ?? backup);
  }
}

export const isRead = (backup: Candidate): backup is Owned => backup.owner !== undefined;

/** Backups whose owner can still change the plan; none while nothing is deleted. */
function toRead({ shared }: Place, { fates }: Plan<Candidate>, rules: readonly Rule[]): Candidate[] {
  const isDeleted = ({ kept }: Fate<Candidate>) => kept.length === 0;
  if (!fates.some(isDeleted)) return [];
  const open = fates.filter(({ backup, matters }) => matters && !isRead(backup));
  // one backup of another server protects those that do not say whose they are
  const doubtful = shared && fates.some((fate) => isDeleted(fate) && fate.backup.owner === "unknown");
  // what is young counts for no rule of days, but the newest of ours has to be known
  const counts = rules.some(({ kind }) => kind !== "days");
  const newest = fates.findLast(({ matters }) => matters);
  return open
    .filter((fate) => doubtful || counts || isDeleted(fate) || fate === newest || fate.backup.proved)
    .map(({ backup }) => backup);
}

/**
 * Deletes what no rule keeps, each backup with its manifest and its proof. Logs every deletion with its rule; one that fails is
 * logged and the next one tried. Throws only when the place cannot be listed.
 */
export async function prune(
  place: Place,
  { log, warn, ...wanted }: Retention & { database: string; log: Logger; warn: (message: string) => void },
): Promise<void> {
  if (wanted.rules.length === 0) return;
  const files = await place.list(wanted.database);
  const { fates, refusal } = await planPrune(place, findBackups(files, wanted.database), wanted);
  const unreadable = fates.filter(({ backup }) => backup.error);
  for (const { backup } of unreadable.slice(0, 1))
    warn(`retention keeps ${backup.name} in ${place.where}, and does not count it: ${messageOf(backup.error)}`);
  if (refusal !== undefined) return warn(`retention in ${place.where}: ${refusal}`);
  const names = new Set(files.map(({ name }) => name));
  // the backup before its manifest: a manifest left alone is no backup, a backup left alone would look like one
  const gone = fates.flatMap(({ kept, backup: { name } }) =>
    kept.length > 0 ? [] : [[name, ...companions(name, names)]],
  );
  const lonely = await lonelyOnes(place, files, fates, wanted);
  const failures: string[] = [];
  for (const [name = "", ...others] of [...gone, ...lonely.map((name) => [name])]) {
    try {
      for (const one of [name, ...others]) await place.remove(one);
      log.info(`deleted ${name} from ${place.where}: ${whyDeleted(wanted.rules)}`, { deleted: name });
    } catch (error) {
      failures.push(messageOf(error)); // it names the file
      log.error(messageOf(error), { file: name });
    }
  }
  const [first] = failures;
  if (first) warn(`retention could not delete ${counted(failures.length, "backup")} from ${place.where}: ${first}`);
}

const companions = (name: string, names: ReadonlySet<string>) =>
  [proofName(name), manifestName(name)].filter((one) => names.has(one));

/** Manifests and proofs whose backup is missing, older than the days and than all that is kept: a run died between two deletions. */
async function lonelyOnes(
  place: Place,
  files: readonly StoredFile[],
  fates: readonly Fate<Candidate>[],
  { database, present, rules, now = new Date() }: Retention & { database: string },
): Promise<string[]> {
  const names = new Set(files.map(({ name }) => name));
  const days = rules.find(({ kind }) => kind === "days")?.count ?? 1;
  const kept = fates.find((fate) => fate.kept.length > 0)?.backup.backup.time ?? now;
  const oldest = Math.min(kept.getTime(), now.getTime() - days * 86_400_000);
  const lonely: string[] = [];
  for (const name of new Set(files.map((file) => backupNameOf(file.name)))) {
    const backup = names.has(name) ? undefined : parseBackupName(name);
    if (backup?.database !== database || backup.time.getTime() >= oldest) continue;
    const manifest = await place.load(manifestName(name)).catch(() => Buffer.from("unreadable"));
    const origin = originIn(manifest?.toString() ?? "{}");
    if (origin && strictOwnerOf(origin.identity, present) !== "other") lonely.push(...companions(name, names));
  }
  return lonely;
}
