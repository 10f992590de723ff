/**
 * kill -9 at random moments, in a loop: what looks like a backup is one, the earlier ones are as they were, and the next run
 * succeeds and sweeps what was left. FAULTS_SECONDS sets how long, FAULTS_SEED repeats. MySQL's loops are in kill-mysql.
 */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { copyFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { decrypted, sealing } from "../support/expect/age.ts";
import { removeBackup, writeBackup } from "../support/expect/backups.ts";
import { backupName, type Installation, installScripts } from "../support/machine/executables.ts";
import { expectSuccess, type Folder } from "../support/expect/expect.ts";
import {
  expectGoodFiles,
  expectGoodObjects,
  expectManifest,
  hiddenIn,
  killer,
  limit,
  loop,
  newestObject,
  placeOld,
  removeNew,
  timed,
} from "../support/machine/kill.ts";
import { expectSame, type State, stateOf } from "../support/expect/oracle.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { type S3Server, startS3Server } from "../support/servers/s3-server.ts";
import { noise, s3Settings, sha256 } from "../support/servers/storage.ts";
import { until } from "../support/machine/until.ts";

const { below, next, killInTime, killSomewhere } = killer("kill -9");

/** Of the time, for each of the loops here. */
const share = 0.15;

let server: PostgresServer;
let s3: S3Server;
let bucket: string;
let scripts: Installation;
let source: Content;

beforeAll(async () => {
  server = await startPostgres(15);
  s3 = startS3Server();
  // 9.5 MB of SQL: two parts when it is not compressed
  const row = "md5(i::text) || md5((-i)::text) || md5((2 * i)::text) || md5((3 * i)::text)";
  await server.createDatabase(
    "app",
    `CREATE TABLE large AS SELECT i, ${row} AS noise FROM generate_series(1, 70000) i`,
  );
  source = await contentOf("app");
  bucket = await s3.newBucket();
  scripts = installScripts();
});
afterEach(async () => {
  s3.faults.length = 0;
  scripts.remove();
  bucket = await s3.newBucket();
  scripts = installScripts();
});
afterAll(async () => {
  scripts.remove();
  await s3.stop();
  await server.stop();
});

const sealed = sealing();
const settings = () => ({ ...server.settings("app"), ...s3Settings(s3, bucket) });
const local = (name: string) => join(scripts.backups, name);
const place = () => ({ scripts, s3 });
const goodFiles = (earlier: Folder) => expectGoodFiles(scripts.backups, earlier);
const hidden = () => hiddenIn(scripts.backups);

interface Content {
  schema: State;
  rows: string;
}
/** What is in a database; its rows in any order, since a restore loads them over several sessions. */
const contentOf = async (database: string): Promise<Content> => ({
  schema: await stateOf(server, database, ["--schema-only"]),
  rows: await server.sql(database, "SELECT count(*), sum(hashtextextended(large::text, 0)) FROM large"),
});

/** The newest backup holds the database as it is. */
async function expectRestores(args: string[] = []): Promise<void> {
  await server.dropDatabase("copy");
  await server.createDatabase("copy");
  const newest = scripts.list().findLast((name) => name.startsWith("app_2") && !name.startsWith("app_2023"));
  const which = args.length > 0 ? args : [local(newest ?? "")];
  expectSuccess(await scripts.run("restore", which, { env: { DB_NAME: "copy" } }));
  const copy = await contentOf("copy");
  expect(copy.rows).toBe(source.rows);
  expectSame("copy", source.schema, copy.schema);
}

test(
  "backup, encrypted and signed",
  async () => {
    const earlier = placeOld(scripts);
    scripts.configure({ ...settings(), ...sealed });
    const usual = await timed(async () => expectSuccess(await scripts.run("backup")));
    await loop(
      "backup",
      share,
      () => killSomewhere(place(), "backup", [], usual, []),
      () => {
        goodFiles(earlier);
        if (scripts.list().length > 8) removeNew(scripts.backups, earlier);
      },
    );
    expectSuccess(await scripts.run("backup"));
    goodFiles(earlier);
    expect(hidden()).toEqual([]);
    const manifests = scripts.everything().filter((name) => /^[^.].*\.json$/.test(name));
    expect(manifests.map((name) => name.slice(0, -5)).toSorted()).toEqual(scripts.list());
    await expectRestores();
  },
  limit,
);

test.each([
  ["true", {}],
  ["false", sealed],
])(
  "backup --upload, BACKUP_KEEP_LOCAL=%s (false: encrypted and signed)",
  async (keep, sealing) => {
    const earlier = placeOld(scripts);
    for (const name of Object.keys(earlier)) store(name, readFileSync(local(name)));
    const objectsBefore = new Map(s3.objects(bucket));
    scripts.configure({ ...settings(), ...sealing, BACKUP_KEEP_LOCAL: keep, BACKUP_COMPRESSION: "none" });
    const open = (body: Buffer) => (keep === "true" ? body : decrypted(body, sealed.AGE_IDENTITY_FILE));
    const usual = await timed(async () => expectSuccess(await scripts.run("backup", ["--upload"])));
    const asks = ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "HeadObject", "PutObject"] as const;
    await loop(
      `backup --upload, BACKUP_KEEP_LOCAL=${keep}`,
      share,
      () => killSomewhere(place(), "backup", ["--upload"], usual, asks),
      () => {
        goodFiles(earlier);
        expectGoodObjects(s3.objects(bucket), objectsBefore, "-- PostgreSQL database dump complete", open);
        if (scripts.list().length > 6) removeNew(scripts.backups, earlier);
        for (const key of [...s3.objects(bucket).keys()].slice(0, -6))
          if (!objectsBefore.has(key) && backupName.test(key)) dropObject(key);
      },
    );
    for (const upload of s3.uploads(bucket)) upload.initiated = new Date(Date.now() - 8 * 86_400_000);
    expectSuccess(await scripts.run("backup", ["--upload"]));
    expect(hidden()).toEqual([]);
    expect(s3.uploads(bucket)).toEqual([]);
    await expectRestores(["--from-s3", newestObject(s3.objects(bucket))]);
    expect(hidden()).toEqual([]);
  },
  limit,
);

