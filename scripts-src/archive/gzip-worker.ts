/** A thread that turns blocks into gzip members. libdeflate needs half the time of zlib, but Bun has it only synchronous. */
declare const self: Worker;

export interface GzipOrder {
  block: Uint8Array<ArrayBuffer>;
  level: number;
}

export interface GzipAnswer {
  packed: Uint8Array<ArrayBuffer>;
  /** The block comes back to be filled again. */
  block: Uint8Array<ArrayBuffer>;
}

self.addEventListener("message", ({ data: { block, level } }: MessageEvent<GzipOrder>) => {
  const packed = Bun.gzipSync(block, { library: "libdeflate", level: level as 6 }); // typed for zlib's levels only
  const answer: GzipAnswer = { packed, block };
  self.postMessage(answer, [packed.buffer, block.buffer]);
});
