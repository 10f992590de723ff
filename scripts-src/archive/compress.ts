/**
 * Compression in blocks, on all cores, in order, with bounded memory. Each block becomes a gzip member or a zstd frame
 * of its own; their concatenation is one valid file (RFC 1952 §2.2, RFC 8878 §3.1).
 */
import { availableParallelism } from "node:os";
import { type Block, inBlocks } from "./blocks.ts";
import type { Compression } from "./name.ts";
import { Failure } from "../base/errors.ts";
import { gzip } from "./gzip.ts";
import type { GzipAnswer, GzipOrder } from "./gzip-worker.ts";

interface CompressOptions {
  compression: Compression;
  /** Default 5 for gzip (1 to 12), 3 for zstd (1 to 19). */
  level?: number;
  /**
   * Blocks compressed at the same time. Default: the cores we may use (Bun heeds affinity and the cgroup's quota), up to
   * as many as keep pace with any dump program.
   */
  jobs?: number;
}

const mebibyte = 1_048_576;
/**
 * Measured: gzip gains nothing from larger blocks (its window is 32 KiB). libdeflate's level 5 takes a quarter less time than its
 * level 6 for files up to 4 % larger: dumps are 5 to 14 % smaller than `gzip -6` makes them, prose is 3 % larger. zstd's window reaches
 * back 2 MiB at level 3: of a pgbench-like dump, files of 1, 2 and 4 MiB blocks are 13, 6 and 4 % larger than `zstd -3`'s, and memory
 * grows. One lane packs about 130 MB/s (gzip) or 250 MB/s (zstd), pg_dump gives 260 MB/s; more lanes than `enough` only take memory.
 */
const formats = {
  gzip: { blockBytes: mebibyte, level: 5, enough: 8, openLane: gzipLane },
  zstd: { blockBytes: 2 * mebibyte, level: 3, enough: 4, openLane: zstdLane },
};

/**
 * The compressed form of `source`. Reads only as fast as it is read; ends its threads and the source when the reader
 * leaves early or the source throws. Nothing in gives a valid file of nothing.
 */
export function compress(
  source: AsyncIterable<Uint8Array>,
  { compression, level, jobs }: CompressOptions,
): AsyncIterable<Uint8Array> {
  if (compression === "none") return source;
  const format = formats[compression];
  const lanes = jobs ?? Math.min(availableParallelism(), format.enough);
  return packInLanes(source, format.blockBytes, lanes, () => format.openLane(level ?? format.level));
}

/** Deals the blocks out to the lanes in turn and yields what comes back, in order. */
async function* packInLanes(
  source: AsyncIterable<Uint8Array>,
  blockBytes: number,
  jobs: number,
  openLane: () => Lane,
): AsyncGenerator<Block> {
  const lanes: Lane[] = [];
  const spare: Block[] = [];
  const underway: Promise<Block>[] = [];
  let count = 0;
  try {
    for await (const { block } of inBlocks(source, blockBytes, spare)) {
      const lane = (lanes[count++ % jobs] ??= openLane());
      const packed = lane.pack(block, (emptied) => spare.push(new Uint8Array(emptied.buffer)));
      packed.catch(() => {}); // thrown when its turn to be read comes
      underway.push(packed);
      // Two more than lanes: so none is idle while a block is filled and another one written.
      const oldest = underway.length >= jobs + 2 ? await underway.shift() : undefined;
      if (oldest) yield oldest;
    }
    for (const packed of underway) yield await packed;
  } finally {
    for (const lane of lanes) lane.end();
  }
}

/** Compresses blocks one after the other, away from the main thread; several work side by side. */
interface Lane {
  /** Compresses a block. The lane owns the block's memory until it calls `giveBack`; then the next block can use it. */
  pack(block: Block, giveBack: (block: Block) => void): Promise<Block>;
  /** Ends the lane. Blocks that it still compresses are never returned. */
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
function gzipLane(level: number): Lane {
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
function zstdLane(level: number): Lane {
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
