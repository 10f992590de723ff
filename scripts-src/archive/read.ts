/** Reads a backup file: its SQL, checked on the way. */
import { constants } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { basename } from "node:path";
import { Failure } from "../base/errors.ts";
import { decompress } from "./decompress.ts";
import { diskFailure } from "../base/disk.ts";
import { type Manifest, readManifest } from "./manifest.ts";
import { manifestName } from "./name.ts";
import { startTally, type Tally, watched } from "./tally.ts";

export interface OpenBackup extends AsyncDisposable {
  name: string;
  path: string;
  /** Size of the file. */
  bytes: number;
  /** Absent for a file made elsewhere. */
  manifest: Manifest | undefined;
  /**
   * The SQL from its beginning; may be read several times. Ends normally only when the file is what its manifest says
   * (or, without one, the same as at the first reading) and the compression is sound to the last byte; throws `Failure`.
   */
  sql(onRead?: (bytes: number) => void): AsyncIterable<Uint8Array>;
}

/** Larger ones are hardly faster, and what is garbage for a while takes more memory. */
const chunkBytes = 131_072;

/**
 * Opens a backup file for reading; it stays the same file even when it is replaced meanwhile. Its manifest lies beside
 * it, or is given together with its name when the file is a copy from elsewhere. Throws `Failure`.
 */
export async function openBackup(path: string, origin?: { name: string; manifest: Manifest }): Promise<OpenBackup> {
  const manifest = origin ? origin.manifest : await readManifest(manifestName(path));
  const handle = await openFile(path);
  const { size } = await handle.stat();
  let known: Tally | undefined = manifest;
  if (manifest && manifest.bytes !== size) {
    await handle.close();
    throw damaged(path, `it has ${size} bytes, its manifest says ${manifest.bytes}`);
  }
  async function* sql(onRead: (bytes: number) => void = () => {}) {
    const tally = startTally();
    const file = watched(readBlocks(handle, path), (block) => {
      tally.add(block);
      onRead(block.byteLength);
    });
    yield* decompress(file, { name: path, uncompressedBytes: manifest?.uncompressedBytes });
    const { bytes, sha256 } = tally.result();
    if (known && known.sha256 !== sha256) {
      throw damaged(path, manifest ? "its checksum (sha256) is not the one in its manifest" : "it changed meanwhile");
    }
    known ??= { bytes, sha256 };
  }
  return {
    name: origin?.name ?? basename(path),
    path,
    bytes: size,
    manifest,
    sql,
    [Symbol.asyncDispose]: () => handle.close(),
  };
}

/** A plain file; a pipe in its place is refused, not waited for. */
async function openFile(path: string): Promise<FileHandle> {
  try {
    const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const found = await handle.stat();
    if (found.isFile()) return handle;
    await handle.close();
    if (found.isDirectory()) throw Object.assign(new Error("a folder"), { code: "EISDIR" });
    throw new Failure(`cannot open ${path}: it is not a plain file`, {
      hints: ["a backup is read twice, once to check it: save what comes through a pipe to a file first"],
    });
  } catch (error) {
    throw diskFailure(`cannot open ${path}`, error);
  }
}

async function* readBlocks(handle: FileHandle, path: string): AsyncGenerator<Uint8Array> {
  for (let position = 0; ;) {
    // a buffer of its own for each block: the reader may still hold the last one
    const { bytesRead, buffer } = await handle
      .read(Buffer.allocUnsafe(chunkBytes), 0, chunkBytes, position)
      .catch((error: unknown) => {
        throw diskFailure(`cannot read ${path}`, error);
      });
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

const damaged = (path: string, why: string) =>
  new Failure(`${path} is damaged: ${why}`, { hints: ["nothing was changed; restore another backup"] });
