/** How uploads are cut into parts. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { partsAtOnce, partSize } from "../../scripts-src/storage/parts.ts";

const MiB = 1024 * 1024;
const TiB = MiB * MiB;
const partsFor = (bytes: number, expected?: number) => {
  let [parts, left] = [0, bytes];
  while (left > 0) left -= partSize(++parts, expected);
  return parts;
};

test("an object of 5 TiB fits into 10,000 parts, whatever was expected", () => {
  for (const expected of [undefined, 0, 1, 40_000 * MiB, TiB, 5 * TiB, 9 * TiB]) {
    expect(partsFor(5 * TiB, expected)).toBeLessThanOrEqual(10_000);
  }
});

test("parts are equal up to twice the expected size and no smaller than 8 MiB, no larger than 5 GiB", () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.integer({ min: 1, max: 10_000 }), (seed, number) => {
      const expected = seed % (5 * TiB);
      const size = partSize(number, expected);
      expect(size).toBeGreaterThanOrEqual(8 * MiB);
      expect(size).toBeLessThanOrEqual(5 * 1024 * MiB);
      expect(size % MiB).toBe(0);
      if (partSize(1, expected) * (number - 1) < expected) expect(size).toBe(partSize(1, expected));
      expect(partSize(number + 1, expected)).toBeGreaterThanOrEqual(size);
    }),
  );
});

test("parts on their way stay within memory", () => {
  const buffers = (expected: number) => (partsAtOnce(partSize(1, expected)) + 1) * partSize(1, expected);
  expect(buffers(0)).toBe(40 * MiB);
  expect(buffers(39_000 * MiB)).toBe(40 * MiB);
  expect(buffers(156_000 * MiB)).toBeLessThanOrEqual(96 * MiB);
  expect(buffers(5 * TiB)).toBeLessThanOrEqual(2.2 * 1024 * MiB);
});
