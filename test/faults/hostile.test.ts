/** Hostile input: nothing crashes with a stack trace, writes outside its folder, fills the memory, or becomes a command. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { parseManifest } from "../../scripts-src/archive/manifest.ts";
import { collectSmall } from "../../scripts-src/archive/plain-file.ts";
import { dumpReader } from "../../scripts-src/database/postgres/reader.ts";
import { readDump } from "../../scripts-src/database/read-dump.ts";
import { Failure } from "../../scripts-src/base/errors.ts";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { expectFailure, expectSuccess } from "../support/expect/expect.ts";
import { readManifest } from "../support/machine/files.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { type S3Server, startS3Server } from "../support/servers/s3-server.ts";
import { noise, open, s3Settings } from "../support/servers/storage.ts";
import { tempDir } from "../support/machine/temp.ts";

const mebibyte = 1_048_576;

/** What `work` throws is an error for people, if it throws. */
async function expectNoCrash(work: () => unknown): Promise<void> {
  try {
    await work();
  } catch (error) {
    expect(error).toBeInstanceOf(Failure);
  }
}

describe("manifests", () => {
  const good = JSON.stringify({
    formatVersion: 1,
    database: "app",
    engine: "postgresql",
    serverVersion: "PostgreSQL 15.1",
    clientVersion: "pg_dump 15.1",
    startedAt: "2026-01-01T00:00:00.000Z",
    endedAt: "2026-01-01T00:00:01.000Z",
    bytes: 1,
    sha256: "0".repeat(64),
    uncompressedBytes: 1,
    compression: "gzip",
    programVersion: "1",
    host: "h",
    site: "s",
    dumpOptions: [],
    encoding: "UTF8",
    restoreCommand: "true",
  });

  test("the one that is changed below is good", () => {
    expect(parseManifest(good, "m").database).toBe("app");
  });

  test("any change of any field is a manifest or an error for people", () => {
    const fields = fc.constantFrom(...Object.keys(JSON.parse(good) as object), "__proto__", "constructor");
    return fc.assert(
      fc.asyncProperty(fields, fc.jsonValue(), (field, value) => {
        const text = JSON.stringify({ ...(JSON.parse(good) as object), [field]: value });
        return expectNoCrash(() => parseManifest(text, "m"));
      }),
      { numRuns: 1000 },
    );
  });

  test("what a part of it lacks is called by its name", () => {
    const text = good.replace("{", '{"identity":{"server":"db:5432"},');
    expect(() => parseManifest(text, "m")).toThrow("m is damaged: it lacks identity.site, identity.siteIsSet");
  });

  test("any text, and any text cut or overwritten, is an error for people", () => {
    const at = fc.nat({ max: good.length });
    return fc.assert(
      fc.asyncProperty(at, at, fc.string({ unit: "binary" }), (from, to, text) =>
        expectNoCrash(() => parseManifest(good.slice(0, from) + text + good.slice(to), "m")),
      ),
      { numRuns: 1000 },
    );
  });

  test.each(["[".repeat(100_000), `{"a":`.repeat(50_000), "1e999", '"\\ud800"', "null", ""])(
    "deep, odd or empty JSON is an error for people: %#",
    (text) => expect(() => parseManifest(text, "m")).toThrow(Failure),
  );

  test("one from S3 is read no further than a manifest can be long", async () => {
    let given = 0;
    async function* endless() {
      for (;;) {
        given += 65_536;
        yield new Uint8Array(65_536).fill(0x20);
      }
    }
    await expect(collectSmall(endless(), "m")).rejects.toThrow("m is damaged: it has more than 16777216 bytes");
    expect(given).toBeLessThan(17 * mebibyte);
  });
});

