/** A thread that turns blocks into gzip members. */
import { gzip } from "./gzip.ts";

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
  const packed = gzip(block, level);
  const answer: GzipAnswer = { packed, block };
  self.postMessage(answer, [packed.buffer, block.buffer]);
});
