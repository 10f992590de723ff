import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { formatManifest, parseManifest } from "../../scripts-src/archive/manifest.ts";
import { version } from "../../scripts-src/base/version.ts";
import type { Contents } from "../../scripts-src/database/database.ts";
import { keptContents, recalledContents } from "../../scripts-src/database/kept-contents.ts";
import { DumpContents as MysqlContents } from "../../scripts-src/database/mysql/contents.ts";
import { DumpContents as PostgresContents } from "../../scripts-src/database/postgres/contents.ts";
import { manifestFacts } from "../support/expect/backups.ts";

const sha256 = "ab".repeat(32);
const file = { sha256, programVersion: version };

/** As a manifest brings it back. */
function throughManifest(kept: Record<string, unknown> | undefined): unknown {
  const text = formatManifest({
    ...manifestFacts,
    ...file,
    database: "app",
    bytes: 100,
    ...(kept && { contents: kept }),
  });
  return parseManifest(text, "app.json").contents;
}

const name = fc.oneof(fc.string(), fc.constantFrom("__proto__", "constructor", "public.t", "ä\u2028"));
const names = fc.uniqueArray(name, { maxLength: 4 });
/** Maps with one text for each key; all others have lists. */
const ofTexts = new Set(["engines"]);

/** Something that such a field can hold. */
function fieldLike(field: string, empty: unknown): fc.Arbitrary<unknown> {
  if (empty instanceof Set) return names.map((all) => new Set(all));
  if (empty instanceof Map)
    return fc.array(fc.tuple(name, ofTexts.has(field) ? name : names)).map((all) => new Map(all));
  if (Array.isArray(empty)) return names;
  return typeof empty === "number" ? fc.nat() : name;
}

/** Every field is filled, also those that come one day. */
function contentsLike(empty: Contents): fc.Arbitrary<Contents> {
  const fields = Object.fromEntries(Object.entries(empty).map(([field, value]) => [field, fieldLike(field, value)]));
  return fc.record(fields).map((filled) => Object.assign(empty, filled));
}

describe.each<[string, () => Contents]>([
  ["PostgreSQL", () => new PostgresContents()],
  ["MySQL", () => new MysqlContents()],
])("what a manifest keeps of a dump of %s", (_engine, empty) => {
  test("comes back as the reader had it", () => {
    fc.assert(
      fc.property(contentsLike(empty()), (contents) => {
        const kept = keptContents(contents, file);
        const recalled = recalledContents(empty(), throughManifest(kept), file);
        expect(recalled && { ...recalled, rows: contents.rows, bytes: contents.bytes }).toEqual({
          ...contents,
        });
      }),
    );
  });

  test("is nothing when there are too many names for a manifest", () => {
    const tables = Array.from({ length: 100_000 }, (_, i) => `schema_${i}.table`);
    expect(keptContents(Object.assign(empty(), { tables }), file)).toBeUndefined();
    expect(keptContents(Object.assign(empty(), { tables: tables.slice(0, 10_000) }), file)).toBeDefined();
  });

  test.each<[string, unknown, Partial<typeof file>]>([
    ["of another file", { fileSha256: "cd".repeat(32), tables: ["t"] }, {}],
    ["of another version", { fileSha256: sha256, tables: ["t"] }, { programVersion: "0.1.0" }],
    ["that names no file", { tables: ["t"] }, {}],
    ["that is none", 5, {}],
    ["with a list of something else", { fileSha256: sha256, tables: [5] }, {}],
    ["with a map of something else", { fileSha256: sha256, rows: { t: [5] } }, {}],
    ["with a list that is none", { fileSha256: sha256, tables: 5 }, {}],
    ["with a list in the place of a map", { fileSha256: sha256, rows: [] }, {}],
    ["with a field that is not known", { fileSha256: sha256, sequences: [] }, {}],
  ])("is not believed %s", (_what, kept, other) => {
    expect(recalledContents(empty(), kept, { ...file, ...other })).toBeUndefined();
    expect(recalledContents(empty(), { fileSha256: sha256, tables: ["t"] }, file)?.tables).toEqual(["t"]);
  });
});