describe("dumps", () => {
  const head = `--\n-- PostgreSQL database dump\n--\n\n-- Dumped from database version 15.1\n${"--\n".repeat(2000)}`;
  test.each([
    ["a word", "a"],
    ["a psql command", "\\restrict a"],
    ["a dollar quote's tag", "$a"],
    ["zero bytes", "\0"],
    ["a comment in comments", "/*"],
    ["opening parentheses", "("],
    ["a string", "'a"],
    ["an identifier", '"a'],
    ["a comment", "-- a"],
  ])("that go on for ever with %s end in an error or are passed on in pieces", async (_, start) => {
    let given = 0;
    async function* bomb() {
      yield Buffer.from(`${head}${start}`);
      const block = Buffer.from(start.slice(-1).repeat(mebibyte));
      for (; given < 6 * mebibyte; given += block.length) yield block;
    }
    await expect(readDump(dumpReader(), bomb())).rejects.toBeInstanceOf(Failure);
  });
});

describe("answers of an S3 server", () => {
  let server: S3Server;
  beforeAll(() => {
    server = startS3Server();
  });
  afterAll(() => server.stop());
  afterEach(() => server.faults.splice(0));

  /** A bucket with a backup, its manifest and others, whose listings are changed on the way. */
  async function listing(mangle: (body: string) => string) {
    const bucket = await server.newBucket();
    const { storage } = await open(server, bucket, {}, [1]);
    await storage.put("app_2026-01-01_00-00-00.sql.gz", noise(10));
    await storage.put("notes", noise(10));
    server.faults.push({ operation: "ListObjectsV2", mangle });
    const names: string[] = [];
    for await (const { name } of storage.list()) {
      names.push(name);
      if (names.length > 10_000) throw new Failure("endless");
    }
    return names;
  }

  test.each<[string, (body: string) => string]>([
    ["nothing", () => ""],
    ["a web page", () => "<!doctype html><html><body><p>Welcome<br></body></html>"],
    ["JSON", () => '{"Contents":[]}'],
    ["cut short", (body) => body.slice(0, -40)],
    ["a key that is encoded wrongly", (body) => body.replace("notes", "%zz%")],
    ["a key that climbs out", (body) => body.replace("notes", "..%2F..%2Fetc%2Fpasswd")],
    ["a size that is none", (body) => body.replace(/<Size>\d+/, "<Size>-1e99")],
    ["a date that is none", (body) => body.replace(/<LastModified>[^<]*/, "<LastModified>yesterday")],
    ["no key", (body) => body.replace(/<Key>[^<]*<\/Key>/, "")],
    [
      "more, without end",
      (body) => body.replace("<IsTruncated>false", "<NextContinuationToken>x</NextContinuationToken><IsTruncated>true"),
    ],
    ["nested a thousand deep", (body) => body.replace("<Key>", "<a>".repeat(1000))],
    [
      "entities that multiply",
      (body) =>
        body
          .replace("?>", `?><!DOCTYPE x [<!ENTITY a "${"a".repeat(1000)}"><!ENTITY b "${"&a;".repeat(1000)}">]>`)
          .replace("notes", "&b;&b;&b;"),
    ],
    ["ten megabytes of one key", (body) => body.replace("notes", "n".repeat(10 * mebibyte))],
  ])("a listing: %s", (_, mangle) => expectNoCrash(() => listing(mangle)));

  test("a listing with anything anywhere", () => {
    const odd = fc.constantFrom(
      "<",
      ">",
      "&",
      "&#0;",
      "]]>",
      "<!--",
      "%",
      "\0",
      "</Contents>",
      "<Key>",
      "é",
      "\u{1f600}",
    );
    return fc.assert(
      fc.asyncProperty(fc.double({ min: 0, max: 1, noNaN: true }), odd, fc.nat({ max: 40 }), (where, text, removed) =>
        expectNoCrash(() =>
          listing((body) => {
            const at = Math.floor(where * body.length);
            return body.slice(0, at) + text + body.slice(at + removed);
          }),
        ),
      ),
      { numRuns: 60 },
    );
  });
});

