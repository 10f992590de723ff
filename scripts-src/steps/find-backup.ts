/** Finds the backup that is to be restored: the one that is named, or the newest of this server. */
import { join } from "node:path";
import { ownerOf } from "../archive/identity.ts";
import type { Manifest } from "../archive/manifest.ts";
import { exitStatus, Failure } from "../base/errors.ts";
import { inBucket } from "../places/bucket.ts";
import { chooseFile, chooseNamed, chooseNewest, originText } from "../places/choose.ts";
import { inFolder } from "../places/folder.ts";
import type { Place, Stored } from "../places/place.ts";
import type { Job } from "../run/script.ts";
import { openStorage } from "../storage/open.ts";
import { backupFolder } from "./backup-folder.ts";
import type { Target } from "./dry-run-checks.ts";
import { identityOf, identityWithoutServer } from "./identity.ts";
import type { RestoreOptions } from "./options.ts";

/** A name or path, or the newest of those that were made before a time. */
type Choice = Pick<RestoreOptions, "file" | "before"> & { unproved?: boolean };

/** Path of the backup in `folder` (or anywhere, when a path is named). Throws a `Failure` with status 4 when there is none. */
export async function findLocal(job: Job, target: Target, folder: string, { file, ...which }: Choice): Promise<string> {
  if (file !== undefined) return chooseFile(folder, file);
  return join(folder, (await chooseNewest(inFolder(folder), { ...(await wantedBy(job, target)), ...which })).name);
}

/** The backup in S3; `file` is a name in S3_PATH or a location in the bucket. Throws a `Failure` with status 4 when there is none. */
export async function findRemote(
  job: Job,
  target: Target,
  { file, ...which }: Choice,
): Promise<{ place: Place; backup: Stored }> {
  const { settings } = job;
  const { bucket = settings.S3_BUCKET, path = settings.S3_PATH, name } = file === undefined ? {} : partsOf(file);
  if (bucket !== settings.S3_BUCKET)
    throw new Failure(`${file} lies in another bucket than S3_BUCKET (${settings.S3_BUCKET})`, {
      status: exitStatus.noSuchBackup,
      hints: [`set S3_BUCKET=${bucket}, and the keys that can read it`],
    });
  const place = inBucket(await openStorage({ ...settings, S3_PATH: path }, job));
  const backup =
    name === undefined
      ? await chooseNewest(place, { ...(await wantedBy(job, target)), ...which })
      : await chooseNamed(place, name);
  return { place, backup };
}

/** A location (`s3://bucket/path/name`) or a plain name, taken apart. */
function partsOf(file: string): { bucket?: string; path?: string; name: string } {
  const [, bucket, path, name] = /^s3:\/\/([^/]+)\/(?:(.+)\/)?([^/]+)$/.exec(file) ?? [];
  return bucket === undefined || name === undefined ? { name: file } : { bucket, path: path ?? "", name };
}

/** Without a login (it failed, or the backup is proved on another server), the local manifests say who we are. */
async function wantedBy(job: Job, { database, connected }: Target) {
  const { settings, log } = job;
  return {
    database: database.name,
    present: connected
      ? identityOf(settings, connected)
      : await identityWithoutServer(settings, inFolder(backupFolder(job)), database.name),
    isNew: async () => connected !== undefined && (await connected.target()).empty,
    keys: settings.MANIFEST_KEY,
    log,
  };
}

/** Says when the backup is another server's: a warning when somebody named it; only a new machine takes one by itself. */
export function tellOwner(
  { settings, log, options }: Job<Pick<RestoreOptions, "file">>,
  { connected }: Target,
  name: string,
  manifest?: Manifest,
): void {
  if (!manifest?.identity || !connected) return;
  if (ownerOf(manifest.identity, identityOf(settings, connected)) !== "other") return;
  const text = `${name} is a backup of ${originText(manifest.identity)}`;
  if (options.file !== undefined) log.warn(text);
  else log.info(`${text}; this server is new`);
}
