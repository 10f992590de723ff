/** A backup file in the making: it becomes visible only when it is complete, or it leaves nothing. */
import { closeSync, constants, fsyncSync, openSync, renameSync, unlinkSync } from "node:fs";
import { lstat, open, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { codeOf, Failure } from "../base/errors.ts";
import { diskFailure } from "../base/disk.ts";
import { atExit } from "../base/cleanup.ts";
import { manifestName, partialName } from "../archive/name.ts";
import type { Sink } from "./place.ts";

/** Starts the file `.<name>.partial` (0600); undefined when the name is taken. Throws `Failure`. */
export async function createFile(dir: string, name: string): Promise<Sink | undefined> {
  try {
    // its longest name would fail only at the end
    if (partialName(manifestName(name)).length > longestName) throw { code: "ENAMETOOLONG" };
    for (const final of [name, manifestName(name)]) if (await exists(join(dir, final))) return undefined;
    const handle = await openNew(join(dir, partialName(name)));
    return handle && backupFile(dir, name, handle);
  } catch (error) {
    throw diskFailure(`cannot create a backup file in ${dir}`, error);
  }
}

/** Bytes, on all usual file systems. */
const longestName = 255;
const newFile = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

const exists = (path: string) => lstat(path).then(Boolean, () => false);

async function openNew(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, newFile, 0o600);
  } catch (error) {
    if (codeOf(error) === "EEXIST") return undefined;
    throw error;
  }
}

function backupFile(dir: string, name: string, handle: FileHandle): Sink {
  const path = join(dir, name);
  const partial = join(dir, partialName(name));
  const manifestPath = join(dir, manifestName(name));
  const manifestPartial = join(dir, partialName(manifestName(name)));
  let done = false;
  const closed = () => handle.close().catch(() => {}); // what it had to say no longer matters
  const discardSync = () => {
    if (done) return;
    done = true;
    for (const trace of [manifestPath, path, manifestPartial, partial]) removeSync(trace);
    void closed(); // Bun throws when an open handle is garbage
  };
  const forget = atExit(discardSync);
  const discard = async () => {
    forget();
    discardSync();
    await closed();
  };
  return {
    discard,
    async write(block) {
      try {
        await writeAll(handle, block);
      } catch (error) {
        throw diskFailure(`cannot write ${path}`, error);
      }
    },
    async commit(manifest) {
      if (done) throw new Failure(`cannot finish ${path}: it was discarded`);
      try {
        await handle.sync();
        await handle.close();
        await writeNew(manifestPartial, manifest);
        if (done) throw new Failure(`cannot finish ${path}: it was discarded`);
        // In one go, so that a signal finds either all of it or nothing.
        renameSync(manifestPartial, manifestPath);
        renameSync(partial, path);
        flushFolder(dir);
        done = true;
        forget();
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

/** Writes a small file, complete or not at all. Throws `Failure`. */
export async function replaceFile(dir: string, name: string, content: string): Promise<void> {
  const partial = join(dir, partialName(name));
  const forget = atExit(() => removeSync(partial));
  try {
    removeSync(partial);
    await writeNew(partial, content);
    renameSync(partial, join(dir, name));
    flushFolder(dir);
  } catch (error) {
    removeSync(partial);
    throw diskFailure(`cannot write ${join(dir, name)}`, error);
  } finally {
    forget();
  }
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
