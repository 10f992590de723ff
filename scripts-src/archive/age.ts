/**
 * Files that are encrypted to public keys: the stock program `age` reads ours, and we read what it writes (age-encryption.org/v1). The
 * library makes and reads the header. The payload, chunks of 64 KiB, is encrypted by WebCrypto: it takes a quarter of the library's
 * time, and works away from the main thread.
 */
import { hkdfSync, randomBytes } from "node:crypto";
import { gunzipSync, gzipSync } from "node:zlib";
import { damaged, Failure, messageOf } from "../base/errors.ts";
import { headFirst, inBlocks, remembered } from "./blocks.ts";
import { type Keys, readIdentities } from "./keys.ts";
import type { Manifest } from "./manifest.ts";

/** What every encrypted file starts with. */
export const ageMagic = "age-encryption.org/v1\n";
export const armorStart = "-----BEGIN AGE ENCRYPTED FILE-----";

/** Bytes. */
const [chunkBytes, tagBytes, nonceBytes] = [65_536, 16, 16];

/** Loaded when something is encrypted: it takes 30 ms. */
const library = () => import("age-encryption");

const payloadKey = (fileKey: Uint8Array, nonce: Uint8Array) => {
  const secret = new Uint8Array(hkdfSync("sha256", fileKey, nonce, "payload", 32));
  // Bun knows this name of the format alone, its types another
  return crypto.subtle.importKey("raw-secret" as "raw", secret, "ChaCha20-Poly1305", false, ["encrypt", "decrypt"]);
};

/** Each chunk has its own nonce: its number in 11 bytes, and whether it is the last one. */
function algorithm(counter: number, last: boolean) {
  const iv = new Uint8Array(12);
  const view = new DataView(iv.buffer);
  view.setUint32(3, Math.floor(counter / 2 ** 32));
  view.setUint32(7, counter % 2 ** 32);
  iv[11] = Number(last);
  return { name: "ChaCha20-Poly1305", iv };
}

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

/** Bytes. A header has about 100 for each recipient; a file without the header's end must not fill the memory. */
const longestHeader = 65_536;

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

/** None of the keys opens the file. */
class NoKeyFits extends Error {}

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

/** Throws when the file is cut short, changed, followed by other bytes, or `NoKeyFits`. */
async function* unseal(source: AsyncIterable<Uint8Array>, identities: readonly string[]): AsyncGenerator<Uint8Array> {
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

/** The content of an encrypted file. Yields only what has been verified. Errors of `file` stay as they are; all others are `Failure`s. */
export async function* decrypt(
  file: AsyncIterable<Uint8Array>,
  path: string,
  identities: readonly string[],
  manifest: Manifest | undefined,
): AsyncGenerator<Uint8Array> {
  const input = remembered(file);
  try {
    yield* unseal(input.blocks, identities);
  } catch (error) {
    if (input.broken) throw input.broken.error;
    if (!(error instanceof NoKeyFits)) throw damaged(path, messageOf(error));
    throw new Failure(`${path} cannot be decrypted with the key in AGE_IDENTITY_FILE`, {
      hints: [`set AGE_IDENTITY_FILE to the file with ${opens(manifest)}`],
    });
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

const opens = ({ encryptedTo }: Partial<Manifest> = {}) =>
  encryptedTo === undefined ? "the private key" : `the private key of ${encryptedTo.join(" or ")}`;

/** A value of a manifest, decrypted where `sealJson` has encrypted it. `what` is for messages ("the tables in PATH"). Throws `Failure`. */
export async function openJson(sealed: unknown, keys: Keys, what: string, manifest?: Manifest): Promise<unknown> {
  if (typeof sealed !== "string") return sealed;
  const bytes = Buffer.from(sealed, "base64");
  async function* source() {
    yield bytes;
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

/** The public key of a private one. */
export const publicKeyOf = async (secret: string): Promise<string> => (await library()).identityToRecipient(secret);

/** Both keys with what a person must know of them, as comments. `now` is the time that it names. */
export async function newKeyFile(now: Date): Promise<string> {
  const { generateX25519Identity } = await library();
  const secret = await generateX25519Identity();
  const recipient = await publicKeyOf(secret);
  return `# Key of encrypted backups, made ${now.toISOString()}
#
# Where backups are made, set the public key alone:
#   AGE_RECIPIENTS='${recipient}'
# Where they are restored or verified, keep this file, readable by that user only (chmod 600), and name it:
#   AGE_IDENTITY_FILE='/path/of/this/file'
# Keep a copy in a second safe place (a password manager, on paper): without it nobody can decrypt the backups.
# Do not keep it in the bucket, or on a machine that only makes backups.
#
# public key: ${recipient}
${secret}`;
}
