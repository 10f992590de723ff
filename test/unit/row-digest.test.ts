import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { RowBuckets, RowDigest } from "../../scripts-src/database/row-digest.ts";

const rows = (...texts: string[]) => texts.map((text) => Buffer.from(text));
const digestOf = (all: readonly Uint8Array[]) => {
  const digest = new RowDigest();
  for (const row of all) digest.add(row, 0, row.length);
  return digest;
};
/** Short and long ones, many alike. */
const someRow = fc.oneof(
  fc.constantFrom("", "a", "b", "1\tx", "x\t1", "\\N").map((text) => Buffer.from(text)),
  fc.uint8Array({ maxLength: 600 }),
);

describe("digests of rows", () => {
  test("do not depend on the order of rows", () => {
    fc.assert(
      fc.property(
        fc
          .array(someRow)
          .chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }))),
        ([all, shuffled]) => digestOf(all).equals(digestOf(shuffled)),
      ),
    );
  });

  test.each([
    ["one changed", rows("1\ta", "2\tb"), rows("1\ta", "2\tc")],
    ["one missing", rows("1\ta", "2\tb"), rows("1\ta")],
    ["one twice", rows("1\ta", "2\tb"), rows("1\ta", "2\tb", "2\tb")],
    ["one of two equal ones twice more", rows("a", "a"), rows("a", "a", "a", "a")],
    ["values swapped between rows", rows("1\ta", "2\tb"), rows("1\tb", "2\ta")],
    ["columns swapped within a row", rows("a\tb"), rows("b\ta")],
    ["a long row changed in its last byte", rows("x".repeat(5000)), rows(`${"x".repeat(4999)}y`)],
    ["an empty row and none", rows(""), rows()],
  ])("differ: %s", (_, some, others) => {
    expect(digestOf(some).equals(digestOf(others))).toBe(false);
  });

  test("differ after any change of one byte", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 600 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (row, at, by) => {
          const changed = Uint8Array.from(row, (byte, index) => (index === at % row.length ? byte ^ by : byte));
          return !digestOf([row]).equals(digestOf([changed]));
        },
      ),
    );
  });

  test("buckets find the few rows that differ among many, on both sides, duplicates included", () => {
    const buckets = new RowBuckets();
    const left = Array.from({ length: 20_000 }, (_, n) => Buffer.from(`${n}\trow ${n * 7}`));
    const right = left
      .filter((_, n) => n !== 777)
      .map((row, n) => (n === 12_345 ? Buffer.from("12346\tCHANGED") : row));
    left.push(...rows("twin", "twin"));
    right.push(...rows("twin"));
    for (const row of left) buckets.add(row, 0, row.length);
    for (const row of right) buckets.remove(row, 0, row.length);
    const { added, removed } = buckets.remainder();
    const only = (all: Buffer[], set: typeof added) => all.filter((row) => set.take(row, 0, row.length)).map(String);
    expect(only(left, added)).toEqual(["777\trow 5439", "12346\trow 86422", "twin"]);
    expect(only(right, removed)).toEqual(["12346\tCHANGED"]);
  });
});