describe("by the executables", () => {
  let server: PostgresServer;
  let s3: S3Server;
  let scripts: Installation;
  beforeAll(async () => {
    server = await startPostgres(15);
    s3 = startS3Server();
  });
  afterAll(async () => {
    await s3.stop();
    await server.stop();
  });
  afterEach(() => scripts.remove());

  test.each([
    "../a/b\n{x} $(touch evil) `id` \"q\" 'q' %s%n ü\u{1f600} \\! x",
    "--help",
    "..",
    "host=203.0.113.1 dbname=x",
    "postgres://203.0.113.1/x",
  ])("a database named %j is backed up and restored, by us and by the stock command", async (name) => {
    await server.createDatabase(name, "CREATE TABLE t AS SELECT 42 AS a");
    scripts = installScripts();
    const before = readdirSync(scripts.dir);
    const env = server.settings(name); // no .env.sh can hold all of these
    const ran = await scripts.run("backup", [], { env });
    expectSuccess(ran);
    const [file = "", ...others] = scripts.list();
    expect([ran.stdout, others]).toEqual([`${join(scripts.backups, file)}\n`, []]);
    expect(ran.stderr.split("\n").filter((line) => line && !/^(\d{4}-\S+ [A-Z]+ backup: | {4})/.test(line))).toEqual(
      [],
    );
    expect(readdirSync(scripts.dir).toSorted()).toEqual([...before, "backups"].toSorted());

    await server.sql(name, "UPDATE t SET a = 1");
    expectSuccess(await scripts.run("restore", [], { env }));
    expect(await server.sql(name, "SELECT a FROM t")).toBe("42");

    await server.dropDatabase(name);
    await server.createDatabase(name);
    const { restoreCommand } = readManifest(join(scripts.backups, file));
    const stock = Bun.spawnSync(["/bin/sh", "-c", String(restoreCommand)], {
      cwd: scripts.backups,
      env: { ...server.env("postgres"), PATH: `${server.clientDir}:${process.env.PATH}`, PGCONNECT_TIMEOUT: "50" },
    });
    expect(stock.stderr.toString()).not.toMatch(/error/i);
    expect(await server.sql(name, "SELECT a FROM t")).toBe("42");
    const left = scripts.everything().filter((one) => !one.startsWith(".") && one !== "before-restore");
    expect(left).toEqual([file, `${file}.json`]);
    await server.dropDatabase(name);
  });

  test("a manifest of many megabytes in S3 ends the restore before anything is touched", async () => {
    await server.createDatabase("app", "CREATE TABLE t AS SELECT 42 AS a");
    const bucket = await s3.newBucket();
    scripts = installScripts({ ...server.settings("app"), ...s3Settings(s3, bucket) });
    const { storage } = await open(s3, bucket);
    await storage.put("app_2026-01-01_00-00-00.sql.gz", noise(10));
    await storage.put("app_2026-01-01_00-00-00.sql.gz.json", noise(17 * mebibyte));
    expectFailure(
      await scripts.run("restore", ["--from-s3"]),
      /s3:.*\.json is damaged: it has more than 16777216 bytes/,
    );
    expect(await server.sql("app", "SELECT a FROM t")).toBe("42");
  });

  test("a gzip bomb without a manifest ends in an error", async () => {
    scripts = installScripts({ ...server.settings("postgres") });
    const head = "--\n-- PostgreSQL database dump\n--\n\n";
    const bomb = Bun.gzipSync(new Uint8Array(64 * mebibyte).fill(0x61));
    const file = join(tempDir("bomb"), "bomb.sql.gz");
    writeFileSync(file, Buffer.concat([Bun.gzipSync(head), ...Array.from({ length: 16 }, () => bomb)]));
    expectFailure(await scripts.run("restore", [file]), /does not end within a megabyte/);
  });

  test.each(["../../etc/passwd", "--", "-x", "app_2026-01-01_00-00-00.sql.gz/../../x", "\n"])(
    "a file named %j is no backup",
    async (name) => {
      scripts = installScripts({ ...server.settings("postgres"), ...s3Settings(s3, await s3.newBucket()) });
      const ran = await scripts.run("restore", ["--from-s3", "--", name]);
      expectFailure(ran, /no backup/, 4);
    },
  );
});
