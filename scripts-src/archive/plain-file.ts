/** Reads files that somebody else may have put there. */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { diskFailure, isPermission, readFailure } from "../base/disk.ts";
import { codeOf, damaged, Failure } from "../base/errors.ts";
import { foreignFolder } from "../base/foreign-files.ts";

/** Opens a plain file; a pipe in its place is refused, not waited for. Throws `Failure`. */
export async function openPlain(path: string): Promise<FileHandle> {
  try {
    const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const found = await handle.stat();
    if (found.isFile()) return handle;
    await handle.close();
    if (found.isDirectory()) throw foreignFolder(path) ?? Object.assign(new Error("a folder"), { code: "EISDIR" });
    throw new Failure(`cannot open ${path}: it is not a plain file`, {
      hints: ["a backup is read twice, once to check it: save what comes through a pipe to a file first"],
    });
  } catch (error) {
    throw isPermission(error) ? readFailure(path, error) : diskFailure(`cannot open ${path}`, error);
  }
}

/** Larger ones are hardly faster, and what is garbage for a while takes more memory. */
const blockBytes = 131_072;

/**
 * The content of an open file, from its beginning. Each block has a buffer of its own, for the reader may still hold the last one; with
 * `into`, all of them have that one. Throws `Failure`.
 */
export async function* readBlocks(handle: FileHandle, path: string, into?: Buffer): AsyncGenerator<Uint8Array> {
  for (let position = 0; ;) {
    const block = into ?? Buffer.allocUnsafe(blockBytes);
    const { bytesRead, buffer } = await handle.read(block, 0, block.length, position).catch((error: unknown) => {
      throw readFailure(path, error);
    });
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** The content of a file. Throws `Failure`. */
export async function* readPlain(path: string): AsyncGenerator<Uint8Array> {
  await using handle = await openPlain(path);
  yield* readBlocks(handle, path);
}

/** Bytes. Most manifests have some thousand, and a line for each table; what is larger is none, and is not read. */
const mostBytes = 1 << 24;

/** A manifest or a proof that comes as bytes; `path` is for messages. Throws a `Failure` as soon as it is too large. */
export async function collectSmall(source: AsyncIterable<Uint8Array>, path: string): Promise<Buffer> {
  const blocks: Uint8Array[] = [];
  let bytes = 0;
  for await (const block of source) {
    bytes += block.byteLength;
    if (bytes > mostBytes)
      throw damaged(path, `it has more than ${mostBytes} bytes`, "restore a healthy copy of it, or move it away");
    blocks.push(block);
  }
  return Buffer.concat(blocks);
}

/** A manifest or a proof in a file; undefined when there is none. Throws `Failure`. */
export async function readSmall(path: string): Promise<Buffer | undefined> {
  try {
    return await collectSmall(readPlain(path), path);
  } catch (error) {
    if (codeOf((error as Failure).cause) === "ENOENT") return undefined;
    throw error;
  }
}
