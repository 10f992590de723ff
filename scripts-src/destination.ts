/**
 * Where a backup goes while it is made: a local file, an object in S3, or both in one pass. Here the rooms archive and
 * storage meet.
 */
import type { BackupFile } from "./archive/file.ts";
import { formatManifest, type ManifestFacts } from "./archive/manifest.ts";
import { manifestName } from "./archive/name.ts";
import { startTally, type Tally } from "./archive/tally.ts";
import { Failure, messageOf } from "./shared/errors.ts";
import type { Logger } from "./shared/log.ts";
import type { Storage } from "./storage/storage.ts";

/** Shows nothing until `commit`, and leaves nothing after `discard`. */
export type Destination = Pick<BackupFile, "name" | "write" | "commit" | "discard">;

/**
 * An object in S3: it appears when the upload completes, within `commit`; its manifest follows and marks it committed.
 * `expectedBytes` is about how long it will be.
 */
export function remoteDestination(storage: Storage, name: string, expectedBytes: number): Destination {
  const upload = storage.upload(name, { expectedBytes, ifAbsent: true });
  const tally = startTally();
  return {
    name,
    discard: () => upload.abort(),
    async write(block) {
      tally.add(block);
      await upload.write(block);
    },
    async commit(describe) {
      const result = tally.result();
      await upload.complete();
      await storage.put(manifestName(name), Buffer.from(formatManifest(describe(result))));
      return result;
    },
  };
}

/**
 * Both at once. The local file comes first: when the upload fails, the backup goes on without it, and only then,
 * with the good file in place, `commit` throws a `Failure` that says so.
 */
export function bothDestinations(local: Destination, remote: Destination, path: string, log: Logger): Destination {
  let trouble: unknown;
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
    async write(block) {
      await Promise.all([local.write(block), tryRemote(() => remote.write(block))]);
    },
    async commit(describe) {
      let facts: ManifestFacts | undefined;
      const once = (tally: Tally) => (facts ??= describe(tally));
      const result = await local.commit(once);
      await tryRemote(() => remote.commit(once));
      if (trouble !== undefined) throw uploadFailure(path, trouble);
      return result;
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
      "sync sends it once the cause is mended; there is no need for another backup",
    ],
    cause: error,
  });
