/** Files in the making: hidden until they are complete, or they leave nothing. */
import { closeSync, constants, fsyncSync, lstatSync, openSync, renameSync, rmSync } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { codeOf, Failure } from "../base/errors.ts";
import { diskFailure } from "../base/disk.ts";
import { atExit } from "../base/cleanup.ts";
import { manifestName, partialName } from "../archive/name.ts";
import type { Sink } from "./place.ts";

/** Bytes, on all usual file systems. */
const longestName = 255;

/** Starts the file `.<name>.partial` (0600); undefined when the name is taken. Throws `Failure`. */
export async function createFile(dir: string, name: string): Promise<Sink | undefined> {
  try {
    // its longest name would fail only at the end
    if (partialName(manifestName(name)).length > longestName) throw { code: "ENAMETOOLONG" };
    const finals = [name, manifestName(name)].map((final) => join(dir, final));
    if (finals.some((path) => lstatSync(path, { throwIfNoEntry: false }))) return undefined;
    return sinkInto(dir, name, await openNew(join(dir, partialName(name))), join(dir, name));
  } catch (error) {
    if (codeOf(error) === "EEXIST") return undefined;
    throw diskFailure(`cannot create a backup file in ${dir}`, error);
  }
}

/**
 * A copy from S3 that lies in BACKUP_DIR while it is restored: writes `bytes` to `.<name>.partial` (0600) and returns its path. It
 * is removed when it is disposed of, when the process is stopped, and, should it be killed, with the next backup. Throws `Failure`.
 */
export async function spool(
  dir: string,
  name: string,
  bytes: AsyncIterable<Uint8Array>,
): Promise<AsyncDisposable & { path: string }> {
  const path = join(dir, partialName(name));
  remove(path); // of a run that was killed
  const handle = await openNew(path).catch((error: unknown) => {
    throw diskFailure(`cannot write ${path}`, error);
  });
  const file = sinkInto(dir, name, handle, path);
  try {
    for await (const block of bytes) await file.write(block);
    return { path, [Symbol.asyncDispose]: () => file.discard() };
  } catch (error) {
    await file.discard();
    throw error;
  }
}

const openNew = (path: string): Promise<FileHandle> =>
  open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);

/** `shown` is how messages call the file. */
function sinkInto(dir: string, name: string, handle: FileHandle, shown: string): Sink {
  const hidden = [manifestName(name), name].map((final) => join(dir, partialName(final)));
  /** What is removed when it is discarded; never a file that somebody else put under its final name. */
  const traces = new Set(hidden);
  let done = false;
  const close = () => handle.close().catch(() => {}); // what it had to say no longer matters
  const discardSync = () => {
    if (done) return;
    done = true;
    for (const trace of traces) remove(trace);
    void close(); // Bun throws when an open handle is garbage
  };
  const forget = atExit(discardSync);
  const discard = async () => {
    forget();
    discardSync();
    await close();
  };
  const requireKept = () => {
    if (done) throw new Failure(`cannot finish ${shown}: it was discarded`);
  };
  return {
    discard,
    async write(block) {
      try {
        await writeAll(handle, block);
      } catch (error) {
        throw diskFailure(`cannot write ${shown}`, error);
      }
    },
    async commit(manifest) {
      try {
        requireKept();
        await handle.sync();
        await handle.close();
        await writeNew(join(dir, partialName(manifestName(name))), manifest);
        requireKept();
        // In one go, so that a signal finds either all of it or nothing; the manifest first, for the file is a backup only with it.
        for (const final of [manifestName(name), name]) {
          renameSync(join(dir, partialName(final)), join(dir, final));
          traces.add(join(dir, final));
        }
        flushFolder(dir);
        done = true;
        forget();
      } catch (error) {
        await discard();
        throw diskFailure(`cannot finish ${shown}`, error);
      }
    },
  };
}

/** `write` may take less than it was given (a disk that is almost full, a signal). */
async function writeAll(handle: FileHandle, block: Uint8Array): Promise<void> {
  for (let rest = block; rest.byteLength > 0;)
    rest = rest.subarray((await handle.write(rest, 0, rest.byteLength)).bytesWritten);
}

async function writeNew(path: string, text: string): Promise<void> {
  await using handle = await openNew(path);
  await writeAll(handle, Buffer.from(text));
  await handle.sync();
}

/** Whatever is in the way of that (a disk beyond help), the next run sweeps it. */
function remove(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {}
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
