/** Commands of stock tools, for those who restore without this program. */
import { quote } from "../base/process.ts";

const unpackers = { gzip: "gunzip -c", zstd: "zstd -dc", none: "cat" } as const;

/** A command that writes the SQL of a backup file to its output. */
export const unpackCommand = (file: string, compression: keyof typeof unpackers): string =>
  `${unpackers[compression]} ${quote(file)}`;
