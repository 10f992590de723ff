/** Lanes compress blocks one after the other, away from the main thread; several work side by side. */
import { promisify } from "node:util";
import { constants, zstdCompress } from "node:zlib";
import { Failure } from "../shared/errors.ts";
import type { GzipAnswer, GzipOrder } from "./gzip-worker.ts";

export type Block = Uint8Array<ArrayBuffer>;

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

/** gzip in a worker thread: libdeflate needs half the time of zlib, but Bun offers it only synchronously. */
export function gzipLane(level: number): Lane {
  const worker = new Worker(new URL("./gzip-worker.ts", import.meta.url));
  const queue: Waiting[] = [];
  const fail = (reason: string) => {
    for (const waiting of queue.splice(0)) waiting.reject(new Failure(`cannot compress: ${reason}`));
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
        queue.push({ resolve, reject, giveBack });
        const order: GzipOrder = { block, level };
        worker.postMessage(order, [block.buffer]);
      }),
    end: () => worker.terminate(),
  };
}

const zstd = promisify(zstdCompress);

/** zstd in Bun's thread pool; with a checksum of the content in every frame, as the zstd program writes it. */
export function zstdLane(level: number): Lane {
  let last: Promise<unknown> = Promise.resolve();
  const packNow = async (block: Block, giveBack: (block: Block) => void): Promise<Block> => {
    const packed = await zstd(block, {
      // one piece of output a block; the default of 16 KiB costs a third more time
      chunkSize: 262_144,
      params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 },
    });
    giveBack(block);
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
