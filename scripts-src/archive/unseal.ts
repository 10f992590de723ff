/** Decryption: of our own encrypted files, and of those of the stock program `age`. */
import { messageOf } from "../base/errors.ts";
import { algorithm, chunkBytes, inChunks, library, nonceBytes, payloadKey, tagBytes } from "./age.ts";

/** Bytes. A header has about 100 for each recipient; a file without the header's end must not fill the memory. */
const longestHeader = 65_536;

/** What `unseal` says of a file that no key at hand opens. */
export class NoKeyFits extends Error {}

/**
 * The content of an encrypted file. Yields only what has been verified; throws when it is cut short, changed, followed by other
 * bytes, or `NoKeyFits`. Errors of `source` are thrown as they are.
 */
export async function* unseal(
  source: AsyncIterable<Uint8Array>,
  identities: readonly string[],
): AsyncGenerator<Uint8Array> {
  const reader = source[Symbol.asyncIterator]();
  try {
    const { head, end } = await readHeader(reader);
    const fileKey = await openHeader(head.subarray(0, end), identities);
    const start = end + nonceBytes;
    const key = await payloadKey(fileKey, head.subarray(end, start));
    let counter = 0;
    for await (const { chunk, last } of inChunks(restOf(head.subarray(start), reader), chunkBytes + tagBytes)) {
      const plain = await crypto.subtle.decrypt(algorithm(counter++, last), key, chunk).catch(() => {
        throw new Error("its encrypted content is cut short or was changed");
      });
      if (last && plain.byteLength === 0 && counter > 1) throw new Error("its last encrypted block is empty");
      yield new Uint8Array(plain);
    }
  } finally {
    await reader.return?.();
  }
}

/** Reads until header and nonce are there; `end` is where the header ends. */
async function readHeader(reader: AsyncIterator<Uint8Array>): Promise<{ head: Buffer; end: number }> {
  let head = Buffer.alloc(0);
  for (;;) {
    const mac = head.indexOf("\n--- ");
    const end = mac < 0 ? 0 : head.indexOf("\n", mac + 1) + 1;
    if (end > longestHeader || (end === 0 && head.length > longestHeader)) throw new Error("its header is not age's");
    if (end > 0 && head.length >= end + nonceBytes) return { head, end };
    const { done, value } = await reader.next();
    if (done) throw new Error("it is cut short within its header");
    head = Buffer.concat([head, value]);
  }
}

async function openHeader(header: Uint8Array, identities: readonly string[]): Promise<Uint8Array> {
  const { Decrypter } = await library();
  const decrypter = new Decrypter();
  for (const identity of identities) decrypter.addIdentity(identity);
  try {
    return await decrypter.decryptHeader(header);
  } catch (error) {
    if (/no identity matched/.test(messageOf(error))) throw new NoKeyFits(messageOf(error));
    throw new Error(`its header was changed (${messageOf(error)})`, { cause: error });
  }
}

async function* restOf(first: Uint8Array, reader: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first;
  for (let piece = await reader.next(); !piece.done; piece = await reader.next()) yield piece.value;
}
