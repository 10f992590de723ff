/** BACKUP_DIR: made, guarded, listed, swept. */
import { access, constants, lstat, mkdir, open, readdir, stat, statfs, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { codeOf, Failure } from "../base/errors.ts";
import { diskFailure } from "../base/disk.ts";
import { readManifest } from "../archive/manifest.ts";
import { manifestName, parseBackupName } from "../archive/name.ts";
import { createFile } from "./file.ts";
import type { Place, StoredFile } from "./place.ts";

/**
 * Creates the folder where needed (new folders are 0700) and makes sure that it can be written to and is safe. Throws
 * `Failure`.
 */
export async function prepareFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw diskFailure(`cannot create the backup folder ${path}`, error);
  }
  await checkFolder(path);
  try {
    await access(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw diskFailure(`cannot write to the backup folder ${path}`, error);
  }
}

/**
 * Refuses a folder where strangers could plant a backup to be restored: one that everybody may write to, or that is
 * reached by a symbolic link of somebody else. A folder that does not exist is nobody's trap. Throws `Failure`.
 */
export async function checkFolder(path: string): Promise<void> {
  const failed = (error: unknown) => diskFailure(`cannot use the backup folder ${path}`, error);
  const link = await lstat(path).catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") return undefined;
    throw failed(error);
  });
  if (!link) return;
  if (link.isSymbolicLink() && link.uid !== 0 && link.uid !== process.geteuid?.())
    throw new Failure(`the backup folder ${path} is a symbolic link that belongs to another user`, {
      hints: ["set BACKUP_DIR to the real folder"],
    });
  const folder = await stat(path).catch((error: unknown) => {
    throw failed(error);
  });
  if (!folder.isDirectory()) throw failed({ code: "ENOTDIR" });
  if (folder.mode & 0o002)
    throw new Failure(`the backup folder ${path} may be written by everybody: anyone could plant a backup`, {
      hints: [`chmod o-w ${path}, or set BACKUP_DIR to a folder below it, which will be created`],
    });
}

/**
 * Whether the folder can be used, or could be made: changes nothing. Returns the folder that decides, which is the nearest
 * one above when it is not there. Throws `Failure`.
 */
export async function lookAtFolder(path: string): Promise<{ exists: boolean; nearest: string }> {
  const nearest = await nearestThere(path);
  const exists = nearest === path;
  if (exists) await checkFolder(path);
  try {
    // a file in the middle of the path is found by looking into it
    await access(`${nearest}/.`, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    const what = exists ? "cannot write to" : `${nearest} does not let us create`;
    throw diskFailure(`${what} the backup folder ${path}`, error);
  }
  return { exists, nearest };
}

async function nearestThere(path: string): Promise<string> {
  for (let place = path; ; place = dirname(place)) {
    const found = await lstat(place).catch((error: unknown) => {
      if (codeOf(error) === "ENOENT" || codeOf(error) === "ENOTDIR") return undefined;
      throw diskFailure(`cannot use the backup folder ${path}`, error);
    });
    if (found || place === dirname(place)) return place;
  }
}

/** Whether the folder is there and can be read but not written to. */
export async function isReadOnly(path: string): Promise<boolean> {
  const may = (mode: number) =>
    access(path, mode).then(
      () => true,
      () => false,
    );
  return (await may(constants.R_OK | constants.X_OK)) && !(await may(constants.W_OK));
}

/** Backups in a folder, which need not exist. */
export const inFolder = (dir: string): Place => ({
  where: dir,
  locate: (name) => join(dir, name),
  list: () => listFiles(dir),
  manifest: (name, keys) => readManifest(join(dir, manifestName(name)), keys),
  read: (name) => readFile(join(dir, name)),
  create: (name) => createFile(dir, name),
  remove: (name) => removeFile(join(dir, name)),
  sweep: (database) => sweepPartials(dir, database),
});

async function listFiles(dir: string): Promise<StoredFile[]> {
  const entries = await readdir(dir, { withFileTypes: true }).catch((error: unknown) => {
    if (codeOf(error) === "ENOENT") return [];
    throw diskFailure(`cannot list the backup folder ${dir}`, error);
  });
  const files = entries
    .filter((entry) => entry.isFile())
    .map(async ({ name }) => {
      const bytes = await sizeOf(join(dir, name));
      return bytes === undefined ? [] : [{ name, bytes }];
    });
  return (await Promise.all(files)).flat();
}

async function* readFile(path: string): AsyncGenerator<Uint8Array> {
  try {
    // a pipe in its place is not waited for
    await using handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    if (!(await handle.stat()).isFile()) throw new Failure(`cannot read ${path}: it is not a plain file`);
    yield* handle.createReadStream({ autoClose: false });
  } catch (error) {
    throw diskFailure(`cannot read ${path}`, error);
  }
}

/** Undefined when it has vanished meanwhile (retention of another run). */
async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw diskFailure(`cannot read ${path}`, error);
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
    .map((name) => ({ file: name.slice(1, -".partial".length) }))
    .filter(({ file }) => !names.has(file) && names.has(manifestName(file)))
    .map(({ file }) => manifestName(file));
  // Manifests first: should this be cut short, the partial file that leads to its manifest is still there.
  for (const name of [...orphans, ...stale]) await removeFile(join(dir, name));
}

const backupOfPartial = (name: string) => parseBackupName(/^\.(.+?)(?:\.json)?\.partial$/.exec(name)?.[1] ?? "");

/** Deletes a file; one that is gone already is fine. Throws `Failure`. */
export async function removeFile(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw diskFailure(`cannot delete ${path}`, error);
  }
}

/** Bytes that we may still write to the folder's disk. */
export async function freeBytes(dir: string): Promise<number> {
  try {
    const disk = await statfs(dir);
    return disk.bavail * disk.bsize;
  } catch (error) {
    throw diskFailure(`cannot ask for the free space of ${dir}`, error);
  }
}
