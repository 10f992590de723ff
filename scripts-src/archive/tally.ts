/** Counts and hashes blocks that pass by. */

export interface Tally {
  bytes: number;
  /** Lower-case hexadecimal. */
  sha256: string;
}

/** A running count and checksum; `result` may be read once, after the last block. */
export function startTally(): { add: (block: Uint8Array) => void; result: () => Tally } {
  const hasher = new Bun.CryptoHasher("sha256");
  let bytes = 0;
  return {
    add: (block) => {
      bytes += block.byteLength;
      hasher.update(block);
    },
    result: () => ({ bytes, sha256: hasher.digest("hex") }),
  };
}

/** Passes `source` on unchanged and shows every block to `see` before. */
export async function* watched(source: AsyncIterable<Uint8Array>, see: (block: Uint8Array) => void) {
  for await (const block of source) {
    see(block);
    yield block;
  }
}
