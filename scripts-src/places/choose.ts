/** Which backup a restore means. */
import { existsSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { distance } from "fastest-levenshtein";
import { type Identity, strictOwnerOf } from "../archive/identity.ts";
import type { ManifestKeys } from "../archive/manifest.ts";
import { backupNameOf, parseBackupName, proofName } from "../archive/name.ts";
import { Damaged, exitStatus, Failure, messageOf, noSuchBackup } from "../base/errors.ts";
import { type Logger, scriptLog } from "../base/log.ts";
import { counted } from "../base/text.ts";
import { distrust } from "../base/trust.ts";
import { inFolder } from "./folder.ts";
import { haveOneOrigin, type Owned, readOwners, unknownIsOurs } from "./owners.ts";
import { findBackups, goodOnes, isAhead, listBackups, type Place, type Stored } from "./place.ts";

interface Wanted {
  database: string;
  /** Identity of the server at hand; undefined when it could not be asked. */
  present: Identity | undefined;
  /** The database is missing or empty: a new machine restores the backups of the one before. */
  isNew: () => Promise<boolean>;
  /** One that has no proof yet comes first. */
  unproved?: boolean | undefined;
  /** MANIFEST_KEY. */
  keys?: ManifestKeys;
  /** Only backups that were made before this time. */
  before?: Date | undefined;
  /** Absent: what is passed over is not logged. */
  log?: Logger;
}

/**
 * The newest backup of a database that is not another server's and whose name does not lie in the future. Manifests are read from
 * the newest on, until one is ours. Throws a `Failure` with status 4 when there is none.
 */
export async function chooseNewest(place: Place, wanted: Wanted): Promise<Owned> {
  const { database, before, unproved } = wanted;
  const found = (await listBackups(place, database)).filter(({ backup }) => !before || backup.time < before);
  const first = unproved ? await unprovedOf(place, found, wanted) : [];
  try {
    if (first.length > 0) return await chooseOf(place, first, wanted);
  } catch (error) {
    // one that is damaged must be heard of, though a newer one is good
    if (!(error instanceof Failure && error.status === exitStatus.noSuchBackup)) throw error;
  }
  return chooseOf(place, found, wanted);
}

/** The proofs of so many backups are read: one that is of another file, or not signed with the key, proves nothing. */
const proofsRead = 32;

/** A proof needs a manifest, which says of which file it is. */
async function unprovedOf(place: Place, found: readonly Stored[], { present, keys }: Wanted): Promise<Stored[]> {
  const finished = found.filter(({ committed }) => committed);
  const newest = finished.filter(({ proved }) => proved).slice(-proofsRead);
  const read = await readOwners(place, newest, present, keys);
  const disproved = new Set(read.filter(({ proved, error }) => !proved || error !== undefined).map(({ name }) => name));
  return finished.filter(({ name, proved }) => !proved || disproved.has(name));
}

async function chooseOf(place: Place, found: readonly Stored[], wanted: Wanted): Promise<Owned> {
  const { present, keys, log } = wanted;
  const sound = found.filter((one) => flawOf(place, one) === undefined).toReversed();
  const { chosen: ours, read } = await search(place, sound, present, keys);
  const chosen = ours ?? (read.length > 0 && (await wanted.isNew()) ? pick(place, read, true, true) : undefined);
  const known = new Map(read.map((one) => [one.name, one]));
  const newestFirst = found.toReversed().map((one) => known.get(one.name) ?? one);
  const passed = newestFirst.slice(0, chosen && newestFirst.indexOf(chosen));
  for (const one of passed) {
    const flaw = flawOf(place, one);
    if (flaw !== undefined) log?.warn(`passed over ${one.name}: ${flaw}; name it to restore it`);
  }
  const others = passed.filter((one) => flawOf(place, one) === undefined);
  if (!chosen) throw await noneOfOurs(place, wanted, newestFirst, known.get(others[0]?.name ?? ""));
  if (others.length > 0)
    log?.info(`passed over ${counted(others.length, "newer backup")} not known to be of this server`);
  return chosen;
}

/** Why a backup is restored only by its name, whoever's it is. */
function flawOf({ shared }: Place, one: Stored & Partial<Owned>): string | undefined {
  if (isAhead(one.backup)) return "its name lies in the future";
  // in a bucket it may never have been finished
  if (shared && !one.committed) return "it has no manifest, so it may be incomplete";
  return one.renamed ?? (one.error && one.owner === "unknown" ? messageOf(one.error) : undefined);
}

/**
 * The newest good backup that is not another server's, that a restore would take with these `keys`, and that `fits`. Undefined when there is
 * none. Does not throw.
 */
export async function newestOfOurs(
  place: Place,
  backups: readonly Stored[],
  present: Identity | undefined,
  keys: ManifestKeys,
  fits: (backup: Owned) => boolean = () => true,
): Promise<Owned | undefined> {
  // where our own identity is unknown, a backup in a bucket is not ours when its manifest names a server
  const isOurs = ({ identity }: Owned) =>
    present ? strictOwnerOf(identity, present) !== "other" : !place.shared || !identity;
  // a damaged one is no good backup; one whose manifest cannot be fetched now may be
  const isGood = (one: Owned) => !(one.error instanceof Damaged) && one.doubt === undefined && isOurs(one) && fits(one);
  return (await search(place, goodOnes(backups), present, keys, isGood)).chosen;
}

/** Reads manifests from the newest backup on, until one of those that are good can be chosen. */
async function search(
  place: Place,
  newestFirst: readonly Stored[],
  present: Identity | undefined,
  keys: ManifestKeys,
  isGood: (backup: Owned) => boolean = () => true,
): Promise<{ chosen?: Owned; read: Owned[] }> {
  const read: Owned[] = [];
  while (read.length < newestFirst.length) {
    const next = newestFirst.slice(read.length, read.length + (read.length === 0 ? 1 : 32));
    read.push(...(await readOwners(place, next, present, keys)));
    const chosen = pick(place, read.filter(isGood), read.length === newestFirst.length, false);
    if (chosen) return { chosen, read };
  }
  return { read };
}

/** Pure. `all` from the newest on, as far as they were read; undefined: none of these. What was renamed is not chosen. */
export function pick<T extends Owned>(
  place: Pick<Place, "shared">,
  all: readonly T[],
  isComplete: boolean,
  isNew: boolean,
): T | undefined {
  const read = all.filter(({ renamed }) => renamed === undefined);
  const first = read.find(({ owner }) => owner !== "other");
  if (first?.owner === "ours") return first;
  // in a bucket one backup of another server, however old, protects those that do not say whose they are
  const isByItself = !place.shared && first !== undefined && !first.identity;
  if (!isByItself && !isComplete) return undefined;
  const isOurs = isByItself || (unknownIsOurs(place, read) && haveOneOrigin(read));
  const chosen = isOurs ? first : read.find(({ owner }) => owner === "ours");
  return chosen ?? (isComplete && isNew && haveOneOrigin(read) ? read[0] : undefined);
}

/** `other` is the newest that is another server's, or may be. */
async function noneOfOurs(
  place: Place,
  { database, before, keys }: Wanted,
  [newest]: readonly Stored[],
  other: Owned | undefined,
): Promise<Failure> {
  const none = (what: string, hint: string) => noSuchBackup(`no backup of ${database} in ${place.where} ${what}`, hint);
  if (other?.identity)
    return none(
      `is of this server: ${other.name} is of ${originText(other.identity)}`,
      `to restore that one all the same, name it: restore ${place.shared ? "--from-s3 " : ""}${other.name}`,
    );
  const named = other ?? newest;
  if (named) {
    const origin = `it ${keys ? "is not signed with MANIFEST_KEY, or " : ""}does not say whose it is`;
    return none(
      `can be restored unless you name it; ${named.name}: ${other ? origin : (flawOf(place, named) ?? origin)}`,
      `name the one to restore, for example ${named.name}`,
    );
  }
  const [oldest] = before ? await listBackups(place, database) : [];
  if (oldest) return none("was made before that time", `the oldest is ${oldest.name}`);
  const hints = await hintsFor(place, database);
  return noSuchBackup(`no backups of ${database} are available in ${place.where}`, ...hints);
}

const hintsFor = async (place: Place, database: string | undefined): Promise<string[]> =>
  place.shared
    ? [...(await place.elsewhere(database)), "check S3_BUCKET and S3_PATH; backup --upload and sync put backups there"]
    : ["take one with backup, name a FILE, or add --from-s3 when the backups lie in S3"];

/** For people: which server and site a backup comes from. */
export const originText = ({ server, site }: Identity): string => `another server (${server}, site ${site})`;

/** The backup of this name in a place. Throws a `Failure` with status 4 when there is none. */
export async function chooseNamed(place: Place, name: string): Promise<Stored> {
  refuseCompanion(name);
  const all = findBackups(await place.list());
  const found = all.find((backup) => backup.name === name);
  if (found) return found;
  const hints = [...nearestTo(name, all), ...(await hintsFor(place, parseBackupName(name)?.database))];
  throw noSuchBackup(`no backup ${name} in ${place.where}`, ...hints);
}

/** Throws a `Failure` for the name of a manifest or a proof. */
export function refuseCompanion(file: string): void {
  const name = basename(file);
  const backup = backupNameOf(name);
  if (backup === name) return;
  const what = name === proofName(backup) ? "proof" : "manifest";
  throw noSuchBackup(`${name} is the ${what} of a backup, not the backup`, `name the backup: ${backup}`);
}

/** Letters that differ between a name and the one that was meant: an ending that was forgotten, a digit. */
const mostTypos = 4;

function nearestTo(name: string, backups: readonly Stored[]): string[] {
  const [nearest] = backups.map((one) => one.name).toSorted((a, b) => distance(a, name) - distance(b, name));
  return nearest !== undefined && distance(nearest, name) <= mostTypos ? [`did you mean ${nearest}?`] : [];
}

/**
 * Path of the file that is named: a plain name is looked for in `folder` first, then, like every path, from the present folder.
 * Throws a `Failure` with status 4 when there is none.
 */
export async function chooseFile(folder: string, wanted: string): Promise<string> {
  refuseCompanion(wanted);
  const paths = wanted.includes("/") ? [resolve(wanted)] : [join(folder, wanted), resolve(wanted)];
  for (const path of paths)
    if (existsSync(path)) {
      const why = distrust(path);
      if (why) scriptLog().warn(`${path} is restored because it was named, though ${why.cause}`);
      return path;
    }
  throw noSuchBackup(
    `backup file not found: ${paths.join(" or ")}`,
    ...nearestTo(basename(wanted), await listBackups(inFolder(folder)).catch(() => [])),
    "list shows the backups that exist; --from-s3 takes one from S3",
  );
}
