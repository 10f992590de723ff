/**
 * Signatures of manifests and proofs: who can write to the bucket must not choose what is restored. The second line of the
 * pretty-printed JSON is `  "signature": "<hex>",`; it is the HMAC-SHA256, under MANIFEST_KEY, of the file's exact bytes without
 * that line. Nothing is parsed before it is checked, and no program's way of writing JSON matters.
 */
import { createHmac, timingSafeEqual } from "node:crypto";

const line = /^ {2}"signature": "([0-9a-f]{64})",\n$/;
const newline = 0x0a;

/** `text` (JSON over several lines) with its signature under the first of the keys; as it is without a key. */
export function signed(text: string, keys: readonly string[] | undefined): string {
  const [key] = keys ?? [];
  if (key === undefined) return text;
  const start = text.indexOf("\n") + 1;
  return `${text.slice(0, start)}  "signature": "${hmac(key, Buffer.from(text)).toString("hex")}",\n${text.slice(start)}`;
}

/** Whether the file's content is signed with one of the keys. */
export function isSignedWith(content: Buffer, keys: readonly string[] | undefined): boolean {
  if (keys === undefined) return false;
  const start = content.indexOf(newline) + 1;
  const end = content.indexOf(newline, start) + 1;
  const found = line.exec(content.toString("latin1", start, end))?.[1];
  if (found === undefined) return false;
  const rest = Buffer.concat([content.subarray(0, start), content.subarray(end)]);
  return keys.some((key) => timingSafeEqual(hmac(key, rest), Buffer.from(found, "hex")));
}

const hmac = (key: string, content: Buffer) => createHmac("sha256", key).update(content).digest();
