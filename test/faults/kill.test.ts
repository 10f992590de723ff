/**
 * kill -9 at random moments, in a loop, with PostgreSQL: of sync, of retention, and of a restore, its client or the server. What is deleted
 * is nothing that must stay; a database holds all of the one state or of the other. FAULTS_SECONDS sets how long, FAULTS_SEED repeats.
 * Backups are killed in kill-backup, MariaDB's restores in kill-mysql.
 */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sealing } from "../support/expect/age.ts";
import { removeBackup, writeBackup } from "../support/expect/backups.ts";
import { backupName, type Installation, installScripts, type Running } from "../support/machine/executables.ts";
import { expectSuccess } from "../support/expect/expect.ts";
import {
  expectGoodFiles,
  expectManifest,
  hiddenIn,
  killer,
  killOneOf,
  limit,
  loop,
  timed,
} from "../support/machine/kill.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { dropObject, type S3Server, startS3Server, storeObject } from "../support/servers/s3-server.ts";
import { noise, s3Settings, sha256 } from "../support/servers/storage.ts";
import { until } from "../support/machine/until.ts";

const { below, next, killSomewhere } = killer("kill -9");

/** Of the time, for each of the loops here. */
const share = 0.15;

let server: PostgresServer;
let s3: S3Server;
let bucket: string;
let scripts: Installation;

beforeAll(async () => {
  // what was committed survives the server's death
  server = await startPostgres(15, { synchronous_commit: "on" });
  s3 = startS3Server();
  const row = "md5(i::text) || md5((-i)::text) || md5((2 * i)::text) || md5((3 * i)::text)";
  await server.createDatabase(
    "app",
    `CREATE TABLE large AS SELECT i, ${row} AS noise FROM generate_series(1, 70000) i`,
  );
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
const store = (name: string, body: Buffer) => storeObject(s3.objects(bucket), name, body);
const hidden = () => hiddenIn(scripts.backups);

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
        if (next() < 0.3) dropObject(s3.objects(bucket), name);
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
    dropObject(s3.objects(bucket), files[1]?.[0] ?? "");
    expectSuccess(await scripts.run("sync"));
    expect([...s3.objects(bucket).keys()].toSorted()).toEqual([...here(), ...foreign].toSorted());
    expectSame();
    expect(s3.uploads(bucket)).toEqual([]);
  },
  limit,
);
const objectHas = (name: string) => s3.objects(bucket).has(name);

