/** Reads an object; a connection that breaks is taken up again where it broke. */
import { GetObjectCommand } from "@aws-sdk/client-s3";
import { Failure } from "../base/errors.ts";
import type { Bucket } from "./bucket.ts";
import { isTransient, statusOf } from "./explain.ts";

/** A connection that brings nothing for so long (ms) counts as broken. */
const idleTime = 60_000;

/** How far a download is; size and ETag are known from its first answer on. */
interface State {
  position: number;
  /** Size in the listing. */
  expected: number | undefined;
  size?: number;
  etag?: string | undefined;
}

/**
 * The bytes of an object; a broken connection is resumed where it broke. An object of another size than `expected` is refused before any
 * of it is read; more than the announced size is never returned.
 */
export async function* download(bucket: Bucket, name: string, expected?: number): AsyncGenerator<Uint8Array> {
  const what = `download of ${name}`;
  const explained = <T>(work: () => Promise<T>) =>
    bucket.explained(`read ${bucket.location(name)}`, "s3:GetObject", work);
  const state: State = { position: 0, expected };
  while (state.size === undefined || state.position < state.size) {
    // with its first block: a server that always breaks off at once runs out of tries
    const stream = await explained(() => bucket.tried(what, (signal) => openAt(bucket, name, state, signal)));
    try {
      for (let block = stream.first; block; block = await nextBlock(stream.reader, bucket.signal)) {
        state.position += block.byteLength;
        if (state.size && state.position > state.size) throw tooLong(bucket, name, state.size);
        yield block;
      }
    } catch (error) {
      bucket.signal.throwIfAborted();
      if (!isTransient(error)) throw error;
      bucket.log.warn(`${what} broke off after ${state.position} bytes, going on from there`);
    } finally {
      await stream.reader.cancel().catch(() => {}); // the rest is not wanted, or is no more
    }
  }
}

interface Reader {
  read(): Promise<{ value?: Uint8Array | undefined }>;
  cancel(): Promise<void>;
}

async function openAt(bucket: Bucket, name: string, state: State, signal: AbortSignal) {
  const { position, etag } = state;
  const command = new GetObjectCommand({
    Bucket: bucket.name,
    Key: bucket.key(name),
    // the same object must go on, not another one that has taken its place
    ...(position > 0 && { Range: `bytes=${position}-`, IfMatch: etag || undefined }),
  });
  const answer = await bucket.client.send(command, { abortSignal: signal }).catch((error: unknown) => {
    throw statusOf(error) === 412 ? changed(bucket, name) : error;
  });
  const [, start, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(answer.ContentRange ?? "") ?? [];
  if (position > 0 && Number(start) !== position)
    throw new Failure(`cannot read ${bucket.location(name)} from byte ${position}: the server does not know ranges`);
  const size = Number(total ?? answer.ContentLength ?? state.expected ?? 0);
  if (state.size !== undefined && state.size !== size) throw changed(bucket, name);
  if (state.expected !== undefined && state.expected !== size) throw otherSize(bucket, name, state.expected, size);
  Object.assign(state, { size, etag: answer.ETag });
  const reader: Reader = (answer.Body as unknown as ReadableStream<Uint8Array>).getReader();
  const first = await nextBlock(reader, signal);
  if (!first && position < size) throw broken("the answer ended too soon");
  return { reader, first };
}

const changed = (bucket: Bucket, name: string) => new Failure(`${bucket.location(name)} changed while it was read`);
const otherSize = (bucket: Bucket, name: string, listed: number, sent: number) =>
  new Failure(`${bucket.location(name)}: the server lists ${listed} bytes, but would send ${sent}`, {
    hints: ["try again; if it stays so, look into the bucket: the object was replaced, or the server is faulty"],
  });
const tooLong = (bucket: Bucket, name: string, size: number) =>
  new Failure(`${bucket.location(name)}: the server sends more than the ${size} bytes that it announced`);
const broken = (why: string) => Object.assign(new Error(why), { code: "ECONNRESET" });

/** The next bytes, undefined at the end. Throws when none come in time, or the reason of `signal`. */
async function nextBlock(reader: Reader, signal: AbortSignal): Promise<Uint8Array | undefined> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(broken(`no bytes for ${idleTime / 1000} s`)), idleTime);
  const stop = () => reject(signal.reason as Error);
  signal.addEventListener("abort", stop, { once: true });
  try {
    return (await Promise.race([reader.read(), promise])).value;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", stop);
  }
}
