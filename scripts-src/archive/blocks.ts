/** Streams of bytes: cut anew, counted, hashed. */

export type Block = Uint8Array<ArrayBuffer>;

/**
 * Cuts `source` into blocks of one size; the last one may be shorter, and is empty only when it is the only one. Fills `spare` blocks
 * of that size before it makes new ones.
 */
export async function* inBlocks(
  source: AsyncIterable<Uint8Array>,
  bytes: number,
  spare: Block[] = [],
): AsyncGenerator<{ block: Block; last: boolean }> {
  let block = new Uint8Array(bytes);
  let filled = 0;
  for await (const piece of source)
    for (let rest = piece; rest.byteLength > 0;) {
      if (filled === bytes) {
        yield { block, last: false };
        block = spare.pop() ?? new Uint8Array(bytes);
        filled = 0;
      }
      const part = rest.subarray(0, bytes - filled);
      block.set(part, filled);
      filled += part.byteLength;
      rest = rest.subarray(part.byteLength);
    }
  yield { block: block.subarray(0, filled), last: true };
}

/** Passes `source` on as `blocks`. An error of the source is kept as `broken`, so that it can be told from errors of the reader. */
export function remembered(source: AsyncIterable<Uint8Array>) {
  const state: { broken?: { error: unknown } } = {};
  async function* blocks() {
    try {
      yield* source;
    } catch (error) {
      state.broken = { error };
      throw error;
    }
  }
  return Object.assign(state, { blocks: blocks() });
}

/** Passes `source` on; its first piece is as long as `isEnough` wants it, or all there is. */
export async function* headFirst(
  source: AsyncIterable<Uint8Array>,
  isEnough: (head: Buffer) => boolean,
): AsyncGenerator<Uint8Array> {
  let head: Buffer | undefined = Buffer.alloc(0);
  for await (const piece of source) {
    if (head === undefined) yield piece;
    else if (isEnough((head = Buffer.concat([head, piece])))) {
      yield head;
      head = undefined;
    }
  }
  if (head !== undefined) yield head;
}

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
