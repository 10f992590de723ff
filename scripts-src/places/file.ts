/** A backup file in the making: it becomes visible only when it is whole, or it leaves nothing. */
import { closeSync, constants, fsyncSync, openSync, renameSync, unlinkSync } from "node:fs";
import { open, readdir, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { codeOf, Failure } from "../base/errors.ts";
import { diskFailure } from "../base/disk.ts";
import { formatManifest, type ManifestFacts, type ManifestKeys } from "../archive/manifest.ts";
import { formatBackupName, manifestName, partialName, type BackupName, type Compression } from "../archive/name.ts";

export interface BackupFile {
  /** The final name. */
  name: string;
  /** The final path. */
  path: string;
  /** Writes a block; resolves when the system has taken it. Throws `Failure` (disk full, …). */
  write(block: Uint8Array): Promise<void>;
  /** Flushes the file, writes the manifest (signed with `keys`), makes both visible, flushes the folder. On failure nothing is left. */
  commit(manifest: ManifestFacts, keys?: ManifestKeys): Promise<void>;
  /** Removes every trace; does nothing after `commit`. */
  discard(): Promise<void>;
  /** The same at once, for signals and the exit. */
  discardSync: () => void;
}

export interface NewBackup {
  database: string;
  compression: Compression;
  encrypted: boolean;
  time: Date;
  /** Names that are in use elsewhere (in S3). */
  taken?: ReadonlySet<string>;
}

/** Starts a backup file `.<name>.partial` (0600) under the first free name of its second. Throws `Failure`. */
export async function createBackupFile(dir: string, wanted: NewBackup): Promise<BackupFile> {
  try {
    const used = new Set([...(await readdir(dir)), ...(wanted.taken ?? [])]);
    for (;;) {
      const name = freeName(wanted, used);
      // the longest of its names would be missed only at the end
      if (partialName(manifestName(name)).length > longestName) throw { code: "ENAMETOOLONG" };
      const handle = await openNew(join(dir, partialName(name)));
      if (handle) return backupFile(dir, name, handle);
      used.add(name);
    }
  } catch (error) {
    throw diskFailure(`cannot create a backup file in ${dir}`, error);
  }
}

/** The first name of its second that is free under every ending, so that no two files share time and sequence. */
export function freeName(wanted: Omit<BackupName, "sequence">, used: ReadonlySet<string>): string {
  for (let sequence = 1; ; sequence++) {
    const rivals = (["gzip", "zstd", "none"] as const)
      .flatMap((compression) => [true, false].map((encrypted) => ({ ...wanted, sequence, compression, encrypted })))
      .map(formatBackupName)
      .flatMap((name) => [name, manifestName(name), partialName(name)]);
    if (!rivals.some((rival) => used.has(rival))) return formatBackupName({ ...wanted, sequence });
  }
}

/** Bytes, on all usual file systems. */
const longestName = 255;
const newFile = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

async function openNew(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, newFile, 0o600);
  } catch (error) {
    if (codeOf(error) === "EEXIST") return undefined;
    throw error;
  }
}

function backupFile(dir: string, name: string, handle: FileHandle): BackupFile {
  const path = join(dir, name);
  const partial = join(dir, partialName(name));
  const manifestPath = join(dir, manifestName(name));
  const manifestPartial = join(dir, partialName(manifestName(name)));
  let done = false;
  const discardSync = () => {
    if (done) return;
    done = true;
    for (const trace of [manifestPath, path, manifestPartial, partial]) removeSync(trace);
    void closed(); // Bun throws when an open handle is garbage
  };
  const closed = () => handle.close().catch(() => {}); // what it had to say no longer matters
  const discard = async () => {
    discardSync();
    await closed();
  };
  return {
    name,
    path,
    discard,
    discardSync,
    async write(block) {
      try {
        await writeAll(handle, block);
      } catch (error) {
        throw diskFailure(`cannot write ${path}`, error);
      }
    },
    async commit(manifest, keys) {
      if (done) throw new Failure(`cannot finish ${path}: it was given up`);
      try {
        await handle.sync();
        await handle.close();
        await writeNew(manifestPartial, formatManifest(manifest, keys));
        if (done) throw new Failure(`cannot finish ${path}: it was given up`);
        // In one go, so that a signal finds either all of it or nothing.
        renameSync(manifestPartial, manifestPath);
        renameSync(partial, path);
        flushFolder(dir);
        done = true;
      } catch (error) {
        await discard();
        throw diskFailure(`cannot finish ${path}`, error);
      }
    },
  };
}

/** `write` may take less than it was given (a disk that is almost full, a signal). */
export async function writeAll(handle: FileHandle, block: Uint8Array): Promise<void> {
  for (let rest = block; rest.byteLength > 0;)
    rest = rest.subarray((await handle.write(rest, 0, rest.byteLength)).bytesWritten);
}

async function writeNew(path: string, text: string): Promise<void> {
  const handle = await open(path, newFile, 0o600);
  try {
    await writeAll(handle, Buffer.from(text));
    await handle.sync();
  } finally {
    await handle.close();
  }
}

export function removeSync(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // not there, or the disk is beyond help: the next run sweeps it
  }
}

/** Makes the new names durable. Some network file systems cannot flush a folder (PostgreSQL ignores the same errors). */
function flushFolder(dir: string): void {
  const folder = openSync(dir, constants.O_RDONLY);
  try {
    fsyncSync(folder);
  } catch (error) {
    if (!["EINVAL", "EBADF", "ENOTSUP"].includes(codeOf(error) ?? "")) throw error;
  } finally {
    closeSync(folder);
  }
}
