/** Pairs of keys by the stock program age-keygen. */
import { readFileSync, rmSync } from "node:fs";

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
