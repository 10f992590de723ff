/** Which backup a restore means. */
import { access } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Identity } from "../archive/identity.ts";
import type { ManifestKeys } from "../archive/manifest.ts";
import { parseBackupName } from "../archive/name.ts";
import { exitStatus, Failure } from "../base/errors.ts";
import { type Logger, scriptLog } from "../base/log.ts";
import { counted } from "../base/text.ts";
import { distrust } from "../base/trust.ts";
import { haveOneOrigin, type Owned, readOwners, unknownIsOurs } from "./owners.ts";
import { findBackups, isAhead, listBackups, oldestFirst, type Place, type Stored } from "./place.ts";

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
  now?: Date;
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
  if (first.length > 0) return chooseOf(place, first, wanted).catch(() => chooseOf(place, found, wanted));
  return chooseOf(place, found, wanted);
}

async function chooseOf(place: Place, found: readonly Stored[], wanted: Wanted): Promise<Stored> {
  const { database, present, keys, before, log, now = new Date() } = wanted;
  // in a bucket, a backup without a manifest may never have been finished
  const [all, unfinished] = split(found, (one) => one.committed || !place.shared);
  const ahead = all.filter(({ backup }) => isAhead(backup, now));
  for (const { name } of ahead) log.warn(`passed over ${name}: its name lies in the future; name it to restore it`);
  const newestFirst = all.filter((one) => !ahead.includes(one)).toReversed();
  const { chosen: ours, read } = await search(place, newestFirst, present, keys);
  for (const { name, renamed } of read.slice(0, ours && read.indexOf(ours)))
    if (renamed !== undefined) log.warn(`passed over ${name}: ${renamed}; name it to restore it`);
  const chosen = ours ?? (read.length > 0 && (await wanted.isNew()) ? pick(place, read, true, true) : undefined);
  if (!chosen) {
    const later = before && all.length === 0 ? await listBackups(place, database) : [];
    throw later.length > 0 ? noneBefore(place, database, later) : await noneOfOurs(place, database, read[0], ahead);
  }
  const others = read.slice(0, read.indexOf(chosen)).filter(({ renamed }) => renamed === undefined);
  if (others.length > 0) log.info(`passed over ${counted(others.length, "newer backup")}: not of this server`);
  for (const { name } of unfinished.filter((one) => oldestFirst(chosen, one) < 0))
    log.warn(`passed over ${name}: it has no manifest, so it may be incomplete; name it to restore it`);
  if (chosen.error) throw chosen.error;
  return chosen;
}

/** The newest good backup that is not another server's; undefined when there is none. Does not throw. */
export async function newestOfOurs(
  place: Place,
  backups: readonly Stored[],
  present: Identity | undefined,
  now: Date = new Date(),
): Promise<Owned | undefined> {
  const good = backups.filter(({ committed, backup }) => committed && !isAhead(backup, now));
  const newestFirst = good.toSorted(oldestFirst).toReversed();
  return (await search(place, newestFirst, present)).chosen;
}

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

function split<T>(all: readonly T[], test: (one: T) => boolean): [T[], T[]] {
  return [all.filter(test), all.filter((one) => !test(one))];
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

const noneBefore = ({ where }: Place, database: string, all: readonly Stored[]) =>
  new Failure(`no backup of ${database} in ${where} was made before that time`, {
    status: exitStatus.noSuchBackup,
    hints: [`the oldest is ${all[0]?.name}`],
  });

async function noneOfOurs(
  place: Place,
  database: string,
  other: Owned | undefined,
  ahead: readonly Stored[],
): Promise<Failure> {
  const status = exitStatus.noSuchBackup;
  const { where } = place;
  const named = other ?? ahead.at(-1);
  if (other?.identity)
    return new Failure(
      `no backup of ${database} in ${where} is of this server: ${other.name} is of ${originText(other.identity)}`,
      {
        status,
        hints: [`to restore that one all the same, name it: restore ${place.shared ? "--from-s3 " : ""}${other.name}`],
      },
    );
  if (named)
    return new Failure(`no backup of ${database} in ${where} can be chosen without its name`, {
      status,
      hints: [`name the one to restore, for example ${named.name}`],
    });
  return new Failure(`no backups of ${database} are available in ${where}`, {
    status,
    hints: await hintsFor(place, database),
  });
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
  throw new Failure(`no backup ${name} in ${place.where}`, {
    status: exitStatus.noSuchBackup,
    hints: await hintsFor(place, parseBackupName(name)?.database),
  });
}

/**
 * Path of the file that is named: a plain name is looked for in `folder` first, then, like every path, from the present folder.
 * Throws a `Failure` with status 4 when there is none.
 */
export async function chooseFile(folder: string, wanted: string): Promise<string> {
  const paths = wanted.includes("/") ? [resolve(wanted)] : [join(folder, wanted), resolve(wanted)];
  for (const path of paths)
    if (await exists(path)) {
      const why = distrust(path);
      if (why) scriptLog().warn(`${path} is restored because it was named, though ${why.cause}`);
      return path;
    }
  throw new Failure(`backup file not found: ${paths.join(", and no ")}`, {
    status: exitStatus.noSuchBackup,
    hints: [`ls ${folder} shows the backups there; restore --from-s3 takes one from S3`],
  });
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
