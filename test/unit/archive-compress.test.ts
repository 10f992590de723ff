import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { constants, gzipSync, zstdCompressSync } from "node:zlib";
import * as fc from "fast-check";
import { compress } from "../../scripts-src/archive/compress.ts";
import { decompress } from "../../scripts-src/archive/read.ts";
import type { Compression } from "../../scripts-src/archive/name.ts";
import { testWhere } from "../support/machine/where.ts";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "archive-"));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const blocks: Uint8Array[] = [];
  for await (const block of source) blocks.push(block);
  return Buffer.concat(blocks);
}

async function* inChunks(data: Uint8Array, bytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < data.byteLength; at += bytes) yield data.subarray(at, at + bytes);
}

async function* failingSource(): AsyncGenerator<Uint8Array> {
  yield sql;
  throw new Error("pg_dump was killed");
}

const hash = (block: Uint8Array) => new Bun.CryptoHasher("sha256").update(block).digest("hex");

/** The data with one bit flipped. */
const changed = (data: Buffer, at: number) =>
  Buffer.concat([data.subarray(0, at), Buffer.from([data[at]! ^ 4]), data.subarray(at + 1)]);

/** 5 MB that compress like SQL, with 1 MB in the middle that does not compress. */
const sql = Buffer.concat([
  Buffer.from("INSERT INTO t VALUES (1, 'a text', NULL);\n".repeat(50_000)),
  randomBytes(1_000_000),
  Buffer.from(Array.from({ length: 100_000 }, (_, i) => `${i}\tname ${i * 7}\t\\N\n`).join("")),
]);
const packs = ["gzip", "zstd"] as const;
const extension = { gzip: "gz", zstd: "zst", none: "sql" };
const nameOf = (compression: Compression) => `x.${extension[compression]}`;
const unpacked = (data: Uint8Array, compression: Compression, bytes = 65_536) =>
  collect(decompress(inChunks(data, bytes), { name: nameOf(compression) }));

const foreign = {
  gzip: (data: Uint8Array) => gzipSync(data),
  zstd: (data: Uint8Array) => zstdCompressSync(data, { params: { [constants.ZSTD_c_checksumFlag]: 1 } }),
};

const tools = {
  gzip: [["gunzip", "-c"], ["zcat"], ["gzip", "-dc"], ["python3", "-c", pythonGunzip()]],
  zstd: [["zstd", "-dc"]],
};
function pythonGunzip(): string {
  return "import gzip,sys; sys.stdout.buffer.write(gzip.open(sys.argv[1]).read())";
}

