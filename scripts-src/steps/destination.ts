/** Where a backup is written while it is made: a folder, a bucket, or both in one pass. */
import { formatManifest, type ManifestFacts } from "../archive/manifest.ts";
import { freeName, type Place, type Sink } from "../places/place.ts";
import type { Connected } from "../database/database.ts";
import { hintsOf } from "../base/disk.ts";
import { Failure, messageOf } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import type { Facts } from "../notify/outcome.ts";
import type { Job } from "../run/script.ts";

/** Shows nothing until `commit`, and leaves nothing after `discard`. */
interface Destination extends Pick<Sink, "write" | "discard"> {
  name: string;
  commit(manifest: ManifestFacts): Promise<void>;
  /** After `commit`: why the backup is not in S3 although the local file is in place. */
  uploadFailure?(): Failure | undefined;
  /** Where the backup lies after `commit`. */
  places: Pick<Facts, "localPath" | "remoteLocation">;
}

interface Wanted {
  job: Job;
  database: Connected;
  /** Absent: the backup is not kept on this machine. */
  local: Place | undefined;
  /** Absent: the backup stays on this machine. */
  remote: Place | undefined;
  /** Names that are in use in these places. */
  taken: ReadonlySet<string>;
  /** Why S3 cannot be used; only where backups are kept locally. */
  trouble?: unknown;
  startedAt: Date;
}

/** Opens what the settings ask for, under a name that is free in every place. Throws `Failure`. */
export async function openDestination(wanted: Wanted): Promise<Destination> {
  const { job, database, local, remote, taken, trouble, startedAt } = wanted;
  const { BACKUP_COMPRESSION: compression, AGE_RECIPIENTS, MANIFEST_KEY: keys } = job.settings;
  const backup = { database: database.name, compression, encrypted: AGE_RECIPIENTS !== undefined, time: startedAt };
  // SQL can be twice the size of the tables, and data that cannot be compressed is then about their size again; a guess too high only costs speed
  const expected = database.server.dataBytes * (compression === "none" ? 2 : 1.2);
  const used = new Set(taken);
  for (;;) {
    const name = freeName(backup, used);
    const file = await local?.create(name, expected);
    const copy = local && !file ? undefined : await remote?.create(name, expected);
    const places = {
      ...(file && { localPath: local?.locate(name) }),
      ...(copy && { remoteLocation: remote?.locate(name) }),
    };
    const sink = file && copy ? both(file, copy, local?.locate(name) ?? name, job.log, trouble) : (file ?? copy);
    if (sink) return { ...sink, name, places, commit: async (manifest) => sink.commit(formatManifest(manifest, keys)) };
    used.add(name);
  }
}

/**
 * Both at once. The local file comes first: when the upload fails, or S3 was in `trouble` before, the backup continues
 * without it, and `uploadFailure` says so.
 */
function both(
  local: Sink,
  remote: Sink,
  localPath: string,
  log: Logger,
  trouble?: unknown,
): Sink & Pick<Destination, "uploadFailure"> {
  const tryRemote = async (act: () => Promise<unknown>): Promise<void> => {
    if (trouble !== undefined) return;
    try {
      await act();
    } catch (error) {
      trouble = error;
      log.error(`the upload failed, the backup continues locally: ${messageOf(error)}`);
      await remote.discard();
    }
  };
  return {
    async write(block) {
      await Promise.all([local.write(block), tryRemote(() => remote.write(block))]);
    },
    async commit(manifest) {
      await local.commit(manifest);
      await tryRemote(() => remote.commit(manifest));
    },
    uploadFailure: () => (trouble === undefined ? undefined : notInS3(localPath, trouble)),
    async discard() {
      await Promise.all([local.discard(), remote.discard()]);
    },
  };
}

const notInS3 = (path: string, error: unknown) =>
  new Failure(`the backup is good and lies in ${path}, but it is not in S3: ${messageOf(error)}`, {
    hints: [...hintsOf(error), "sync sends it once the cause is fixed; there is no need for another backup"],
    cause: error,
  });
