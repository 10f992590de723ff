/** Decrypts a backup with the key in AGE_IDENTITY_FILE. */
import { gunzipSync } from "node:zlib";
import { Failure, messageOf } from "../base/errors.ts";
import { damaged } from "./damaged.ts";
import { type Keys, readIdentities } from "./keys.ts";
import type { Manifest } from "./manifest.ts";
import { NoKeyFits, unseal } from "./unseal.ts";

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
export async function openJson(sealed: string, keys: Keys, what: string): Promise<unknown> {
  async function* source() {
    yield Buffer.from(sealed, "base64");
  }
  const identities = await identitiesFor(what, undefined, keys);
  const packed = await Array.fromAsync(decrypt(source(), what, identities, undefined));
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
