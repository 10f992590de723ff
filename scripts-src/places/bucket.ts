/** Backups in a bucket. */
import { manifestName, namePrefix, parseBackupName } from "../archive/name.ts";
import { collectSmall } from "../archive/plain-file.ts";
import { counted } from "../base/text.ts";
import { Failure } from "../base/errors.ts";
import { statusOf } from "../storage/explain.ts";
import type { Storage } from "../storage/connect.ts";
import type { Place, Sink } from "./place.ts";

/**
 * Age (ms) from which an unfinished upload counts as left by a run that died. Terabytes take days, and the run that sends them may be
 * another server's, or a backup beside a `sync`.
 */
export const staleAge = 7 * 86_400_000;

export const inBucket = (storage: Storage): Place => ({
  where: storage.location(""),
  shared: true,
  locate: storage.location,
  list: (database) => Array.fromAsync(storage.list(namePrefix(database))),
  async load(name) {
    try {
      return await collectSmall(storage.get(name), storage.location(name));
    } catch (error) {
      if (error instanceof Failure && statusOf(error.cause) === 404) return undefined;
      throw error;
    }
  },
  read: (name, bytes) => storage.get(name, bytes),
  create: (name, expectedBytes) => Promise.resolve(createObject(storage, name, expectedBytes)),
  put: (name, content) => storage.put(name, Buffer.from(content)),
  remove: (name) => storage.delete(name),
  clockAhead: () => storage.clockAhead(),
  elsewhere: (database) => findElsewhere(storage, database),
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

/** Pages (of 1,000 keys) of the bucket that are looked at for backups in other folders. */
const pagesElsewhere = 40;

async function findElsewhere(storage: Storage, database: string | undefined): Promise<string[]> {
  const isMeant = (name: string) => {
    const backup = parseBackupName(name);
    return backup !== undefined && (database === undefined || backup.database === database);
  };
  const counts = new Map<string, number>();
  try {
    for await (const { folder, names } of storage.explore(pagesElsewhere)) {
      const found = names.filter(isMeant).length;
      if (found > 0) counts.set(folder, (counts.get(folder) ?? 0) + found);
    }
  } catch {
    // an access key that can list S3_PATH alone: then it stays unknown
  }
  counts.delete(storage.prefix);
  return [...counts].map(([folder, count]) => {
    const setting = folder === "" ? "leave S3_PATH empty" : `set S3_PATH=${folder.slice(0, -1)}`;
    const what = `${counted(count, "backup")}${database === undefined ? "" : ` of ${database}`}`;
    return `${what} ${count === 1 ? "lies" : "lie"} in ${folder || "the bucket itself"}: ${setting}`;
  });
}
