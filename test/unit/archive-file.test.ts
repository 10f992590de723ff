import { freeBytes } from "../../scripts-src/base/disk.ts";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cleanUp } from "../../scripts-src/base/cleanup.ts";
import { inFolder, prepareFolder } from "../../scripts-src/places/folder.ts";
import { freeName, listBackups, newestGood, type Sink } from "../../scripts-src/places/place.ts";
import { formatManifest, parseManifest, readManifest, type ManifestFacts } from "../../scripts-src/archive/manifest.ts";
import { canMount, withDisk } from "../support/machine/small-disk.ts";
import { testWhere } from "../support/machine/where.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "archive-"));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

const name = "app_2026-11-22_10-43-58.sql.gz";
const path = () => join(dir, name);
const begin = async (wanted = name): Promise<Sink> => {
  const file = await inFolder(dir).create(wanted, 0);
  if (!file) throw new Error(`${wanted} is taken`);
  return file;
};
const mode = (path: string) => statSync(path).mode & 0o777;

const facts: ManifestFacts = {
  database: "app",
  engine: "postgresql",
  serverVersion: "PostgreSQL 15.18",
  clientVersion: "pg_dump 15.18",
  startedAt: "2026-11-22T10:43:58.123Z",
  endedAt: "2026-11-22T10:44:58Z",
  bytes: 5,
  sha256: new Bun.CryptoHasher("sha256").update("hello").digest("hex"),
  uncompressedBytes: 5,
  compression: "gzip",
  programVersion: "0.1.0",
  host: "db1",
  site: "shop",
  dumpOptions: ["--exclude-table-data=log"],
  encoding: "UTF8",
  restoreCommand: `gunzip -c ${name} | psql app`,
};

describe("a backup file", () => {
  test("is hidden until it is committed, then stands there with its manifest, 0600 (shell 1.1)", async () => {
    const file = await begin();
    await file.write(Buffer.from("hel"));
    await file.write(Buffer.from("lo"));
    expect(readdirSync(dir)).toEqual([`.${name}.partial`]);
    expect(await listBackups(inFolder(dir))).toEqual([]);
    expect(mode(join(dir, `.${name}.partial`))).toBe(0o600);
    await file.commit(text());
    expect(readdirSync(dir).toSorted()).toEqual([name, `${name}.json`]);
    expect(readFileSync(path(), "utf8")).toBe("hello");
    expect([mode(path()), mode(`${path()}.json`)]).toEqual([0o600, 0o600]);
    expect(await readManifest(`${path()}.json`)).toEqual({ formatVersion: 1, ...facts });
    await file.discard();
    expect(readdirSync(dir)).toHaveLength(2);
  });

  test.each<[string, (file: Sink) => unknown]>([
    ["discarded", (file) => file.discard()],
    ["ended abruptly", cleanUp],
  ])("that is %s leaves nothing", async (_, end) => {
    const file = await begin();
    await file.write(Buffer.from("hello"));
    await end(file);
    expect(readdirSync(dir)).toEqual([]);
    await expect(file.commit(text())).rejects.toThrow("it was discarded");
  });

  test("leaves nothing when it cannot be renamed after the manifest was written", async () => {
    const file = await begin();
    await file.write(Buffer.from("hello"));
    mkdirSync(join(dir, name)); // a folder cannot be replaced by a file: the second rename fails
    const commit = file.commit(text());
    await expect(commit).rejects.toThrow(`cannot finish ${path()}`);
    await commit.catch(() => {});
    expect(readdirSync(dir)).toEqual([name]);
    expect(statSync(path()).isDirectory()).toBe(true);
  });

  test("two in one second: the second gets -2, whatever its compression; names in S3 count (container 4.5)", () => {
    const used = new Set<string>();
    const next = (compression: "gzip" | "zstd") => {
      const wanted = { database: "app", time: new Date("2026-11-22T10:43:58.7Z"), compression, encrypted: false };
      const free = freeName(wanted, used);
      used.add(free);
      return free;
    };
    expect([next("gzip"), next("zstd"), next("gzip")]).toEqual([
      name,
      "app_2026-11-22_10-43-58-2.sql.zst",
      "app_2026-11-22_10-43-58-3.sql.gz",
    ]);
    // not one that retention has freed: it would be older than the others
    used.delete(name);
    expect(next("gzip")).toBe("app_2026-11-22_10-43-58-4.sql.gz");
    used.add(".app_2026-11-22_10-43-58-6.sql.gz.age.json.partial");
    expect(next("gzip")).toBe("app_2026-11-22_10-43-58-7.sql.gz");
  });

  test.each([name, `${name}.json`])("is not begun where %s exists: nothing replaces it", async (there) => {
    writeFileSync(join(dir, there), "precious");
    expect(await inFolder(dir).create(name, 0)).toBeUndefined();
    expect(readFileSync(join(dir, there), "utf8")).toBe("precious");
  });

  test("a planted partial file or link is not followed", async () => {
    writeFileSync(join(dir, "victim"), "precious");
    symlinkSync(join(dir, "victim"), join(dir, `.${name}.partial`));
    expect(await inFolder(dir).create(name, 0)).toBeUndefined();
    expect(readFileSync(join(dir, "victim"), "utf8")).toBe("precious");
  });

  test("a name too long for the file system is an error that says so", async () => {
    const named = (database: string) => name.replace("app", database);
    await expect(begin(named("%E6%95%B0".repeat(64)))).rejects.toThrow("name is too long");
    // room for the file's own name while it is written, none for its manifest's
    await expect(begin(named("a".repeat(217)))).rejects.toThrow("name is too long");
    expect(readdirSync(dir)).toEqual([]);
  });

  testWhere(canMount, "mounts")("a full disk is an error that says so and leaves nothing", () =>
    withDisk("size=64k", dir, async () => {
      const file = await begin();
      const fill = async () => {
        for (let i = 0; i < 100; i++) await file.write(new Uint8Array(10_000));
      };
      await expect(fill()).rejects.toThrow(`cannot write ${path()}: no space left on device`);
      await file.discard();
      expect(readdirSync(dir)).toEqual([]);
    }),
  );
});

