/** Backups in a bucket. */
import { receiveManifest } from "../archive/manifest.ts";
import { manifestName, namePrefix, parseBackupName } from "../archive/name.ts";
import { Failure } from "../base/errors.ts";
import { statusOf } from "../storage/explain.ts";
import type { Storage } from "../storage/storage.ts";
import type { Place, Sink } from "./place.ts";

/** Age (ms) from which an unfinished upload counts as left by a run that died. */
const staleAge = 86_400_000;

export const inBucket = (storage: Storage): Place => ({
  where: storage.location(""),
  locate: storage.location,
  list: (database) => Array.fromAsync(storage.list(database === undefined ? undefined : namePrefix(database))),
  async manifest(name, keys) {
    const manifest = manifestName(name);
    try {
      return await receiveManifest(storage.get(manifest), storage.location(manifest), keys);
    } catch (error) {
      if (error instanceof Failure && statusOf(error.cause) === 404) return undefined;
      throw error;
    }
  },
  read: (name) => storage.get(name),
  create: (name, expectedBytes) => Promise.resolve(createObject(storage, name, expectedBytes)),
  remove: (name) => storage.delete(name),
  // the parts of an upload that nobody finished are billed for ever
  async sweep(database) {
    await storage.sweepStaleUploads(staleAge, (name) => parseBackupName(name)?.database === database);
  },
});

/**
 * The object appears when its upload completes; its manifest follows and commits it. An object without its manifest is removed
 * again: no restore would choose it, and no retention would ever delete it.
 */
function createObject(storage: Storage, name: string, expectedBytes: number): Sink {
  const upload = storage.upload(name, { expectedBytes, ifAbsent: true });
  let committed = false;
  return {
    write: (block) => upload.write(block),
    async commit(manifest) {
      await upload.complete();
      await storage.put(manifestName(name), Buffer.from(manifest));
      committed = true;
    },
    async discard() {
      if (!committed) await upload.abort();
    },
  };
}
