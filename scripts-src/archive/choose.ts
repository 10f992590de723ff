/** Which backup a restore means. */
import { access } from "node:fs/promises";
import { join, resolve } from "node:path";
import { exitStatus, Failure } from "../shared/errors.ts";
import { listBackups } from "./folder.ts";

const listHint = (folder: string) => `ls ${folder} shows what is there; restore --from-s3 takes one from S3`;

/**
 * Path of the backup to restore: without `wanted`, the newest of `database` in `folder`; a plain name is looked for in
 * `folder` first, then, like every path, from the present folder. Throws a `Failure` with status 4 when there is none.
 */
export async function chooseBackup(folder: string, database: string, wanted?: string): Promise<string> {
  if (wanted === undefined) {
    const newest = (await listBackups(folder, database)).at(-1);
    if (newest) return newest.path;
    throw new Failure(`no backups of ${database} are available in ${folder}`, {
      status: exitStatus.noSuchBackup,
      hints: ["take one with backup, name a file to restore, or use restore --from-s3"],
    });
  }
  const places = wanted.includes("/") ? [resolve(wanted)] : [join(folder, wanted), resolve(wanted)];
  for (const path of places) if (await exists(path)) return path;
  throw new Failure(`backup file not found: ${places.join(", and no ")}`, {
    status: exitStatus.noSuchBackup,
    hints: [listHint(folder)],
  });
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
