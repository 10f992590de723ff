/** The local side of sync: backups of BACKUP_DIR with their manifests, and which of them are damaged. */
import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { damageOf } from "../archive/manifest.ts";
import { manifestName } from "../archive/name.ts";
import { counted } from "../base/text.ts";
import { exitStatus, Failure } from "../base/errors.ts";
import { checkFolder, inFolder } from "../places/folder.ts";
import { listBackups } from "../places/place.ts";
import type { Entry, Named } from "../storage/plan.ts";

export type LocalFile = Entry & { named: Named; path: string };
/** Names of backups that are not sent, each with what speaks against it. */
export type Damaged = ReadonlyMap<string, string>;

/** Throws a `Failure` when there is no such folder, or it cannot be trusted. */
export async function requireFolder(folder: string): Promise<void> {
  await checkFolder(folder);
  if (!existsSync(folder))
    throw new Failure(`there is no backup folder ${folder}`, {
      status: exitStatus.noSuchBackup,
      hints: ["check BACKUP_DIR; backup creates it"],
    });
}

/** The backups of the folder and their manifests. */
export async function listLocal(folder: string): Promise<LocalFile[]> {
  const files = (await listBackups(inFolder(folder))).map(async ({ name, bytes, committed, backup }) => {
    const named = { backup: name, database: backup.database, time: backup.time };
    const path = join(folder, name);
    const manifest = manifestName(path);
    return [
      { name, bytes, path, named },
      ...(committed ? [{ name: manifestName(name), bytes: (await stat(manifest)).size, path: manifest, named }] : []),
    ];
  });
  return (await Promise.all(files)).flat();
}

/** What there is to say when nothing was left out; otherwise a `Failure` that says it too. */
export function completeOrFail(text: string, damaged: Damaged): string {
  if (damaged.size === 0) return text;
  const reasons = [...damaged.values()].join("\n");
  throw new Failure(`${counted(damaged.size, "damaged backup")} left out, nothing is deleted:\n${reasons}\n${text}`, {
    hints: [
      "what S3 holds of them stays as it is; remove a damaged file with its manifest, or put a good copy in its place",
    ],
  });
}

/** Sending those would replace what may be a good copy. */
export async function findDamaged(folder: string, files: readonly LocalFile[]): Promise<Damaged> {
  const damaged = new Map<string, string>();
  for (const backup of new Set(files.map(({ named }) => named.backup))) {
    const why = await damageOf(join(folder, backup));
    if (why !== undefined) damaged.set(backup, why);
  }
  return damaged;
}

/** Why nothing is deleted. */
export const refusal = (message: string) =>
  new Failure(message, { hints: ["check BACKUP_DIR; set REMOTE_S3_DELETE=false to sync without deleting"] });