describe.each(packs)("compress with %s", (compression) => {
  test.each([1, 2, 5])("gives the same content back in order with %i jobs", async (jobs) => {
    const packed = await collect(compress(inChunks(sql, 70_001), { compression, jobs }));
    expect(packed.length).toBeLessThan(sql.length / 2);
    expect((await unpacked(packed, compression)).equals(sql)).toBe(true);
  });

  for (const tool of tools[compression]) {
    const found = Bun.which(tool[0] ?? "");
    testWhere(found !== null, tool[0] ?? "")(`is read by ${tool[0]}`, async () => {
      const path = join(dir, nameOf(compression));
      await Bun.write(path, await collect(compress(inChunks(sql, 65_536), { compression })));
      const { stdout, exitCode } = Bun.spawnSync([...tool, path]);
      expect(exitCode).toBe(0);
      expect(stdout.equals(sql)).toBe(true);
    });
  }

  test("nothing in gives a valid file of nothing", async () => {
    const packed = await collect(compress(inChunks(Buffer.alloc(0), 1), { compression }));
    expect(packed.length).toBeGreaterThan(0);
    expect(await unpacked(packed, compression)).toHaveLength(0);
  });

  test("a thread that ends by itself is an error, and nothing waits for it", async () => {
    const { Worker: real } = globalThis;
    const program = URL.createObjectURL(new Blob(["self.onmessage = () => process.exit(1)"]));
    globalThis.Worker = class extends real {
      constructor() {
        super(program);
      }
    };
    try {
      await expect(collect(compress(inChunks(sql, 65_536), { compression: "gzip" }))).rejects.toThrow(
        "cannot compress: the thread has ended",
      );
    } finally {
      globalThis.Worker = real;
    }
  });

  test("an error of the source arrives as it is", async () => {
    await expect(collect(compress(failingSource(), { compression }))).rejects.toThrow("pg_dump was killed");
  });

  test("a reader that leaves ends the source; the source is never read far ahead", async () => {
    let given = 0;
    let ended = false;
    const endless = async function* () {
      try {
        for (;;) {
          given++;
          yield new Uint8Array(1_048_576);
        }
      } finally {
        ended = true;
      }
    };
    for await (const block of compress(endless(), { compression, jobs: 2 })) {
      expect(block.byteLength).toBeGreaterThan(0);
      break;
    }
    expect(ended).toBe(true);
    expect(given).toBeLessThanOrEqual(10);
  });

  test("one changed bit is found without a manifest, whether the content could be compressed or not", async () => {
    for (const data of [randomBytes(100_000), sql.subarray(0, 100_000)]) {
      const packed = await collect(compress(inChunks(data, 65_536), { compression }));
      for (const at of [packed.length >> 1, packed.length - 1])
        await expect(unpacked(changed(packed, at), compression)).rejects.toThrow("is damaged");
    }
  });

  test("what it gives is not overwritten while it is kept", async () => {
    const kept: [Uint8Array, string][] = [];
    for await (const block of compress(inChunks(sql, 65_536), { compression, jobs: 2 }))
      kept.push([block, hash(block)]);
    for (const [block, before] of kept) expect(hash(block)).toBe(before);
  });

  test("a higher level is smaller", async () => {
    const text = await Bun.file(join(import.meta.dir, "../../bun.lock")).bytes();
    const sizes = [1, 12].map(
      async (level) => (await collect(compress(inChunks(text, 65_536), { compression, level }))).length,
    );
    const [fast, small] = await Promise.all(sizes);
    expect(small).toBeLessThan(fast ?? 0);
  });
});

describe.each(packs)("decompress %s", (compression) => {
  const one = foreign[compression](Buffer.from("hello world\n".repeat(1000)));
  const big = foreign[compression](randomBytes(300_000));

  test("reads files of other programs, of one or several parts, in chunks of any size", async () => {
    const three = Buffer.concat([one, one, one]);
    for (const bytes of [1, 2, 3, one.length, one.length + 1, 4096])
      expect(await unpacked(three, compression, bytes)).toHaveLength(36_000);
  });

  test("round trip of any content in any chunks", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 5000 }), fc.integer({ min: 1, max: 999 }), async (data, bytes) => {
        const packed = await collect(compress(inChunks(data, bytes), { compression, jobs: 1 }));
        expect((await unpacked(packed, compression, bytes)).equals(data)).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  test.each<[string, Buffer, string]>([
    ["cut short", big.subarray(0, -5), "it is cut short"],
    ["cut in the middle", big.subarray(0, 1000), "it is cut short"],
    ["cut in its second part", Buffer.concat([one, big.subarray(0, 1000)]), "it is cut short"],
    ["cut in the header of its second part", Buffer.concat([one, big.subarray(0, 2)]), "is damaged"],
    ["changed in the middle", changed(big, big.length >> 1), "is damaged"],
    ["changed in its checksum", changed(big, big.length - 2), "is damaged"],
    ["changed at its start", changed(big, 0), "neither gzip nor zstd"],
    ["changed at the start of its second part", Buffer.concat([one, changed(big, 0)]), "do not belong"],
    ["followed by garbage", Buffer.concat([one, Buffer.from("garbage, 20 bytes ..")]), "do not belong"],
    ["filled with zeros between two parts", Buffer.concat([one, Buffer.alloc(20), one]), "do not belong"],
    ["empty", Buffer.alloc(0), "it is empty"],
    ["neither packed nor text", Buffer.from("\u0001\u0002 bytes"), "neither gzip nor zstd"],
  ])("a file that is %s is refused", async (_, data, message) => {
    for (const bytes of [one.length, 65_536]) {
      const reading = unpacked(data, compression, bytes);
      await expect(reading).rejects.toThrow(message);
      await expect(reading).rejects.toThrow(`${nameOf(compression)} is damaged`);
      await reading.catch(() => {});
    }
  });

  test("F: plain SQL with the name of a compressed file is called that, with the command that helps", async () => {
    const reading = unpacked(Buffer.from("-- PostgreSQL database dump — é\n".repeat(40)), compression, 100);
    await expect(reading).rejects.toThrow(
      `${nameOf(compression)} is plain text, although its name says that it is compressed`,
    );
  });

  test("a file of two parts, cut at any byte or with any bit changed, is refused or gives the same content", async () => {
    const [first, second] = [Buffer.from("hello world ".repeat(20)), randomBytes(100)];
    const parts = [foreign[compression](first), foreign[compression](second)];
    const [whole, content] = [Buffer.concat(parts), Buffer.concat([first, second])];
    /** The content, undefined when the file is refused. */
    const read = (data: Buffer, bytes: number) => unpacked(data, compression, bytes).catch(() => undefined);
    for (const bytes of [1, 7, 100_000]) {
      for (let cut = 1; cut < whole.length; cut++)
        expect([cut, (await read(whole.subarray(0, cut), bytes)) !== undefined]).toEqual([
          cut,
          cut === parts[0]?.length, // told by the checksum and the dump's completion line
        ]);
      for (let bit = 0; bit < whole.length * 8; bit++) {
        const data = Buffer.from(whole);
        data[bit >> 3]! ^= 1 << (bit & 7);
        expect([bit, (await read(data, bytes)) ?? content]).toEqual([bit, content]);
      }
    }
  });

  test("more than it should hold is refused early", async () => {
    const bomb = foreign[compression](Buffer.alloc(50_000_000));
    let seen = 0;
    const read = async () => {
      const options = { name: nameOf(compression), uncompressedBytes: 1_000_000 };
      for await (const block of decompress(inChunks(bomb, 65_536), options)) seen += block.byteLength;
    };
    const reading = read();
    await expect(reading).rejects.toThrow("more than the 1000000 bytes");
    await reading.catch(() => {});
    expect(seen).toBeLessThanOrEqual(1_000_000);
  });

  test("an error of the source arrives as it is, and a reader that leaves ends the source", async () => {
    let ended = 0;
    const failing = async function* () {
      try {
        yield big.subarray(0, 200_000);
        throw new Error("the disk is gone");
      } finally {
        ended++;
      }
    };
    const reading = collect(decompress(failing(), { name: nameOf(compression) }));
    await expect(reading).rejects.toThrow(/^the disk is gone$/);
    await reading.catch(() => {});
    for await (const block of decompress(failing(), { name: nameOf(compression) })) {
      expect(block.byteLength).toBeGreaterThan(0);
      break;
    }
    expect(ended).toBe(2);
  });
});

