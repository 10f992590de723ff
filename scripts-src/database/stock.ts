/** Commands of stock tools, for those who restore without this program. */
import { quote } from "../base/process.ts";

const unpackers = { gzip: "gunzip -c", zstd: "zstd -dc", none: "cat" } as const;

/** A command that writes the SQL of a backup file to its output; of an encrypted one KEYFILE stands for the private key's file. */
export function unpackCommand(file: string, compression: keyof typeof unpackers): string {
  if (!file.endsWith(".age")) return `${unpackers[compression]} ${quote(file)}`;
  const decrypt = `age -d -i KEYFILE ${quote(file)}`;
  return compression === "none" ? decrypt : `${decrypt} | ${unpackers[compression]}`;
}
