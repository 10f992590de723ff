/** Reads a backup file: its SQL, decrypted and checked on the way. */
import type { FileHandle } from "node:fs/promises";
import { basename } from "node:path";
import { readFailure } from "../base/disk.ts";
import { Failure } from "../base/errors.ts";
import { quote } from "../base/process.ts";
import { ageMagic, armorStart, decrypt, identitiesFor } from "./age.ts";
import { startTally, type Tally, watched } from "./blocks.ts";
import { damaged } from "./damaged.ts";
import { decompress } from "./decompress.ts";
import type { Keys } from "./keys.ts";
import { isSigned, type Manifest, readManifest, sizeFault } from "./manifest.ts";
import { manifestName } from "./name.ts";
import { openPlain, readBlocks } from "./plain-file.ts";
import { requireSigned } from "./trust.ts";

export interface OpenBackup extends AsyncDisposable {
  name: string;
  path: string;
  /** Size of the file. */
  bytes: number;
  /** Absent for a file made elsewhere. */
  manifest: Manifest | undefined;
  /** It is what was signed with MANIFEST_KEY: nobody else has made or changed it. */
  signed: boolean;
  encrypted: boolean;
  /**
   * The SQL from its beginning; may be read several times. Ends normally only when the file is what its manifest says
   * (or, without one, the same as at the first reading) and the compression is sound to the last byte; throws `Failure`.
   */
  sql(onRead?: (bytes: number) => void): AsyncIterable<Uint8Array>;
}

interface Opening {
  keys: Keys;
  /** The file is a copy from elsewhere: its name there, and the manifest that was read there with the same keys. */
  origin?: { name: string; manifest: Manifest | undefined };
  /** It is opened although MANIFEST_KEY is set and it is not signed with it. */
  unsigned?: boolean;
}

/**
 * Opens a backup file for reading; it stays the same file even when it is replaced meanwhile. Its manifest lies beside
 * it, unless `origin` brings it. Throws `Failure`, also when it is not signed or cannot be decrypted with the keys.
 */
export async function openBackup(path: string, { keys, origin, unsigned }: Opening): Promise<OpenBackup> {
  const manifest = origin ? origin.manifest : await readManifest(manifestName(path), keys.manifestKeys);
  const name = origin?.name ?? basename(path);
  if (!unsigned) requireSigned(name, manifest, keys.manifestKeys);
  const handle = await openPlain(path);
  try {
    return { name, path, manifest, signed: isSigned(manifest), ...(await openContent(handle, path, manifest, keys)) };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function openContent(handle: FileHandle, path: string, manifest: Manifest | undefined, keys: Keys) {
  const { size } = await handle.stat();
  let known: Tally | undefined = manifest;
  const fault = sizeFault(path, size, manifest);
  if (fault) throw fault;
  const identities = (await isEncrypted(handle, path)) ? await identitiesFor(path, manifest, keys) : undefined;
  async function* read(onRead: (bytes: number) => void) {
    const tally = startTally();
    const file = watched(readBlocks(handle, path), (block) => {
      tally.add(block);
      onRead(block.byteLength);
    });
    const packed = identities ? decrypt(file, path, identities, manifest) : file;
    yield* decompress(packed, { name: path, uncompressedBytes: manifest?.uncompressedBytes });
    const { bytes, sha256 } = tally.result();
    if (known && known.sha256 !== sha256) {
      throw damaged(path, manifest ? "its checksum (sha256) is not the one in its manifest" : "it changed meanwhile");
    }
    known ??= { bytes, sha256 };
  }
  return {
    bytes: size,
    encrypted: identities !== undefined,
    sql: (onRead: (bytes: number) => void = () => {}) => ({ [Symbol.asyncIterator]: () => read(onRead) }),
    [Symbol.asyncDispose]: () => handle.close(),
  };
}

/** By its first bytes, not its name. */
async function isEncrypted(handle: FileHandle, path: string): Promise<boolean> {
  const { bytesRead, buffer } = await handle.read(Buffer.alloc(64), 0, 64, 0).catch((error: unknown) => {
    throw readFailure(path, error);
  });
  const start = buffer.toString("latin1", 0, bytesRead);
  if (start.startsWith(armorStart))
    throw new Failure(`${path} is an encrypted file in age's text form (armor), which this program cannot read`, {
      hints: [`decrypt it first: age -d -i KEYFILE ${quote(path)} > FILE`],
    });
  const isAge = start.startsWith(ageMagic);
  if (!isAge && /\.age(\.partial)?$/.test(path))
    throw damaged(path, "by its name it is encrypted with age, by its content not");
  return isAge;
}
