/** What makes a backup suspicious, as a table. */
import { expect, test } from "bun:test";
import { suspicionsOf, type Weighed } from "../../scripts-src/archive/suspicion.ts";

const of = (bytes: number, tables?: Record<string, number>, changes: Partial<Weighed> = {}): Weighed => ({
  bytes,
  uncompressedBytes: bytes * 10,
  compression: "gzip",
  tables,
  ...changes,
});
const lots = Object.fromEntries(Array.from({ length: 8 }, (_, at) => [`t${"abcdefgh"[at]}`, 3]));

test.each<[string, now: Weighed, before: Weighed, reasons: string[]]>([
  ["nothing changed", of(100, { t: 9 }), of(100, { t: 9 }), []],
  ["grown", of(900, { t: 90, u: 1 }), of(100, { t: 9 }), []],
  ["a little more than half the size", of(51), of(100), []],
  ["half the size", of(50), of(100), ["it is 50.0 % smaller than the last backup (50 B, it was 100 B)"]],
  ["nothing left", of(0), of(100), ["it is 100.0 % smaller than the last backup (0 B, it was 100 B)"]],
  ["another compression: the SQL counts", of(40, {}, { uncompressedBytes: 1000, compression: "zstd" }), of(100), []],
  [
    "another compression, and half the SQL",
    of(100, {}, { uncompressedBytes: 500, compression: "none" }),
    of(100),
    ["it is 50.0 % smaller than the last backup (500 B, it was 1000 B)"],
  ],
  ["a table gone", of(9, { a: 1 }), of(9, { a: 1, b: 1203 }), ["table b is gone (it had 1,203 rows)"]],
  ["an empty table gone", of(9, {}), of(9, { b: 0 }), ["table b is gone (it had 0 rows)"]],
  ["a table renamed", of(9, { c: 5 }), of(9, { b: 5 }), ["table b is gone (it had 5 rows)"]],
  ["partitions that come and go", of(9, { e_2026_12: 0, e_2026_11: 5 }), of(9, { e_2026_11: 5, e_2026_09: 5 }), []],
  ["a table emptied", of(9, { a: 0 }), of(9, { a: 1 }), ["table a has 0 rows (it had 1 row)"]],
  ["almost emptied", of(9, { a: 5 }), of(9, { a: 100 }), ["table a has 5 rows (it had 100 rows)"]],
  ["not quite", of(9, { a: 6 }), of(9, { a: 100 }), []],
  ["it was empty before", of(9, { a: 0 }), of(9, { a: 0 }), []],
  [
    "names of an object's own properties",
    of(9, {}),
    of(9, { constructor: 1 }),
    ["table constructor is gone (it had 1 row)"],
  ],
  ["rows that nobody knows any more", of(9), of(9, { a: 1 }), []],
  ["hostile names", of(9, {}), of(9, { "a\nb\u202e": 1 }), ["table a\\nb\\u202e is gone (it had 1 row)"]],
  [
    "many tables gone",
    of(9, {}),
    of(9, lots),
    [
      `${["a", "b", "c", "d", "e"].map((t) => `table t${t} is gone (it had 3 rows)`).join("; ")}; and 3 more like these`,
    ],
  ],
])("%s", (_, now, before, reasons) => {
  const found = suspicionsOf(now, before);
  expect(found.map(({ text }) => text)).toEqual(reasons);
  for (const { discreet } of found) expect(discreet).not.toMatch(/table [ab]|t[a-h]\b/);
});
