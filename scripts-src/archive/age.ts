/** Files that are encrypted to public keys: the stock program `age` reads ours, and we read what it writes (age-encryption.org/v1). */
import { gunzipSync, gzipSync } from "node:zlib";
import { Failure, messageOf } from "../base/errors.ts";
import { headFirst, remembered, streamOf } from "./blocks.ts";
import { damaged } from "./damaged.ts";
import { type Keys, readIdentities } from "./keys.ts";
import type { Manifest } from "./manifest.ts";

/** What every encrypted file starts with. */
export const ageMagic = "age-encryption.org/v1\n";
export const armorStart = "-----BEGIN AGE ENCRYPTED FILE-----";

/** Loaded when something is encrypted: it takes 30 ms. */
const library = () => import("age-encryption");

/** The encrypted form of `source`, as it comes: each of the `recipients` can decrypt it. */
export async function* seal(
  source: AsyncIterable<Uint8Array>,
  recipients: readonly string[],
): AsyncGenerator<Uint8Array> {
  const { Encrypter } = await library();
  const encrypter = new Encrypter();
  for (const recipient of recipients) encrypter.addRecipient(recipient);
  yield* await encrypter.encrypt(streamOf(source));
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

/** Whether the header is there. Throws when it is longer than any. */
function hasHeader(head: Buffer): boolean {
  const mac = head.indexOf("\n--- ");
  const end = mac < 0 ? 0 : head.indexOf("\n", mac + 1) + 1;
  if (end > longestHeader || (end === 0 && head.length > longestHeader)) throw new Error("its header is not age's");
  return end > 0;
}

/**
 * The content of an encrypted file. Yields only what has been verified. Errors of `file` stay as they are. Throws a `Failure` when it
 * is cut short, changed, followed by other bytes, or when none of the keys opens it.
 */
export async function* decrypt(
  file: AsyncIterable<Uint8Array>,
  path: string,
  identities: readonly string[],
  manifest: Manifest | undefined,
): AsyncGenerator<Uint8Array> {
  const { Decrypter } = await library();
  const decrypter = new Decrypter();
  for (const identity of identities) decrypter.addIdentity(identity);
  const input = remembered(file);
  try {
    const content = await decrypter.decrypt(streamOf(headFirst(input.blocks, hasHeader)));
    yield* content;
  } catch (error) {
    if (input.broken) throw input.broken.error;
    if (!/no identity matched/.test(messageOf(error)))
      throw damaged(path, `its encrypted content is cut short or was changed (${messageOf(error)})`);
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
