/** Reads a backup file: its SQL, decrypted and checked on the way. */
import type { FileHandle } from "node:fs/promises";
import { ReadableStream } from "node:stream/web";
import { basename } from "node:path";
import { readFailure } from "../base/disk.ts";
import { codeOf, damaged, Failure, messageOf } from "../base/errors.ts";
import { quote } from "../base/process.ts";
import { ageMagic, armorStart, decrypt, identitiesFor } from "./age.ts";
import { type Block, headFirst, remembered, startTally, type Tally, watched } from "./blocks.ts";
import type { Keys } from "./keys.ts";
import { isSigned, type Manifest, readManifest, requireSigned, sizeFault } from "./manifest.ts";
import { type Compression, manifestName } from "./name.ts";
import { openPlain, readBlocks } from "./plain-file.ts";
import { foreignBytes, refuseForeign, refusePlain } from "../base/foreign-files.ts";

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
  /** Whether the file has the checksum of its manifest. Throws `Failure` when it cannot be read. */
  isUnchanged(onRead: (bytes: number) => void): Promise<boolean>;
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
  const tallied = (tally: ReturnType<typeof startTally>, onRead: (bytes: number) => void, into?: Buffer) =>
    watched(readBlocks(handle, path, into), (block) => {
      tally.add(block);
      onRead(block.byteLength);
    });
  async function isUnchanged(onRead: (bytes: number) => void) {
    const tally = startTally();
    // nobody holds the blocks, so one large buffer is enough: twice as fast as new small ones
    for await (const _ of tallied(tally, onRead, Buffer.allocUnsafe(1 << 20)));
    return tally.result().sha256 === manifest?.sha256;
  }
  async function* read(onRead: (bytes: number) => void) {
    const tally = startTally();
    const file = tallied(tally, onRead);
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
    isUnchanged,
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

const magics: readonly (readonly [start: RegExp, kind: Compression])[] = [
  [/^1f8b/, "gzip"],
  [/^28b52ffd|^5[0-9a-f]2a4d18/, "zstd"], // a frame, or a skippable frame as pzstd writes it
];

/**
 * The content of a gzip, zstd or plain file, with any number of members or frames. Throws `Failure` when it is cut short,
 * damaged, followed by other bytes, longer than it should be, or not what its name says. A file cut exactly between two
 * members is not noticed here: the dump's completion line and the checksum tell. A `name` that ends in .gz or .zst must hold what it says;
 * more than `uncompressedBytes`, the size by the manifest, is refused before it fills a disk or a database.
 */
export async function* decompress(
  source: AsyncIterable<Uint8Array>,
  { name, uncompressedBytes = Infinity }: { name: string; uncompressedBytes?: number },
): AsyncGenerator<Uint8Array> {
  const input = remembered(source);
  await using file = headFirst(input.blocks, (start) => start.length >= foreignBytes);
  try {
    const head = (await file.next()).value as Uint8Array;
    const compression = compressionOf(head, name);
    async function* complete() {
      yield head;
      yield* file;
    }
    let bytes = 0;
    for await (const block of compression === "none" ? complete() : unpack(complete(), compression)) {
      bytes += block.byteLength;
      if (bytes > uncompressedBytes) throw damaged(name, `it holds more than the ${uncompressedBytes} bytes it should`);
      yield block;
    }
  } catch (error) {
    if (input.broken) throw input.broken.error;
    throw error instanceof Failure ? error : damaged(name, explain(error));
  }
}

function compressionOf(head: Uint8Array, name: string): Compression {
  refuseForeign(head, name);
  const start = Buffer.from(head).toString("hex");
  const [, kind] = magics.find(([magic]) => magic.test(start)) ?? [];
  if (kind) return kind;
  if (!/\.(gz|zst)(\.age)?$/.test(name)) return "none";
  refusePlain(head, name);
  throw damaged(name, head.length === 0 ? "it is empty" : "it is neither gzip nor zstd");
}

function explain(error: unknown): string {
  const message = messageOf(error);
  if (/unexpected end of file/.test(message)) return "it is cut short";
  // for gzip, Bun does not say which of the two it is
  if (message === "inflate failed") return "it was changed, or is followed by bytes that do not belong there";
  if (codeOf(error) === "ERR_TRAILING_JUNK_AFTER_STREAM_END")
    return `it holds bytes that do not belong there (${message})`;
  return message;
}

/**
 * Uses the web stream: Bun's `node:zlib` drops everything behind a zero byte between two gzip members, and accepts a truncated zstd file
 * and trailing bytes as complete. Its gzip unpacks on another core, but that gains nothing when the server keeps all cores busy.
 */
const unpack = (source: AsyncIterable<Uint8Array>, format: "gzip" | "zstd"): AsyncIterable<Uint8Array> =>
  ReadableStream.from(source as AsyncIterable<Block>).pipeThrough(new DecompressionStream(format));