describe("decompress", () => {
  test("goes by the bytes, not by the name", async () => {
    for (const compression of packs)
      expect(String(await unpacked(foreign[compression](Buffer.from("SELECT 1;")), "none"))).toBe("SELECT 1;");
    expect(String(await unpacked(foreign.gzip(Buffer.from("SELECT 1;")), "zstd"))).toBe("SELECT 1;");
  });

  test("passes plain text on, whatever its chunks, and an empty file as empty", async () => {
    expect(String(await unpacked(Buffer.from("SELECT 1;"), "none", 1))).toBe("SELECT 1;");
    expect(await unpacked(Buffer.alloc(0), "none")).toHaveLength(0);
  });

  test("reads zstd files with skippable frames (pzstd)", async () => {
    const skip = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4]);
    const frame = foreign.zstd(Buffer.from("SELECT 1;"));
    expect(String(await unpacked(Buffer.concat([skip, frame, skip, frame]), "zstd"))).toBe("SELECT 1;SELECT 1;");
  });

  test.each([
    ["xz", "fd377a585a000004"],
    ["bzip2", "425a683931415926"],
    ["zip", "504b030414000000"],
    ["custom format", "5047444d50010e00"],
    ["UTF-16", "fffe2d002d000a00"],
    ["byte order mark", "efbbbf2d2d0a"],
    ["tar format", Buffer.from(`toc.dat${"\0".repeat(250)}ustar`).toString("hex")],
    ["a tar file", Buffer.from(`app.sql${"\0".repeat(250)}ustar`).toString("hex")],
    ["error output", Buffer.from("mysqldump: [Warning] Using a password\n-- MySQL dump 10.13").toString("hex")],
  ])("%s is named and refused", async (what, start) => {
    await expect(unpacked(Buffer.from(start, "hex"), "none")).rejects.toThrow(what);
  });
});