function store(name: string, body: Buffer): void {
  s3.objects(bucket).set(name, { body, etag: `"${sha256(body)}"`, modified: new Date(), metadata: {} });
}
function dropObject(key: string): void {
  s3.objects(bucket).delete(key);
  s3.objects(bucket).delete(`${key}.json`);
}

test(
  "sync, with REMOTE_S3_DELETE",
  async () => {
    mkdirSync(scripts.backups, { mode: 0o700 });
    scripts.configure({ ...s3Settings(s3, bucket), REMOTE_S3_DELETE: "true" });
    const foreign = ["notes.txt", "app_2024-01-01_00-00-00.sql.gz.bak", "shop_2024-01-01_03-00-00.sql.gz"];
    for (const name of foreign) store(name, Buffer.from("foreign"));
    const days = Array.from({ length: 12 }, (_, i) => `2025-01-${String(i + 1).padStart(2, "0")}`);
    const files = days.map((day, i) => writeBackup(scripts.backups, "app", day, i % 4 === 0 ? 17_000_000 : 50_000 + i));
    const here = () => files.flat().filter((name) => existsSync(local(name)));
    /** Some are gone from the bucket, some from the folder. */
    const disturb = () => {
      for (const [name, manifest] of files) {
        if (next() < 0.4) s3.objects(bucket).delete(next() < 0.5 ? name : manifest);
        if (next() < 0.3) dropObject(name);
      }
      store(`app_2024-12-${10 + below(20)}_03-00-00.sql.gz`, noise(1000));
    };
    const usual = await timed(async () => expectSuccess(await scripts.run("sync")));
    const asks = ["UploadPart", "CompleteMultipartUpload", "PutObject", "DeleteObject", "ListObjectsV2"] as const;
    const expectSame = () => {
      const objects = s3.objects(bucket);
      for (const name of foreign) expect(objects.get(name)?.body.toString()).toBe("foreign");
      for (const name of here()) {
        const body = objects.get(name)?.body;
        if (body) expect(sha256(body), name).toBe(sha256(readFileSync(local(name))));
      }
      // a manifest is never there before its backup is
      for (const [name, manifest] of files)
        if (objects.has(manifest) && !disturbed.has(name)) expect(objects.has(name), name).toBe(true);
    };
    let disturbed = new Set<string>();
    await loop(
      "sync",
      share,
      async () => {
        disturb();
        disturbed = new Set(files.flatMap(([name, m]) => (objectHas(m) && !objectHas(name) ? [name] : [])));
        return killSomewhere(place(), "sync", [], usual, asks);
      },
      expectSame,
    );
    for (const upload of s3.uploads(bucket)) upload.initiated = new Date(Date.now() - 8 * 86_400_000);
    disturb();
    const [first] = files;
    if (first) removeBackup(scripts.backups, first);
    dropObject(files[1]?.[0] ?? "");
    expectSuccess(await scripts.run("sync"));
    expect([...s3.objects(bucket).keys()].toSorted()).toEqual([...here(), ...foreign].toSorted());
    expectSame();
    expect(s3.uploads(bucket)).toEqual([]);
  },
  limit,
);
const objectHas = (name: string) => s3.objects(bucket).has(name);

