/** Which backup a restore means. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Identity } from "../archive/identity.ts";
import type { ManifestKeys } from "../archive/manifest.ts";
import { parseBackupName } from "../archive/name.ts";
import { exitStatus, Failure, noSuchBackup } from "../base/errors.ts";
import { type Logger, scriptLog } from "../base/log.ts";
import { counted } from "../base/text.ts";
import { distrust } from "../base/trust.ts";
import { haveOneOrigin, type Owned, readOwners, unknownIsOurs } from "./owners.ts";
import { findBackups, goodOnes, isAhead, listBackups, oldestFirst, type Place, type Stored } from "./place.ts";

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
  log: Logger;
}

/**
 * The newest backup of a database that is not another server's and whose name does not lie in the future. Manifests are read from
 * the newest on, until one is ours. Throws a `Failure` with status 4 when there is none.
 */
export async function chooseNewest(place: Place, wanted: Wanted): Promise<Stored> {
  const { database, before, unproved } = wanted;
  const found = (await listBackups(place, database)).filter(({ backup }) => !before || backup.time < before);
  // a proof needs a manifest: it says of which file it is
  const first = unproved ? found.filter(({ committed, proved }) => committed && !proved) : [];
  try {
    if (first.length > 0) return await chooseOf(place, first, wanted);
  } catch (error) {
    // one that is damaged must be heard of, though a newer one is good
    if (!(error instanceof Failure && error.status === exitStatus.noSuchBackup)) throw error;
  }
  return chooseOf(place, found, wanted);
}

async function chooseOf(place: Place, found: readonly Stored[], wanted: Wanted): Promise<Stored> {
  const { present, keys, log } = wanted;
  const sound = found.filter((one) => flawOf(place, one) === undefined).toReversed();
  const { chosen: ours, read } = await search(place, sound, present, keys);
  const chosen = ours ?? (read.length > 0 && (await wanted.isNew()) ? pick(place, read, true, true) : undefined);
  const known = new Map(read.map((one) => [one.name, one]));
  const newestFirst = found.toReversed().map((one) => known.get(one.name) ?? one);
  const passed = newestFirst.slice(0, chosen && newestFirst.indexOf(chosen));
  for (const one of passed) {
    const flaw = flawOf(place, one);
    if (flaw !== undefined) log.warn(`passed over ${one.name}: ${flaw}; name it to restore it`);
  }
  const others = passed.filter((one) => flawOf(place, one) === undefined);
  if (!chosen) throw await noneOfOurs(place, wanted, newestFirst, known.get(others[0]?.name ?? ""));
  if (others.length > 0)
    log.info(`passed over ${counted(others.length, "newer backup")} not known to be of this server`);
  if (chosen.error) throw chosen.error;
  return chosen;
}

/** Why a backup is restored only by its name, whoever's it is. */
function flawOf({ shared }: Place, one: Stored & Partial<Owned>): string | undefined {
  if (isAhead(one.backup)) return "its name lies in the future";
  // in a bucket it may never have been finished
  return shared && !one.committed ? "it has no manifest, so it may be incomplete" : one.renamed;
}

/** The newest good backup that is not another server's; undefined when there is none. Does not throw. */
export const newestOfOurs = async (
  place: Place,
  backups: readonly Stored[],
  present: Identity | undefined,
): Promise<Owned | undefined> => (await search(place, goodOnes(backups), present)).chosen;

/** The newest of them that is not suspicious. Does not throw. */
export async function newestNormal(
  place: Place,
  backups: readonly Stored[],
  present: Identity | undefined,
): Promise<Owned | undefined> {
  const newest = await newestOfOurs(place, backups, present);
  if (!newest?.suspicious) return newest;
  const older = backups.filter((one) => oldestFirst(one, newest) < 0);
  return newestNormal(place, older, present);
}

/** Reads manifests from the newest backup on, until one can be chosen. */
async function search(
  place: Place,
  newestFirst: readonly Stored[],
  present: Identity | undefined,
  keys?: ManifestKeys,
): Promise<{ chosen?: Owned; read: Owned[] }> {
  const read: Owned[] = [];
  while (read.length < newestFirst.length) {
    const next = newestFirst.slice(read.length, read.length + (read.length === 0 ? 1 : 32));
    read.push(...(await readOwners(place, next, present, keys)));
    const chosen = pick(place, read, read.length === newestFirst.length, false);
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
  const ours = read.findIndex(({ owner }) => owner === "ours");
  if (place.shared && ours < 0 && !isComplete) return undefined;
  const concerned = ours < 0 ? read : read.slice(0, ours + 1);
  const chosen = unknownIsOurs(place, concerned) ? concerned.find(({ owner }) => owner !== "other") : read[ours];
  return chosen ?? (isComplete && isNew && haveOneOrigin(read) ? read[0] : undefined);
}

/** `other` is the newest that is another server's, or may be. */
async function noneOfOurs(
  place: Place,
  { database, before }: Wanted,
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
  if (named) return none("can be restored unless you name it", `name the one to restore, for example ${named.name}`);
  const [oldest] = before ? await listBackups(place, database) : [];
  if (oldest) return none("was made before that time", `the oldest is ${oldest.name}`);
  const hints = await hintsFor(place, database);
  return noSuchBackup(`no backups of ${database} are available in ${place.where}`, ...hints);
}

const hintsFor = async (place: Place, database: string | undefined): Promise<string[]> =>
  place.shared
    ? [
        ...(database === undefined ? [] : await place.elsewhere(database)),
        "check S3_BUCKET and S3_PATH; backup --upload and sync put backups there",
      ]
    : ["take one with backup, name a file to restore, or use restore --from-s3"];

/** For people: which server and site a backup comes from. */
export const originText = ({ server, site }: Identity): string => `another server (${server}, site ${site})`;

/** The backup of this name in a place. Throws a `Failure` with status 4 when there is none. */
export async function chooseNamed(place: Place, name: string): Promise<Stored> {
  const found = findBackups(await place.list()).find((backup) => backup.name === name);
  if (found) return found;
  const hints = await hintsFor(place, parseBackupName(name)?.database);
  throw noSuchBackup(`no backup ${name} in ${place.where}`, ...hints);
}

/**
 * Path of the file that is named: a plain name is looked for in `folder` first, then, like every path, from the present folder.
 * Throws a `Failure` with status 4 when there is none.
 */
export async function chooseFile(folder: string, wanted: string): Promise<string> {
  const paths = wanted.includes("/") ? [resolve(wanted)] : [join(folder, wanted), resolve(wanted)];
  for (const path of paths)
    if (existsSync(path)) {
      const why = distrust(path);
      if (why) scriptLog().warn(`${path} is restored because it was named, though ${why.cause}`);
      return path;
    }
  throw noSuchBackup(
    `backup file not found: ${paths.join(", and no ")}`,
    `ls ${folder} shows the backups there; restore --from-s3 takes one from S3`,
  );
}