test.each<[by: string, rules: Record<string, string>, kept: string[]]>([
  ["by age", { LOCAL_RETENTION_DAYS: "30", BACKUP_RETENTION_DAYS: "30" }, []],
  [
    "by number, encrypted and signed",
    { ...sealed, LOCAL_KEEP_DAILY: "3", BACKUP_KEEP_LAST: "1", BACKUP_KEEP_DAILY: "2", BACKUP_KEEP_MONTHLY: "2" },
    ["2025-03-11", "2025-03-12"],
  ],
])(
  "retention %s, here and in S3",
  async (by, rules, kept) => {
    await server.dropDatabase("tiny");
    await server.createDatabase("tiny", "CREATE TABLE t AS SELECT 1 AS a");
    scripts.configure({ ...settings(), DB_NAME: "tiny", ...rules });
    expectSuccess(await scripts.run("backup", ["--upload"]));
    const [good = ""] = scripts.list();
    const days = Array.from({ length: 12 }, (_, i) => `2025-03-${String(i + 1).padStart(2, "0")}`);
    const nameOf = (day: string) => good.replace(/(?<=^tiny_).*?(?=\.)/, `${day}_03-00-00`);
    const others = writeBackup(scripts.backups, "tiny-staging", "2025-03-01");
    const parts = ["", ".json"].map((end) => ({ end, body: readFileSync(local(good + end)) }));
    /** The good one again, under old names. */
    const age = () => {
      for (const name of days.map(nameOf))
        for (const { end, body } of parts) {
          writeFileSync(local(name + end), body);
          store(name + end, body);
        }
      for (const name of others) store(name, readFileSync(local(name)));
    };
    const usual = await timed(async () => {
      age();
      expectSuccess(await scripts.run("backup", ["--upload"]));
    });
    // in S3 the first of two days is beyond the number that is kept
    const [keptLocally, keptRemotely] =
      kept.length > 0 ? [kept.map(nameOf), kept.slice(-1).map(nameOf)] : [[good], [good]];
    /** What counts as a backup is one, and none that must stay is missing. */
    const expectGood = () => {
      expectGoodFiles(scripts.backups, {});
      const objects = s3.objects(bucket);
      for (const [name, { body }] of objects) {
        const manifest = backupName.test(name) ? objects.get(`${name}.json`) : undefined;
        if (manifest) expectManifest(body, manifest.body, name);
      }
      expect(scripts.everything()).toEqual(expect.arrayContaining([...keptLocally, ...others]));
      expect([...objects.keys()]).toEqual(expect.arrayContaining([...keptRemotely, ...others]));
    };
    await loop(
      `retention ${by}`,
      share,
      () => {
        age();
        return killSomewhere(place(), "backup", ["--upload"], usual, ["DeleteObject"]);
      },
      expectGood,
    );
    expectSuccess(await scripts.run("backup", ["--upload"]));
    expectGood();
    const old = (name: string) => name.startsWith("tiny_2025");
    const withManifest = (names: string[]) => names.filter(old).flatMap((name) => [name, `${name}.json`]);
    expect(scripts.everything().filter(old)).toEqual(withManifest(keptLocally));
    expect([...s3.objects(bucket).keys()].filter(old)).toEqual(withManifest(keptRemotely));
  },
  limit,
);

/** Kills a restore, its client or the server, in turn, after a random time; `usual` (ms) is what the restore mostly takes. */
let turn = 0;
const killInTurn = (running: Running, usual: number) =>
  killOneOf({ server, client: "psql" }, running, turn++, Bun.sleep(below(usual)));

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
    const [before, after] = ["0|t", "70000|f"];
    const start = (args: string[]) => scripts.start("restore", ["--in-place", "--no-safety-backup", ...args], { env });
    const usual = await timed(async () => expectSuccess(await start([file]).done));
    await loop(
      "restore",
      share,
      async () => {
        await server.sql("target", empty);
        const { status, stderr } = await killInTurn(start(next() < 0.5 ? [file] : ["--from-s3", file]), usual);
        const now = await count();
        expect([before, after], stderr).toContain(now);
        if (status === 0) expect(now, stderr).toBe(after);
        if (/changed nothing|nothing was changed/.test(stderr)) expect(now, stderr).toBe(before);
        return status !== 0;
      },
      () => {},
    );
    expectSuccess(await scripts.run("restore", ["--from-s3"], { env: { ...env, DB_NAME: "app" } }));
    expectSuccess(await start([file]).done);
    expect(await count()).toBe(after);
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
    await server.createDatabase("swapped", "CREATE TABLE mine AS SELECT 1 AS a");
    const start = () => scripts.start("restore", ["--replace", file], { env });
    const usual = await timed(async () => expectSuccess(await start().done));
    const rows = (database: string) => server.sql(database, "SELECT count(*), count(DISTINCT noise) FROM large");
    const isMarked = (database: string) => server.sql(database, "SELECT to_regclass('mark') IS NOT NULL");
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
        const { status, stderr } = await killInTurn(start(), usual);
        if (/nothing was changed/.test(stderr)) expect(await isMarked("swapped"), stderr).toBe("t");
        return status !== 0;
      },
      async () => {
        await ended();
        expect(await rows("swapped")).toBe("70000|70000");
        const kept = await server.databases("swapped\\_before\\_%");
        expect(await Promise.all(["swapped", ...kept].map(isMarked))).toContain("t");
        for (const name of kept) await server.dropDatabase(name);
      },
    );
    expectSuccess(await start().done);
    expect(await server.databases("swapped\\_restoring\\_%")).toEqual([]);
    expect(await rows("swapped")).toBe("70000|70000");
  },
  limit,
);
