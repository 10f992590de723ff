/** Encryption to public keys: files that the stock program `age` decrypts. */
import { randomBytes } from "node:crypto";
import { gzipSync } from "node:zlib";
import { algorithm, chunkBytes, library, nonceBytes, payloadKey, tagBytes } from "./age.ts";
import { inBlocks } from "./blocks.ts";

/** The encrypted form of `source`, as it comes: each of the `recipients` can decrypt it. */
export async function* seal(
  source: AsyncIterable<Uint8Array>,
  recipients: readonly string[],
): AsyncGenerator<Uint8Array> {
  const { Encrypter } = await library();
  const encrypter = new Encrypter();
  let fileKey: Uint8Array | undefined;
  for (const recipient of recipients) encrypter.addRecipient(recipient);
  // a recipient without a stanza: the library hands the file's key to everyone it encrypts to
  encrypter.addRecipient({ wrapFileKey: (key) => ((fileKey = key.slice()), []) });
  const ofNothing = await encrypter.encrypt(new Uint8Array());
  if (!fileKey) throw new Error("age-encryption made no key");
  // A nonce of our own: with the library's, the first chunk would repeat the key stream of the empty one.
  const nonce = randomBytes(nonceBytes);
  yield ofNothing.subarray(0, ofNothing.length - nonceBytes - tagBytes);
  yield nonce;
  const key = await payloadKey(fileKey, nonce);
  let counter = 0;
  for await (const { block, last } of inBlocks(source, chunkBytes))
    yield new Uint8Array(await crypto.subtle.encrypt(algorithm(counter++, last), key, block));
}

/**
 * What a manifest must not show to everybody (names of tables, rows), for the same recipients. By hand:
 * `base64 -d | age -d -i KEYFILE | gunzip`.
 */
export async function sealJson(value: unknown, recipients: readonly string[]): Promise<string> {
  async function* packed() {
    yield gzipSync(JSON.stringify(value));
  }
  return Buffer.concat(await Array.fromAsync(seal(packed(), recipients))).toString("base64");
}
