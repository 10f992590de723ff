/** Lanes compress blocks one after the other, away from the main thread; several work side by side. */
import { Failure } from "../base/errors.ts";
import type { Block } from "./blocks.ts";
import { gzip } from "./gzip.ts";
import type { GzipAnswer, GzipOrder } from "./gzip-worker.ts";

export interface Lane {
  /** Compresses a block; takes it over, and hands its memory back for the next one. */
  pack(block: Block, giveBack: (block: Block) => void): Promise<Block>;
  /** Ends the lane; what is underway is never answered. */
  end(): void;
}

interface Waiting {
  resolve(packed: Block): void;
  reject(error: unknown): void;
  giveBack(block: Block): void;
}

/** Bytes that are packed in less time (a few ms) than a thread takes to start. */
const smallBlock = 262_144;

/**
 * gzip in a worker thread: libdeflate needs half the time of zlib, but Bun offers it only synchronously. The thread starts with the
 * first block that is worth it: a run over many small databases needs none.
 */
export function gzipLane(level: number): Lane {
  let lane: Lane | undefined;
  return {
    async pack(block, giveBack) {
      if (lane || block.byteLength > smallBlock) return (lane ??= gzipThread(level)).pack(block, giveBack);
      const packed = gzip(block, level);
      giveBack(block);
      return packed;
    },
    end: () => lane?.end(),
  };
}

function gzipThread(level: number): Lane {
  const worker = new Worker(new URL("./gzip-worker.ts", import.meta.url));
  const queue: Waiting[] = [];
  let failure: Failure | undefined;
  const fail = (reason: string) => {
    failure ??= new Failure(`cannot compress: ${reason}`);
    for (const waiting of queue.splice(0)) waiting.reject(failure);
  };
  worker.addEventListener("message", ({ data: { packed, block } }: MessageEvent<GzipAnswer>) => {
    const waiting = queue.shift();
    waiting?.giveBack(block);
    waiting?.resolve(packed);
  });
  worker.addEventListener("error", (event) => fail(event.message));
  worker.addEventListener("close", () => fail("the thread has ended"));
  return {
    pack: (block, giveBack) =>
      new Promise((resolve, reject) => {
        // a thread that has ended never answers
        if (failure) return reject(failure);
        queue.push({ resolve, reject, giveBack });
        const order: GzipOrder = { block, level };
        worker.postMessage(order, [block.buffer]);
      }),
    end: () => worker.terminate(),
  };
}

/**
 * The collector does not see how large the frames are: without a nudge memory grows by 50 MB and more. A nudge takes
 * about 10 ms, one every 64 MiB with two lanes.
 */
const blocksBetweenCollections = 16;

/**
 * zstd in Bun's thread pool. `node:zlib` would take a third more memory and a tenth more time; what `Bun.zstdCompress`
 * lacks, the checksum of the content that the zstd program writes, is added here (RFC 8878 §3.1.1: a flag in the frame's
 * descriptor, and the low half of XXH64 at its end).
 */
export function zstdLane(level: number): Lane {
  let last: Promise<unknown> = Promise.resolve();
  let count = 0;
  const packNow = async (block: Block, giveBack: (block: Block) => void): Promise<Block> => {
    const frame = await Bun.zstdCompress(block, { level });
    const packed = new Uint8Array(frame.byteLength + 4);
    packed.set(frame);
    const view = new DataView(packed.buffer);
    view.setUint8(4, view.getUint8(4) | 0b100);
    view.setUint32(frame.byteLength, Number(Bun.hash.xxHash64(block) & 0xffff_ffffn), true);
    giveBack(block);
    if (++count % blocksBetweenCollections === 0) Bun.gc(true);
    return packed;
  };
  return {
    pack(block, giveBack) {
      const packed = last.then(() => packNow(block, giveBack));
      last = packed.catch(() => {});
      return packed;
    },
    end() {},
  };
}
