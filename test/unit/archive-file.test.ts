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
import { createBackupFile, type NewBackup } from "../../scripts-src/places/file.ts";
import { freeBytes, listBackups, newestGood, prepareFolder, sweepPartials } from "../../scripts-src/places/folder.ts";
import { formatManifest, parseManifest, readManifest, type ManifestFacts } from "../../scripts-src/archive/manifest.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "archive-"));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
});

const name = "app_2026-11-22_10-43-58.sql.gz";
const wanted: NewBackup = {
  database: "app",
  compression: "gzip",
  encrypted: false,
  time: new Date("2026-11-22T10:43:58Z"),
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
    const file = await createBackupFile(dir, wanted);
    await file.write(Buffer.from("hel"));
    await file.write(Buffer.from("lo"));
    expect(readdirSync(dir)).toEqual([`.${name}.partial`]);
    expect(await listBackups(dir)).toEqual([]);
    expect(mode(join(dir, `.${name}.partial`))).toBe(0o600);
    await file.commit(facts);
    expect(readdirSync(dir).toSorted()).toEqual([name, `${name}.json`]);
    expect(readFileSync(file.path, "utf8")).toBe("hello");
    expect([mode(file.path), mode(`${file.path}.json`)]).toEqual([0o600, 0o600]);
    expect(await readManifest(`${file.path}.json`)).toEqual({ formatVersion: 1, ...facts });
    await file.discard();
    expect(readdirSync(dir)).toHaveLength(2);
  });

  test.each(["discard", "discardSync"] as const)("%s leaves nothing", async (give) => {
    const file = await createBackupFile(dir, wanted);
    await file.write(Buffer.from("hello"));
    await file[give]();
    expect(readdirSync(dir)).toEqual([]);
    expect(file.commit(facts)).rejects.toThrow("given up");
  });

  test("leaves nothing when the manifest cannot be made", async () => {
    const file = await createBackupFile(dir, wanted);
    await file.write(Buffer.from("hello"));
    const commit = file.commit({ ...facts, sha256: "not a checksum" });
    expect(commit).rejects.toThrow("sha256");
    await commit.catch(() => {});
    expect(readdirSync(dir)).toEqual([]);
  });

  test("leaves nothing when it cannot be renamed after the manifest was written", async () => {
    const file = await createBackupFile(dir, wanted);
    await file.write(Buffer.from("hello"));
    mkdirSync(join(dir, name)); // a folder cannot be replaced by a file: the second rename fails
    const commit = file.commit(facts);
    expect(commit).rejects.toThrow(`cannot finish ${file.path}`);
    await commit.catch(() => {});
    expect(readdirSync(dir)).toEqual([name]);
    expect(statSync(file.path).isDirectory()).toBe(true);
  });

  test("two in one second: the second gets -2, whatever its compression; names in S3 count (container 4.5)", async () => {
    const names: string[] = [];
    for (const compression of ["gzip", "zstd", "gzip"] as const) {
      const file = await createBackupFile(dir, { ...wanted, compression });
      await file.commit(facts);
      names.push(file.name);
    }
    const taken = new Set(["app_2026-11-22_10-43-58-4.sql"]);
    const last = await createBackupFile(dir, { ...wanted, taken });
    names.push(last.name);
    await last.discard();
    expect(names).toEqual([
      name,
      "app_2026-11-22_10-43-58-2.sql.zst",
      "app_2026-11-22_10-43-58-3.sql.gz",
      "app_2026-11-22_10-43-58-5.sql.gz",
    ]);
  });

  test("a planted partial file or link is not followed", async () => {
    writeFileSync(join(dir, "victim"), "precious");
    symlinkSync(join(dir, "victim"), join(dir, `.${name}.partial`));
    const file = await createBackupFile(dir, wanted);
    expect(file.name).toBe("app_2026-11-22_10-43-58-2.sql.gz");
    await file.write(Buffer.from("hello"));
    expect(readFileSync(join(dir, "victim"), "utf8")).toBe("precious");
    await file.discard();
  });

  test("a name too long for the file system is an error that says so", () => {
    expect(createBackupFile(dir, { ...wanted, database: "数".repeat(64) })).rejects.toThrow("name is too long");
    // room for the file's own name while it is written, none for its manifest's
    expect(createBackupFile(dir, { ...wanted, database: "a".repeat(217) })).rejects.toThrow("name is too long");
    expect(readdirSync(dir)).toEqual([]);
  });

  test("a full disk is an error that says so and leaves nothing", async () => {
    const mounted = Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", dir]);
    if (!mounted.success) return console.warn("not root: the full disk is tested in test/acceptance only");
    try {
      const file = await createBackupFile(dir, wanted);
      const fill = async () => {
        for (let i = 0; i < 100; i++) await file.write(new Uint8Array(10_000));
      };
      const filled = fill();
      expect(filled).rejects.toThrow(`cannot write ${file.path}: no space left on device`);
      await filled.catch(() => {});
      await file.discard();
      expect(readdirSync(dir)).toEqual([]);
    } finally {
      Bun.spawnSync(["umount", dir]);
    }
  });
});

describe("the backup folder", () => {
  test("is created with its parents, 0700 (shell 1.5)", async () => {
    const path = join(dir, "a", "b");
    await prepareFolder(path);
    expect([mode(join(dir, "a")), mode(path)]).toEqual([0o700, 0o700]);
    await prepareFolder(path);
    expect(await freeBytes(path)).toBeGreaterThan(0);
  });

  test("that everybody may write to is refused", () => {
    chmodSync(dir, 0o1777);
    expect(prepareFolder(dir)).rejects.toThrow("may be written by everybody");
  });

  test("that is a file, or lies below one, is refused", async () => {
    const path = join(dir, "file");
    writeFileSync(path, "");
    expect(prepareFolder(path)).rejects.toThrow(`cannot create the backup folder ${path}: a file`);
    expect(prepareFolder(join(path, "x"))).rejects.toThrow("a part of the path is a file");
  });

  test("may be a symbolic link of ours", async () => {
    mkdirSync(join(dir, "real"));
    symlinkSync(join(dir, "real"), join(dir, "link"));
    await prepareFolder(join(dir, "link"));
    expect(await listBackups(join(dir, "link"))).toEqual([]);
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
    const all = await listBackups(dir);
    expect(all.map((backup) => backup.name)).toEqual(files.toReversed());
    const ours = await listBackups(dir, "app");
    expect(ours.map(({ name: each, committed }) => [each, committed])).toEqual([
      [files[3]!, true],
      [files[2]!, true],
      [files[1]!, false],
      [files[0]!, false],
    ]);
    expect(newestGood(ours)).toMatchObject({ name: files[2]!, path: join(dir, files[2]!), bytes: 5 });
  });

  test("that does not exist holds no backups", async () => {
    expect(await listBackups(join(dir, "none"))).toEqual([]);
  });

  test("is swept of what a dead run of this database left, and of nothing else", async () => {
    const good = "app_2026-11-20_00-00-00.sql.gz";
    const keep = [good, `${good}.json`, ".app-staging_2026-11-22_10-43-58.sql.gz.partial", ".notes.partial", "x.json"];
    const stale = [`.${name}.partial`, `${name}.json`, ".app_2026-11-21_00-00-00.sql.json.partial", `.${good}.partial`];
    for (const file of [...keep, ...stale]) writeFileSync(join(dir, file), "");
    expect((await sweepPartials(dir, "app")).toSorted()).toEqual(stale.toSorted());
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
    expect(readManifest(dir)).rejects.toThrow(`${dir} is damaged: it is not a file`);
  });
});
