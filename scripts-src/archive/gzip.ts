/** One gzip member of a block. */
import type { Block } from "./blocks.ts";

/** `level` is libdeflate's: 1 to 12. */
export const gzip = (block: Block, level: number): Block =>
  Bun.gzipSync(block, { library: "libdeflate", level: level as 6 }); // typed for zlib's levels only
