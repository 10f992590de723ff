/** The local side of sync: backups of BACKUP_DIR with their manifests, and which of them cannot be sent. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { faultOf } from "../archive/manifest.ts";
import { manifestName, proofName } from "../archive/name.ts";
import { counted } from "../base/text.ts";
import { exitStatus, Failure } from "../base/errors.ts";
import type { Distrust } from "../base/trust.ts";
import { checkFolder, survey } from "../places/folder.ts";
import { findBackups } from "../places/place.ts";
import type { Entry, Named } from "../storage/plan.ts";

export type LocalFile = Entry & { named: Named; path: string; distrust?: Distrust | undefined };
/** Names of backups that are not sent, each with what speaks against it. */
export type Unfit = ReadonlyMap<string, Failure>;

/** Throws a `Failure` when there is no such folder, or it cannot be trusted. */
export async function requireFolder(folder: string): Promise<void> {
  await checkFolder(folder);
  if (!existsSync(folder))
    throw new Failure(`there is no backup folder ${folder}`, {
      status: exitStatus.noSuchBackup,
      hints: ["check BACKUP_DIR; backup creates it"],
    });
}

/** The backups of the folder with their manifests and proofs. */
export async function listLocal(folder: string): Promise<LocalFile[]> {
  const all = await survey(folder);
  const sizes = new Map(all.map(({ name, bytes }) => [name, bytes]));
  return findBackups(all).flatMap(({ name, bytes, backup, distrust }) => {
    const named = { backup: name, database: backup.database, time: backup.time };
    const beside = [manifestName(name), proofName(name)].flatMap((file) => {
      const size = sizes.get(file);
      return size === undefined ? [] : [{ name: file, bytes: size, path: join(folder, file), named }];
    });
    return [{ name, bytes, path: join(folder, name), named, distrust }, ...beside];
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

/** Sending those would replace what may be a good copy, or is not allowed. */
export async function findUnfit(folder: string, files: readonly LocalFile[]): Promise<Unfit> {
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

/** Why nothing is deleted. */
export const refusal = (message: string) =>
  new Failure(message, { hints: ["check BACKUP_DIR; set REMOTE_S3_DELETE=false to sync without deleting"] });
