/**
 * Where a backup goes while it is made: a local file, an object in S3, or both in one pass. Here the rooms archive and
 * storage meet.
 */
import { type BackupFile, createBackupFile, freeName } from "../places/file.ts";
import { formatManifest, type ManifestKeys } from "../archive/manifest.ts";
import { manifestName } from "../archive/name.ts";
import type { Connected } from "../database/database.ts";
import { atExit } from "../base/cleanup.ts";
import { Failure, messageOf } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { Facts } from "../notify/outcome.ts";
import type { Job } from "../run/script.ts";
import type { Storage } from "../storage/storage.ts";

/** Shows nothing until `commit`, and leaves nothing after `discard`. */
export interface Destination extends Pick<BackupFile, "name" | "write" | "commit" | "discard"> {
  /** Where the backup lies after `commit`. */
  places: Pick<Facts, "localPath" | "remoteLocation">;
}

interface Wanted {
  job: Job;
  database: Connected;
  /** BACKUP_DIR. */
  folder: string;
  /** Absent: the backup stays on this machine. */
  storage: Storage | undefined;
  /** Names that are in use in S3. */
  taken: ReadonlySet<string>;
  /** Why S3 cannot be used; only where backups are kept locally. */
  trouble?: unknown;
  startedAt: Date;
}

/** Opens what the settings ask for, under a name that is free wherever the backup goes. Throws `Failure`. */
export async function openDestination(wanted: Wanted): Promise<Destination> {
  const { job, database, folder, storage, taken, trouble, startedAt } = wanted;
  const { BACKUP_COMPRESSION: compression, AGE_RECIPIENTS, MANIFEST_KEY: keys } = job.settings;
  const backup = { database: database.name, compression, encrypted: AGE_RECIPIENTS !== undefined, time: startedAt };
  // SQL may be twice the size of the tables, what cannot be compressed is then about theirs again; more only costs speed
  const expected = database.server.dataBytes * (backup.compression === "none" ? 2 : 1.2);
  const remote = (name: string) => storage && remoteDestination(storage, name, expected, keys);
  if (!job.settings.BACKUP_KEEP_LOCAL) {
    const only = remote(freeName(backup, taken));
    if (only) return only;
  }
  const local = localDestination(await createBackupFile(folder, { ...backup, taken }), keys);
  const copy = remote(local.name);
  return copy ? bothDestinations(local, copy, job.log, trouble) : local;
}

function localDestination(file: BackupFile, keys: ManifestKeys): Destination {
  const forget = atExit(file.discardSync);
  return {
    name: file.name,
    places: { localPath: file.path },
    write: (block) => file.write(block),
    commit: (manifest) => file.commit(manifest, keys).finally(forget),
    discard: () => file.discard().finally(forget),
  };
}

/**
 * An object in S3: it appears when the upload completes, within `commit`; its manifest follows and marks it committed. Without
 * its manifest it goes again: no restore would take it and no retention would ever delete it. `expectedBytes` is about how long it will be.
 */
function remoteDestination(storage: Storage, name: string, expectedBytes: number, keys: ManifestKeys): Destination {
  const upload = storage.upload(name, { expectedBytes, ifAbsent: true });
  let committed = false;
  return {
    name,
    places: { remoteLocation: storage.location(name) },
    async discard() {
      if (!committed) await upload.abort();
    },
    write: (block) => upload.write(block),
    async commit(manifest) {
      await upload.complete();
      await storage.put(manifestName(name), Buffer.from(formatManifest(manifest, keys)));
      committed = true;
    },
  };
}

/**
 * Both at once. The local file comes first: when the upload fails, or S3 was in `trouble` before, the backup goes on
 * without it, and only then, with the good file in place, `commit` throws a `Failure` that says so.
 */
function bothDestinations(local: Destination, remote: Destination, log: Logger, trouble?: unknown): Destination {
  const tryRemote = async (act: () => Promise<unknown>): Promise<void> => {
    if (trouble !== undefined) return;
    try {
      await act();
    } catch (error) {
      trouble = error;
      log.error(`the upload failed, the backup goes on locally: ${messageOf(error)}`);
      await remote.discard();
    }
  };
  return {
    name: local.name,
    places: { ...local.places, ...remote.places },
    async write(block) {
      await Promise.all([local.write(block), tryRemote(() => remote.write(block))]);
    },
    async commit(manifest) {
      await local.commit(manifest);
      await tryRemote(() => remote.commit(manifest));
      if (trouble !== undefined) throw uploadFailure(local.places.localPath ?? local.name, trouble);
    },
    async discard() {
      await Promise.all([local.discard(), remote.discard()]);
    },
  };
}

const uploadFailure = (path: string, error: unknown) =>
  new Failure(`the backup is good and lies in ${path}, but it is not in S3: ${messageOf(error)}`, {
    hints: [
      ...(error instanceof Failure ? error.hints : []),
      "sync sends it once the cause is fixed; there is no need for another backup",
    ],
    cause: error,
  });
