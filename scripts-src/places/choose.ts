/** Which backup a restore means. */
import { access } from "node:fs/promises";
import { join, resolve } from "node:path";
import { exitStatus, Failure } from "../base/errors.ts";
import { scriptLog } from "../base/log.ts";
import { distrust } from "../base/trust.ts";
import { inFolder } from "./folder.ts";
import { findBackups, listBackups, newestGood, type StoredFile } from "./place.ts";

const listHint = (folder: string) => `ls ${folder} shows what is there; restore --from-s3 takes one from S3`;

/**
 * Path of the backup to restore: without `wanted`, the newest of `database` in `folder`; a plain name is looked for in
 * `folder` first, then, like every path, from the present folder. Throws a `Failure` with status 4 when there is none.
 */
export async function chooseBackup(folder: string, database: string, wanted?: string): Promise<string> {
  if (wanted === undefined) {
    const newest = (await listBackups(inFolder(folder), database)).at(-1);
    if (newest) return join(folder, newest.name);
    throw new Failure(`no backups of ${database} are available in ${folder}`, {
      status: exitStatus.noSuchBackup,
      hints: ["take one with backup, name a file to restore, or use restore --from-s3"],
    });
  }
  const places = wanted.includes("/") ? [resolve(wanted)] : [join(folder, wanted), resolve(wanted)];
  for (const path of places)
    if (await exists(path)) {
      const why = distrust(path);
      if (why) scriptLog().warn(`${path} is restored because it was named, though ${why.cause}`);
      return path;
    }
  throw new Failure(`backup file not found: ${places.join(", and no ")}`, {
    status: exitStatus.noSuchBackup,
    hints: [listHint(folder)],
  });
}

/**
 * The same among the objects in S3. The newest is one that has its manifest, for others may never have been finished; one
 * that is named (or given as a location, `where` and its name) need not: `sync` sends files that never had one.
 */
export function chooseRemote<T extends StoredFile>(
  objects: readonly T[],
  database: string,
  wanted: string | undefined,
  where: string,
): T & { committed: boolean } {
  const name = wanted?.startsWith(where) ? wanted.slice(where.length) : wanted;
  const backups = findBackups(objects);
  const found =
    name === undefined
      ? newestGood(backups.filter(({ backup }) => backup.database === database))
      : backups.find((object) => object.name === name);
  if (found) return found;
  throw new Failure(
    name === undefined ? `no backups of ${database} are available in ${where}` : `no backup ${name} in ${where}`,
    {
      status: exitStatus.noSuchBackup,
      hints: ["check S3_BUCKET and S3_PATH; backup --upload and sync put backups there"],
    },
  );
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
