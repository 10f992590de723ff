/**
 * The payload of age v1 files (age-encryption.org/v1): chunks of 64 KiB, each encrypted on its own. By WebCrypto, which is four
 * times as fast as the library `age-encryption` and works away from the main thread; the library makes and reads the header.
 */
import { hkdfSync } from "node:crypto";

/** What every encrypted file starts with. */
export const ageMagic = "age-encryption.org/v1\n";
export const armorStart = "-----BEGIN AGE ENCRYPTED FILE-----";

export const chunkBytes = 65_536;
export const tagBytes = 16;
export const nonceBytes = 16;

/** Loaded when something is encrypted: it takes 30 ms. */
export const library = () => import("age-encryption");

export const payloadKey = (fileKey: Uint8Array, nonce: Uint8Array) => {
  const secret = new Uint8Array(hkdfSync("sha256", fileKey, nonce, "payload", 32));
  // Bun knows this name of the format alone, its types another
  return crypto.subtle.importKey("raw-secret" as "raw", secret, "ChaCha20-Poly1305", false, ["encrypt", "decrypt"]);
};

/** Each chunk has its own nonce: its number in 11 bytes, and whether it is the last one. */
export function algorithm(counter: number, last: boolean) {
  const iv = new Uint8Array(12);
  const view = new DataView(iv.buffer);
  view.setUint32(3, Math.floor(counter / 2 ** 32));
  view.setUint32(7, counter % 2 ** 32);
  iv[11] = Number(last);
  return { name: "ChaCha20-Poly1305", iv };
}
