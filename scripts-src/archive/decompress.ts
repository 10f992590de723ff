/** Decompression by what the bytes say, not the name; everything that is not whole is an error. */
import { codeOf, Failure, messageOf } from "../base/errors.ts";
import { foreignBytes, refuseForeign, refusePlain } from "../base/foreign-files.ts";
import { damaged } from "./damaged.ts";
import { headFirst, remembered, streamOf } from "./blocks.ts";
import type { Compression } from "./name.ts";

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
  // of gzip Bun does not tell which
  if (message === "inflate failed") return "it was changed, or is followed by bytes that do not belong there";
  if (codeOf(error) === "ERR_TRAILING_JUNK_AFTER_STREAM_END")
    return `it holds bytes that do not belong there (${message})`;
  return message;
}

/**
 * By the web stream. In Bun `node:zlib` drops everything behind a zero byte between two gzip members, and takes a truncated zstd file and
 * trailing bytes for a complete one. Its gzip unpacks on another core, but where the server has work for all cores that gains nothing.
 */
const unpack = (source: AsyncIterable<Uint8Array>, format: "gzip" | "zstd"): AsyncIterable<Uint8Array> =>
  streamOf(source).pipeThrough(new DecompressionStream(format));