test(
  "retention, here and in S3",
  async () => {
    await server.createDatabase("tiny", "CREATE TABLE t AS SELECT 1 AS a");
    scripts.configure({ ...settings(), DB_NAME: "tiny", LOCAL_RETENTION_DAYS: "30", BACKUP_RETENTION_DAYS: "30" });
    expectSuccess(await scripts.run("backup", ["--upload"]));
    const [good = ""] = scripts.list();
    const days = Array.from({ length: 12 }, (_, i) => `2025-03-${String(i + 1).padStart(2, "0")}`);
    const others = writeBackup(scripts.backups, "tiny-staging", "2025-03-01");
    /** The good one again, under old names. */
    const age = () => {
      for (const day of days) {
        const name = `tiny_${day}_03-00-00.sql.gz`;
        for (const end of ["", ".json"]) {
          copyFileSync(local(good + end), local(name + end));
          store(name + end, readFileSync(local(good + end)));
        }
      }
      for (const name of others) store(name, readFileSync(local(name)));
    };
    const usual = await timed(async () => {
      age();
      expectSuccess(await scripts.run("backup", ["--upload"]));
    });
    await loop(
      "retention",
      share,
      () => {
        age();
        return killSomewhere(place(), "backup", ["--upload"], usual, ["DeleteObject"]);
      },
      () => {
        for (const name of scripts.list().filter((one) => !others.includes(one)))
          expectManifest(readFileSync(local(name)), readFileSync(local(`${name}.json`)), name);
        expect(scripts.everything()).toContain(good);
        for (const name of others) expect([objectHas(name), existsSync(local(name))]).toEqual([true, true]);
      },
    );
    expectSuccess(await scripts.run("backup", ["--upload"]));
    const old = (name: string) => name.startsWith("tiny_2025");
    expect(scripts.everything().filter(old)).toEqual([]);
    expect([...s3.objects(bucket).keys()].filter(old)).toEqual([]);
  },
  limit,
);

test(
  "restore in place, from the folder and from S3: all of it or nothing",
  async () => {
    scripts.configure(settings());
    expectSuccess(await scripts.run("backup", ["--upload"]));
    const env = { DB_NAME: "target" };
    const [file = ""] = scripts.list();
    await server.dropDatabase("target");
    await server.createDatabase("target");
    const empty = "DROP TABLE IF EXISTS large, mine; CREATE TABLE large (i int, noise text); CREATE TABLE mine ()";
    const count = () => server.sql("target", "SELECT count(*), to_regclass('mine') IS NOT NULL FROM large");
    const start = (args: string[]) => scripts.start("restore", ["--in-place", "--no-safety-backup", ...args], { env });
    const usual = await timed(async () => expectSuccess(await start([file]).done));
    await loop(
      "restore",
      share,
      async () => {
        await server.sql("target", empty);
        return killInTime(start(next() < 0.5 ? [file] : ["--from-s3", file]), usual);
      },
      async () => {
        expect(["0|t", "70000|f"]).toContain(await count());
      },
    );
    expectSuccess(await scripts.run("restore", ["--from-s3"], { env: { ...env, DB_NAME: "app" } }));
    expectSuccess(await start([file]).done);
    expect(await count()).toBe("70000|f");
    expect(hidden()).toEqual([]);
  },
  limit,
);

test(
  "restore beside: the database is complete before and after, and what is left of a killed run goes",
  async () => {
    scripts.configure(settings());
    expectSuccess(await scripts.run("backup"));
    const [file = ""] = scripts.list();
    const env = { DB_NAME: "swapped" };
    const names = async () =>
      (await server.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'swapped%'")).split("\n");
    await server.createDatabase("swapped", "CREATE TABLE mine AS SELECT 1 AS a");
    const start = () => scripts.start("restore", ["--replace", file], { env });
    const usual = await timed(async () => expectSuccess(await start().done));
    const rows = (database: string) => server.sql(database, "SELECT count(*), count(DISTINCT noise) FROM large");
    /** A session of a killed run carries out what it was told, as ending the other sessions in the database. */
    const ended = () =>
      until("its sessions have ended", async () => {
        const count = `SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'
          AND (datname LIKE 'swapped%' OR query LIKE '%swapped%')`;
        return (await server.sql("postgres", count)) === "0";
      });
    await loop(
      "restore beside",
      share,
      async () => {
        // what is there now must be there afterwards, under whichever name
        await server.sql("swapped", "CREATE TABLE IF NOT EXISTS mark AS SELECT 1 AS a");
        return killInTime(start(), usual);
      },
      async () => {
        await ended();
        expect(await rows("swapped")).toBe("70000|70000");
        const kept = (await names()).filter((name) => name.startsWith("swapped_before_"));
        const marked = "SELECT to_regclass('mark') IS NOT NULL";
        const places = await Promise.all(["swapped", ...kept].map((name) => server.sql(name, marked)));
        expect(places).toContain("t");
        for (const name of kept) await server.dropDatabase(name);
      },
    );
    expectSuccess(await start().done);
    expect((await names()).filter((name) => name.startsWith("swapped_restoring_"))).toEqual([]);
    expect(await rows("swapped")).toBe("70000|70000");
  },
  limit,
);
