/** Decompression by what the bytes say, not the name; everything that is not whole is an error. */
import { ReadableStream } from "node:stream/web";
import { codeOf, Failure, messageOf } from "../base/errors.ts";
import { foreignBytes, refuseForeign } from "../base/foreign-files.ts";
import type { Compression } from "./name.ts";

interface DecompressOptions {
  /** The file's name, for messages; one that ends in .gz or .zst must hold what it says. */
  name: string;
  /** The size the result has by its manifest; more is refused before it fills a disk or a database. */
  uncompressedBytes?: number;
}

const magics: readonly (readonly [start: RegExp, kind: Compression])[] = [
  [/^1f8b/, "gzip"],
  [/^28b52ffd|^5[0-9a-f]2a4d18/, "zstd"], // a frame, or a skippable frame as pzstd writes it
];

/**
 * The content of a gzip, zstd or plain file, with any number of members or frames. Throws `Failure` when it is cut short,
 * damaged, followed by other bytes, longer than it should be, or not what its name says. A file cut exactly between two
 * members is not noticed here: the dump's completion line and the checksum tell.
 */
export async function* decompress(
  source: AsyncIterable<Uint8Array>,
  { name, uncompressedBytes = Infinity }: DecompressOptions,
): AsyncGenerator<Uint8Array> {
  const input = await openInput(source);
  try {
    const compression = compressionOf(input.head, name);
    let bytes = 0;
    for await (const block of compression === "none" ? input.all() : unpack(input.all(), compression)) {
      bytes += block.byteLength;
      if (bytes > uncompressedBytes) throw damaged(name, `it holds more than the ${uncompressedBytes} bytes it should`);
      yield block;
    }
  } catch (error) {
    throw input.error() ?? (error instanceof Failure ? error : damaged(name, explain(error)));
  } finally {
    await input.close();
  }
}

function compressionOf(head: Uint8Array, name: string): Compression {
  refuseForeign(head, name);
  const start = Buffer.from(head).toString("hex");
  const [, kind] = magics.find(([magic]) => magic.test(start)) ?? [];
  if (kind) return kind;
  if (/\.(gz|zst)(\.age)?$/.test(name))
    throw damaged(name, head.length === 0 ? "it is empty" : "it is neither gzip nor zstd");
  return "none";
}

const damaged = (name: string, cause: string) =>
  new Failure(`${name} is damaged: ${cause}`, {
    hints: ["restore another backup, or fetch this one again from where it was copied"],
  });

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
 * By the web stream: two thirds of the time of `node:zlib`'s, whose zstd in Bun also takes a truncated file and trailing bytes
 * for a whole one.
 */
async function* unpack(source: AsyncIterable<Uint8Array>, format: "gzip" | "zstd"): AsyncGenerator<Uint8Array> {
  const stream = ReadableStream.from(source as AsyncIterable<Uint8Array<ArrayBuffer>>);
  const output = stream.pipeThrough(new DecompressionStream(format)).getReader();
  try {
    for (let piece = await output.read(); !piece.done; piece = await output.read()) yield piece.value;
  } finally {
    await output.cancel().catch(() => {}); // whoever leaves early does not want to hear of the rest
  }
}

interface Input {
  /** The first bytes, fewer than `foreignBytes` only when there are no more. */
  head: Uint8Array;
  /** Everything, the head again included. */
  all(): AsyncGenerator<Uint8Array>;
  /** What the source threw. */
  error(): unknown;
  close(): Promise<void>;
}

/** Looks at the start of a source and keeps its own errors apart from those of decompressing. */
async function openInput(source: AsyncIterable<Uint8Array>): Promise<Input> {
  const reader = source[Symbol.asyncIterator]();
  let thrown: unknown;
  const next = async (): Promise<Uint8Array | undefined> => {
    try {
      const { done, value } = await reader.next();
      return done ? undefined : value;
    } catch (error) {
      thrown = error;
      throw error;
    }
  };
  const first: Uint8Array[] = [];
  const head = () => Buffer.concat(first.map((chunk) => chunk.subarray(0, foreignBytes))).subarray(0, foreignBytes);
  for (let chunk = await next(); chunk; chunk = head().length < foreignBytes ? await next() : undefined)
    first.push(chunk);
  return {
    head: head(),
    async *all() {
      yield* first.splice(0);
      for (let chunk = await next(); chunk; chunk = await next()) yield chunk;
    },
    error: () => thrown,
    close: async () => void (await reader.return?.()),
  };
}