describe("the backup folder", () => {
  test("is created with its parents, 0700 (shell 1.5)", async () => {
    const path = join(dir, "a", "b");
    await prepareFolder(path);
    expect([mode(join(dir, "a")), mode(path)]).toEqual([0o700, 0o700]);
    await prepareFolder(path);
    expect(await freeBytes(path)).toBeGreaterThan(0);
  });

  test("that everybody may write to is refused", async () => {
    chmodSync(dir, 0o1777);
    await expect(prepareFolder(dir)).rejects.toThrow("every user can write to");
  });

  test("that is a file, or lies below one, is refused", async () => {
    const path = join(dir, "file");
    writeFileSync(path, "");
    await expect(prepareFolder(path)).rejects.toThrow(`cannot create the backup folder ${path}: a file`);
    await expect(prepareFolder(join(path, "x"))).rejects.toThrow("a part of the path is a file");
  });

  test("may be a symbolic link of ours", async () => {
    mkdirSync(join(dir, "real"));
    symlinkSync(join(dir, "real"), join(dir, "link"));
    await prepareFolder(join(dir, "link"));
    expect(await listBackups(inFolder(join(dir, "link")))).toEqual([]);
  });

  test("lists backups oldest first, of one database when asked, and knows which are finished", async () => {
    const files = [
      "app_2026-11-22_10-43-58-10.sql.gz",
      "app_2026-11-22_10-43-58-2.sql.gz",
      "app_2026-11-22_10-43-58.sql",
      "app_2026-11-21_23-00-00.sql.zst",
      "app-staging_2025-01-01_00-00-00.sql.gz",
    ];
    for (const file of files) writeFileSync(join(dir, file), "12345");
    for (const file of files.slice(2)) writeFileSync(join(dir, `${file}.json`), "{}");
    for (const file of ["notes.txt", ".app_2026-11-22_10-43-58.sql.gz.partial"]) writeFileSync(join(dir, file), "");
    mkdirSync(join(dir, "app_2020-01-01_00-00-00.sql.gz"));
    const all = await listBackups(inFolder(dir));
    expect(all.map((backup) => backup.name)).toEqual(files.toReversed());
    const ours = await listBackups(inFolder(dir), "app");
    expect(ours.map(({ name: each, committed }) => [each, committed])).toEqual([
      [files[3]!, true],
      [files[2]!, true],
      [files[1]!, false],
      [files[0]!, false],
    ]);
    expect(newestGood(ours)).toMatchObject({ name: files[2]!, bytes: 5 });
  });

  test("that does not exist holds no backups", async () => {
    expect(await listBackups(inFolder(join(dir, "none")))).toEqual([]);
  });

  test("is swept of what a dead run of this database left, and of nothing else", async () => {
    const good = "app_2026-11-20_00-00-00.sql.gz";
    const keep = [good, `${good}.json`, ".app-staging_2026-11-22_10-43-58.sql.gz.partial", ".notes.partial", "x.json"];
    const stale = [`.${name}.partial`, `${name}.json`, ".app_2026-11-21_00-00-00.sql.json.partial", `.${good}.partial`];
    for (const file of [...keep, ...stale]) writeFileSync(join(dir, file), "");
    await inFolder(dir).sweep("app");
    expect(readdirSync(dir).toSorted()).toEqual(keep.toSorted());
  });
});

const text = () => formatManifest(facts);

describe("a manifest", () => {
  test("is read back as it was written, with fields of a later version", () => {
    const later = JSON.stringify({ ...JSON.parse(text()), rows: 7 });
    expect(parseManifest(later, "m")).toEqual(JSON.parse(later));
  });

  test.each<[string, () => string, string]>([
    ["cut short", () => text().slice(0, 100), "manifest m is damaged"],
    ["empty", () => "", "manifest m is damaged"],
    ["without a field", () => text().replace('"sha256"', '"sha"'), "manifest m is damaged: it lacks sha256"],
    [
      "without any field",
      () => "{}",
      "manifest m is damaged: it lacks formatVersion, database, engine, serverVersion, clientVersion, startedAt, endedAt, bytes, " +
        "sha256, uncompressedBytes, compression, programVersion, host, site, dumpOptions, encoding, restoreCommand",
    ],
    ["a negative size", () => text().replace('"bytes": 5', '"bytes": -1'), "bytes"],
    ["not an object", () => "[]", "manifest m is damaged"],
    ["of a later format", () => text().replace('"formatVersion": 1', '"formatVersion": 2'), "has format 2"],
  ])("%s is refused", (_, damaged, message) => {
    expect(() => parseManifest(damaged(), "m")).toThrow(message);
  });

  test("that is not there is undefined; one that cannot be read is an error", async () => {
    expect(await readManifest(join(dir, "none.json"))).toBeUndefined();
    await expect(readManifest(dir)).rejects.toThrow(`cannot open ${dir}: it is a folder, not a file`);
  });
});
