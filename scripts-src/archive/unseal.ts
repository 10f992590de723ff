/** Decryption with the key in AGE_IDENTITY_FILE: of our own encrypted files, and of those of the stock program `age`. */
import { gunzipSync } from "node:zlib";
import { Failure, messageOf } from "../base/errors.ts";
import { algorithm, chunkBytes, library, nonceBytes, payloadKey, tagBytes } from "./age.ts";
import { headFirst, inBlocks } from "./blocks.ts";
import { damaged } from "./damaged.ts";
import { type Keys, readIdentities } from "./keys.ts";
import type { Manifest } from "./manifest.ts";

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
  await using file = headFirst(source, hasHeader);
  const head = Buffer.from((await file.next()).value as Uint8Array);
  if (!hasHeader(head)) throw new Error("it is cut short within its header");
  const start = headerEnd(head) + nonceBytes;
  const fileKey = await openHeader(head.subarray(0, start - nonceBytes), identities);
  const key = await payloadKey(fileKey, head.subarray(start - nonceBytes, start));
  async function* payload() {
    yield head.subarray(start);
    yield* file;
  }
  let counter = 0;
  for await (const { block, last } of inBlocks(payload(), chunkBytes + tagBytes)) {
    const plain = await crypto.subtle.decrypt(algorithm(counter++, last), key, block).catch(() => {
      throw new Error("its encrypted content is cut short or was changed");
    });
    if (last && plain.byteLength === 0 && counter > 1) throw new Error("its last encrypted block is empty");
    yield new Uint8Array(plain);
  }
}

/** Whether header and nonce are there. Throws when the header is longer than any. */
function hasHeader(head: Buffer): boolean {
  const end = headerEnd(head);
  if (end > longestHeader || (end === 0 && head.length > longestHeader)) throw new Error("its header is not age's");
  return end > 0 && head.length >= end + nonceBytes;
}

/** Where the header ends; 0 when its end is not there. */
function headerEnd(head: Buffer): number {
  const mac = head.indexOf("\n--- ");
  return mac < 0 ? 0 : head.indexOf("\n", mac + 1) + 1;
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

/** The private keys to try; those of the file's recipients are named where the manifest knows them. Throws `Failure`. */
export async function identitiesFor(
  path: string,
  manifest: Manifest | undefined,
  { identityFile }: Keys,
): Promise<string[]> {
  if (identityFile !== undefined) return readIdentities(identityFile);
  throw new Failure(`${path} is encrypted, and AGE_IDENTITY_FILE is not set`, {
    hints: [`set AGE_IDENTITY_FILE to the file with ${opens(manifest)}`],
  });
}

/** The content of an encrypted file. Errors of `file` stay as they are; all others are `Failure`s. */
export async function* decrypt(
  file: AsyncIterable<Uint8Array>,
  path: string,
  identities: readonly string[],
  manifest: Manifest | undefined,
): AsyncGenerator<Uint8Array> {
  try {
    yield* unseal(file, identities);
  } catch (error) {
    if (error instanceof Failure) throw error;
    if (!(error instanceof NoKeyFits)) throw damaged(path, messageOf(error));
    throw new Failure(`${path} cannot be decrypted with the key in AGE_IDENTITY_FILE`, {
      hints: [`set AGE_IDENTITY_FILE to the file with ${opens(manifest)}`],
    });
  }
}

/** What `sealJson` has encrypted; `what` is for messages ("the tables in PATH"). Throws `Failure`. */
export async function openJson(sealed: string, keys: Keys, what: string, manifest?: Manifest): Promise<unknown> {
  async function* source() {
    yield Buffer.from(sealed, "base64");
  }
  const identities = await identitiesFor(what, manifest, keys);
  const packed = await Array.fromAsync(decrypt(source(), what, identities, manifest));
  try {
    return JSON.parse(gunzipSync(Buffer.concat(packed), { maxOutputLength: largestJson }).toString());
  } catch (error) {
    throw damaged(what, messageOf(error));
  }
}

/** Bytes: a few hundred thousand tables. */
const largestJson = 64 * 1_048_576;

const opens = ({ encryptedTo }: Partial<Manifest> = {}) =>
  encryptedTo === undefined ? "the private key" : `the private key of ${encryptedTo.join(" or ")}`;
