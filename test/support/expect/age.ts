/** Keys by the stock program age-keygen, and settings that encrypt and sign with them. */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { tempDir } from "../machine/temp.ts";

export interface AgeKey {
  /** The private key's file. */
  file: string;
  secret: string;
  /** The public key. */
  recipient: string;
}

/** Makes a pair; the file is replaced when it exists. */
export function newAgeKey(file: string): AgeKey {
  rmSync(file, { force: true });
  const { success, stderr } = Bun.spawnSync(["age-keygen", "-o", file], { stderr: "pipe" });
  if (!success) throw new Error(`age-keygen: ${stderr.toString()}`);
  const text = readFileSync(file, "utf8");
  const found = (pattern: RegExp) => pattern.exec(text)?.[0] ?? "";
  return { file, secret: found(/AGE-SECRET-KEY-1\w+/), recipient: found(/age1\w+/) };
}

/** Settings under which every backup is encrypted and signed, and can be restored. */
export function sealing(): Record<"AGE_RECIPIENTS" | "AGE_IDENTITY_FILE" | "MANIFEST_KEY", string> {
  const { file, recipient } = newAgeKey(join(tempDir("age"), "key.txt"));
  return { AGE_RECIPIENTS: recipient, AGE_IDENTITY_FILE: file, MANIFEST_KEY: `manifest-${crypto.randomUUID()}` };
}

/** What the stock program makes of an encrypted file. */
export function decrypted(file: Buffer, keyFile: string): Buffer {
  const { success, stdout, stderr } = Bun.spawnSync(["age", "-d", "-i", keyFile], { stdin: file, stderr: "pipe" });
  if (!success) throw new Error(`age: ${stderr.toString()}`);
  return stdout;
}
