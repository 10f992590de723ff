/** Signatures of manifests: what is signed is the exact text, and nothing else passes for it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import {
  doubtOf,
  formatManifest,
  isSigned,
  isSignedWith,
  parseManifest,
  signed,
} from "../../scripts-src/archive/manifest.ts";
import { openBackup } from "../../scripts-src/archive/read.ts";
import { blocks } from "../support/expect/documentation.ts";
import { manifestFacts } from "../support/expect/backups.ts";
import { sha256 } from "../support/servers/storage.ts";
import { removeDir, tempDir } from "../support/machine/temp.ts";

const key = "a key of more than twenty characters";
const former = "the key before, also long enough for it";

const data = Buffer.from("SELECT 1;\n");
const name = "app_2026-01-01_03-00-00.sql";
const facts = {
  ...manifestFacts,
  database: "app",
  compression: "none" as const,
  bytes: data.length,
  sha256: sha256(data),
};
const text = (...keys: string[]) => formatManifest(facts, keys.length > 0 ? keys : undefined);

describe("a signature", () => {
  test("is the second line; without it the manifest is the same text", () => {
    const lines = text(key).split("\n");
    expect(lines[1]).toMatch(/^ {2}"signature": "[0-9a-f]{64}",$/);
    expect(lines.toSpliced(1, 1).join("\n")).toBe(text());
    expect(isSigned(parseManifest(text(key), "m", [key]))).toBe(true);
  });

  test("is that of python3's hmac, as DOCUMENTATION.md checks it, with odd characters too", () => {
    const odd = formatManifest({ ...facts, database: 'a\u007f"\ud83d\ude00\u2028ü', host: "\b\\" }, [key]);
    const folder = tempDir("by-hand");
    const { text: commands = "" } = blocks.find(({ mark }) => mark === "a signature by hand") ?? {};
    const file = /^file=(.*)$/m.exec(commands)?.[1] ?? "";
    writeFileSync(join(folder, "key"), `${key}\n`);
    writeFileSync(join(folder, file), data);
    writeFileSync(join(folder, `${file}.json`), odd);
    const { stdout } = Bun.spawnSync(["sh", "-euc", commands.replace("/root/manifest_key", "key")], { cwd: folder });
    const [signature, sum] = stdout.toString().split("\n");
    const manifest = JSON.parse(odd) as Record<"signature" | "sha256", string>;
    expect([signature, sum]).toEqual([manifest.signature, `${manifest.sha256}  ${file}`]);
  });

  test("by the first of two keys; each of the two is accepted (rotation)", () => {
    const both = [key, former];
    expect(isSigned(parseManifest(text(...both), "m", [key]))).toBe(true);
    expect(isSigned(parseManifest(text(...both), "m", [former]))).toBe(false);
    expect(isSigned(parseManifest(text(former), "m", both))).toBe(true);
    expect(isSigned(parseManifest(text("a third one, by somebody else"), "m", both))).toBe(false);
  });

  test("is not looked at without a key, and there is none without a key", () => {
    expect(text()).not.toContain("signature");
    expect(isSigned(parseManifest(text(key), "m"))).toBe(false);
    expect(isSigned(undefined)).toBe(false);
  });

  test("every change of the text is noticed", () => {
    const good = Buffer.from(text(key));
    expect(isSignedWith(good, [key])).toBe(true);
    const change = fc.tuple(
      fc.nat(good.length - 1),
      fc.integer({ min: 1, max: 255 }),
      fc.constantFrom("flip", "cut", "double"),
    );
    fc.assert(
      fc.property(change, ([at, bits, how]) => {
        const [before, after] = [good.subarray(0, at), good.subarray(at + 1)];
        const one = good.subarray(at, at + 1);
        const changed = {
          flip: [before, Buffer.from([one[0]! ^ bits]), after],
          cut: [before, after],
          double: [before, one, one, after],
        }[how];
        expect(isSignedWith(Buffer.concat(changed), [key])).toBe(false);
      }),
      { numRuns: 3000 },
    );
  });

  const [first, second, ...rest] = text(key).split("\n");
  test.each<[string, string[]]>([
    ["in the third line", [first!, rest[0]!, second!, ...rest.slice(1)]],
    ["in the first line", [second!, first!, ...rest]],
    ["twice", [first!, second!, second!, ...rest]],
    ["with a space behind it", [first!, `${second} `, ...rest]],
    ["with a carriage return", [first!, `${second}\r`, ...rest]],
    ["in capitals", [first!, second!.replace(/[0-9a-f]{64}/, (hex) => hex.toUpperCase()), ...rest]],
    ["of fewer digits", [first!, second!.replace(/[0-9a-f]{2}",$/, '",'), ...rest]],
  ])("%s is none", (_, lines) => {
    expect(isSignedWith(Buffer.from(lines.join("\n")), [key])).toBe(false);
  });

  test("signs any JSON over several lines (proofs)", () => {
    const proof = signed(`${JSON.stringify({ a: 1 }, null, 2)}\n`, [key]);
    expect(isSignedWith(Buffer.from(proof), [key])).toBe(true);
    expect(JSON.parse(proof)).toMatchObject({ a: 1 });
  });
});

describe("with MANIFEST_KEY", () => {
  const keys = [key];
  const read = (content: string) => parseManifest(content, "m", keys);

  test.each<[string, string, ReturnType<typeof read> | undefined, RegExp | undefined]>([
    ["a signed backup", name, read(text(key)), undefined],
    ["a copy under a name of its own", "copy.sql", read(text(key)), undefined],
    ["a file without a manifest", name, undefined, /no manifest/],
    ["one that is not signed", name, read(text()), /is not signed/],
    ["one signed by another key", name, read(text(former)), /changed, or was signed with another key/],
    ["one that was changed", name, read(text(key).replace("db1", "db2")), /changed, or was signed with another key/],
    [
      "an older one under a newer name",
      "app_2026-01-02_03-00-00.sql",
      read(text(key)),
      /renamed: .* of app of 2026-01-01T03/,
    ],
    ["another database's under this name", "crm_2026-01-01_03-00-00.sql", read(text(key)), /renamed: .* of app of/],
  ])("%s: %s", (_, called, manifest, why) => {
    if (why) expect(doubtOf(called, manifest, keys)?.why).toMatch(why);
    else expect(doubtOf(called, manifest, keys)).toBeUndefined();
    expect(doubtOf(called, manifest, undefined)).toBeUndefined();
  });
});

describe("opening a backup", () => {
  let dir: string;
  beforeAll(() => {
    dir = tempDir("signed");
  });
  afterAll(() => removeDir(dir));
  let count = 0;
  function place(manifest: string | undefined, content = data): string {
    const folder = join(dir, String(count++));
    mkdirSync(folder);
    writeFileSync(join(folder, name), content);
    if (manifest !== undefined) writeFileSync(join(folder, `${name}.json`), manifest);
    return join(folder, name);
  }
  const keys = { manifestKeys: [key] };

  test("tells whether it is signed", async () => {
    await using good = await openBackup(place(text(key)), { keys });
    await using unchecked = await openBackup(place(text(key)), { keys: {} });
    expect([good.signed, unchecked.signed]).toEqual([true, false]);
  });

  test.each([undefined, text(), text(former), text(key).replace("test", "tes7")])(
    "refuses what is not",
    async (manifest) => {
      const path = place(manifest);
      await expect(openBackup(path, { keys })).rejects.toMatchObject({
        message: expect.stringContaining("is refused, because MANIFEST_KEY is set"),
        hints: expect.arrayContaining([expect.stringContaining("--unsigned")]),
      });
      await using allowed = await openBackup(path, { keys, unsigned: true });
      expect(allowed.signed).toBe(false);
    },
  );

  test("a signed manifest guards the file's content", async () => {
    await using swapped = await openBackup(place(text(key), Buffer.from("SELECT 2;\n")), { keys });
    await expect(Array.fromAsync(swapped.sql())).rejects.toThrow("its checksum");
  });
});
