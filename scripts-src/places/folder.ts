/** BACKUP_DIR: made, guarded, listed, swept. */
import { lstatSync, type Stats } from "node:fs";
import { access, constants, lstat, mkdir, readdir, stat, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { codeOf, Failure } from "../base/errors.ts";
import { diskFailure, readFailure } from "../base/disk.ts";
import { scriptLog } from "../base/log.ts";
import { replaceFile } from "../base/replace-file.ts";
import { distrust, type Distrust, distrustFile } from "../base/trust.ts";
import { backupNameOf, manifestName, namePrefix, parseBackupName } from "../archive/name.ts";
import { readPlain, readSmall } from "../archive/plain-file.ts";
import { createFile } from "./file.ts";
import type { Place, StoredFile } from "./place.ts";

/**
 * Creates the folder where needed (new folders are 0700) and makes sure that it can be written to and is safe. Throws
 * `Failure`.
 */
export async function prepareFolder(path: string): Promise<void> {
  refuseUnsafe(path);
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw diskFailure(`cannot create the backup folder ${path}`, error);
  }
  await lookAtFolder(path);
}

/**
 * Refuses a folder where another user could plant a backup to be restored, and warns of each backup in it that belongs to one: those
 * are ignored. A folder that does not exist is nobody's trap, when the folders above are safe. Throws `Failure`.
 */
export async function checkFolder(path: string): Promise<void> {
  const folder = await stat(path).catch((error: unknown) => {
    if (codeOf(error) !== "ENOENT") throw diskFailure(`cannot use the backup folder ${path}`, error);
  });
  if (folder && !folder.isDirectory()) throw diskFailure(`cannot use the backup folder ${path}`, { code: "ENOTDIR" });
  refuseUnsafe(path);
  const files = folder ? await survey(path).catch(() => []) : [];
  for (const { name, distrust: why } of files)
    if (why && parseBackupName(name)) scriptLog().warn(`ignored, since ${why.cause}; to use it, ${why.hint}`);
}

function refuseUnsafe(path: string): void {
  const why = distrust(path);
  if (why)
    throw new Failure(`the backup folder ${path} is not safe: ${why.cause} and plant a backup there`, {
      hints: [
        `${why.hint}; or set BACKUP_DIR to a folder that only this user can write to (restore FILE takes a backup from anywhere)`,
      ],
    });
}

/**
 * Whether the folder can be used, or could be made: changes nothing. Returns the folder that decides, which is the nearest
 * one above when it is not there. Throws `Failure`.
 */
export async function lookAtFolder(path: string): Promise<{ exists: boolean; nearest: string }> {
  let nearest = path;
  while (nearest !== dirname(nearest) && !(await isThere(nearest))) nearest = dirname(nearest);
  const exists = nearest === path;
  await checkFolder(path);
  try {
    // a file in the middle of the path is found by looking into it
    await access(`${nearest}/.`, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    const what = exists ? "cannot write to" : `cannot create in ${nearest}`;
    throw diskFailure(`${what} the backup folder ${path}`, error);
  }
  return { exists, nearest };
}

/** A link that leads nowhere is there; what cannot be looked at is there too, and its use fails. */
const isThere = (path: string): Promise<boolean> =>
  lstat(path).then(
    () => true,
    (error: unknown) => !["ENOENT", "ENOTDIR"].includes(codeOf(error) ?? ""),
  );

/** Whether the folder is there and can be read but not written to. */
export async function isReadOnly(path: string): Promise<boolean> {
  const allows = (mode: number) =>
    access(path, mode).then(
      () => true,
      () => false,
    );
  return (await allows(constants.R_OK | constants.X_OK)) && !(await allows(constants.W_OK));
}

/** Backups in a folder, which need not exist. */
export const inFolder = (dir: string): Place => ({
  where: dir,
  shared: false,
  locate: (name) => join(dir, name),
  list: async (database) => (await survey(dir, namePrefix(database))).filter((file) => !file.distrust),
  load: (name) => readSmall(join(dir, name)),
  read: (name) => readPlain(join(dir, name)),
  create: (name) => createFile(dir, name),
  async put(name, content) {
    try {
      replaceFile(join(dir, name), content, 0o600);
    } catch (error) {
      throw diskFailure(`cannot write ${join(dir, name)}`, error);
    }
  },
  remove: (name) => removeFile(join(dir, name)),
  clockAhead: () => 0,
  elsewhere: () => Promise.resolve([]),
  sweep: (database) => sweepPartials(dir, database),
});

/** A file of BACKUP_DIR, and why it cannot be trusted. */
interface Surveyed extends StoredFile {
  distrust?: Distrust | undefined;
}

/**
 * The files of the folder whose names begin so, and which backups another user could have planted: there a backup and its manifest are
 * judged as one.
 */
export async function survey(dir: string, prefix = ""): Promise<Surveyed[]> {
  const all = await readdir(dir).catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") return [];
    throw diskFailure(`cannot list the backup folder ${dir}`, error);
  });
  const names = all.filter((name) => name.startsWith(prefix));
  const folder = look(`${dir}/.`);
  const found: Surveyed[] = [];
  const reasons = new Map<string, Distrust>();
  for (const [at, name] of names.entries()) {
    if (at % filesAtOnce === 0) await setImmediate();
    const path = join(dir, name);
    const file = look(path);
    if (!file?.isFile()) continue;
    found.push({ name, bytes: file.size });
    const why = folder && distrustFile(path, file, folder);
    if (why) reasons.set(backupNameOf(name), why);
  }
  if (reasons.size === 0) return found;
  return found.map((file) => ({ ...file, distrust: reasons.get(backupNameOf(file.name)) }));
}

/** After so many files other work gets its turn: one takes 3 µs on a local disk, and up to 1 ms on a network disk. */
const filesAtOnce = 100;

/** Undefined when it has vanished meanwhile (retention of another run). */
function look(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw readFailure(path, error);
  }
}

/**
 * Removes what an earlier run of this database left when it died (`kill -9`, power): partial files, and manifests
 * whose file never came.
 */
async function sweepPartials(dir: string, database: string): Promise<void> {
  const names = new Set(await readdir(dir));
  const stale = [...names].filter((name) => backupOfPartial(name)?.database === database);
  const orphans = stale
    .map((name) => name.slice(1, -".partial".length))
    .filter((file) => !names.has(file) && names.has(manifestName(file)))
    .map(manifestName);
  // Manifests first: should this be cut short, the partial file that leads to its manifest is still there.
  for (const name of [...orphans, ...stale]) await removeFile(join(dir, name));
}

const backupOfPartial = (name: string) =>
  parseBackupName(/^\.(.+?)(?:(?:\.proof)?\.json)?\.partial$/.exec(name)?.[1] ?? "");

/** Deletes a file; one that is gone already is fine. Throws `Failure`. */
async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw diskFailure(`cannot delete ${path}`, error);
  }
}
