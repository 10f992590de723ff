/** A backup that lost much is kept and warned of, and retention waits for a person or for a backup as usual. */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { copyFileSync, readdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { newAgeKey } from "../support/expect/age.ts";
import { backupName, type Installation, installScripts } from "../support/machine/executables.ts";
import { readManifest } from "../support/machine/files.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { type S3Server, startS3Server } from "../support/servers/s3-server.ts";
import { s3Settings } from "../support/servers/storage.ts";

let server: PostgresServer;
let s3: S3Server;
let scripts: Installation;
const rows = (count: number) => `SELECT n AS id, md5(n::text) AS x FROM generate_series(1, ${count}) n`;

beforeAll(async () => {
  server = await startPostgres(15);
  s3 = startS3Server();
});
afterEach(() => scripts.remove());
afterAll(() => Promise.all([server.stop(), s3.stop()]));

interface Ran {
  name: string;
  stderr: string;
  suspicious: string[];
}
async function backUp(...args: string[]): Promise<Ran> {
  const { status, stdout, stderr } = await scripts.run("backup", args);
  expect(status, stderr).toBe(0);
  const path = stdout.trim();
  const { suspicious = [] } = readManifest(path) as { suspicious?: string[] };
  return { name: path.split("/").at(-1) ?? "", stderr, suspicious };
}
const kept = () => readdirSync(scripts.backups).filter((name) => backupName.test(name));

/** A copy of a backup under the name of one that is 100 days old, with its manifest. */
function makeOld(name: string): string {
  const old = name.replace(/\d{4}-\d\d-\d\d/, new Date(Date.now() - 100 * 86_400_000).toISOString().slice(0, 10));
  for (const end of ["", ".json"]) copyFileSync(join(scripts.backups, name + end), join(scripts.backups, old + end));
  return old;
}

test("shrunken: a warning and status 0; retention, local and in S3, waits until --accept; list, dry run show it", async () => {
  await server.createDatabase("shop", `CREATE TABLE t AS ${rows(5000)}; CREATE TABLE customer AS ${rows(9)}`);
  const bucket = await s3.newBucket();
  scripts = installScripts({
    ...server.settings("shop"),
    ...s3Settings(s3, bucket, "x"),
    LOCAL_RETENTION_DAYS: "7",
    BACKUP_KEEP_LAST: "1",
  });
  const inBucket = () => [...s3.objects(bucket).keys()].filter((key) => backupName.test(key.slice(2)));
  const first = await backUp("--upload");
  expect(first.suspicious).toEqual([]);
  const old = makeOld(first.name);

  await server.sql("shop", "TRUNCATE t; DROP TABLE customer");
  for (const _ of [1, 2]) {
    // the second one is compared with the last that was not suspicious, not with the first suspicious one
    const ran = await backUp("--upload");
    expect(ran.suspicious).toEqual([
      expect.stringMatching(/^it is \d\d\.\d % smaller than the last backup/),
      "table public.customer is gone (it had 9 rows)",
      "table public.t has 0 rows (it had 5,000 rows)",
    ]);
    expect(ran.stderr).toMatch(/ WARN backup: shop looks suspicious: it is .*; retention deletes nothing until/);
    expect(ran.stderr).toContain("(1 warning, see above)");
  }
  expect(kept()).toHaveLength(4);
  expect(inBucket()).toHaveLength(3);
  const listed = (await scripts.run("list")).stdout.replaceAll(/\s+/g, " ");
  expect(listed).toContain("suspicious: it is ");
  expect(listed).toContain("kept: the newest backup is suspicious; retention deletes nothing");
  expect((await scripts.run("restore", ["--dry-run"])).stderr).toMatch(
    / WARN restore: \S+ looks suspicious: it is .*; list/,
  );
  expect((await scripts.run("restore", ["--all", "--replace", "--dry-run"])).stdout).toMatch(
    /shop: \S+, [^,]*, suspicious: see list/,
  );
  const planned = (await scripts.run("backup", ["--upload", "--dry-run"])).stdout;
  expect(planned).toContain("the newest backup is suspicious");
  expect((await scripts.run("backup", ["--upload", "--dry-run", "--accept"])).stdout).not.toContain("suspicious");

  const accepted = await backUp("--upload", "--accept");
  expect(accepted.suspicious).toEqual([]);
  expect(kept()).toHaveLength(4);
  expect(kept()).not.toContain(old);
  expect(inBucket()).toEqual([`x/${accepted.name}`]);
  const next = await backUp();
  expect(next.suspicious).toEqual([]);
  expect(next.stderr).not.toContain("WARN");
});

test("where the newest backup is damaged, the next one is compared with the last that is not", async () => {
  await server.createDatabase("rotten", `CREATE TABLE t AS ${rows(5000)}`);
  scripts = installScripts(server.settings("rotten"));
  await backUp();
  truncateSync(join(scripts.backups, `${(await backUp()).name}.json`), 100);
  await server.sql("rotten", "TRUNCATE t");
  expect((await backUp()).suspicious).toContain("table public.t has 0 rows (it had 5,000 rows)");
});

test("it settles itself when the next backup is as usual again", async () => {
  await server.createDatabase("again", `CREATE TABLE t AS ${rows(500)}`);
  scripts = installScripts({ ...server.settings("again"), LOCAL_KEEP_LAST: "1" });
  await backUp();
  await server.sql("again", "TRUNCATE t");
  expect((await backUp()).suspicious).not.toEqual([]);
  await server.sql("again", `INSERT INTO t ${rows(501)}`);
  const { suspicious, name } = await backUp();
  expect(suspicious).toEqual([]);
  expect(kept()).toEqual([name]);
});

test("encrypted: judged by rows that lie in BACKUP_DIR for its owner alone; the manifest names no table", async () => {
  await server.createDatabase("sealed", `CREATE TABLE t AS ${rows(500)}; CREATE TABLE customer AS ${rows(9)}`);
  scripts = installScripts(server.settings("sealed"));
  const { recipient } = newAgeKey(join(scripts.dir, "key.txt"));
  writeFileSync(join(scripts.dir, ".env.sh"), `AGE_RECIPIENTS=${recipient}\n`, { flag: "a" });
  await backUp();
  await server.sql("sealed", "DROP TABLE customer");
  for (const _ of [1, 2]) {
    const { suspicious, stderr } = await backUp();
    expect(suspicious).toEqual(["a table is gone"]);
    expect(stderr).toContain("sealed looks suspicious: table public.customer is gone (it had 9 rows);");
  }
  expect((await backUp("--accept")).suspicious).toEqual([]);
  expect((await backUp()).suspicious).toEqual([]);
});

test("with MANIFEST_KEY, what somebody else put into the bucket makes no shrunken backup look normal", async () => {
  await server.createDatabase("signed", `CREATE TABLE t AS ${rows(5000)}`);
  const bucket = await s3.newBucket();
  scripts = installScripts({
    ...server.settings("signed"),
    ...s3Settings(s3, bucket, "x"),
    BACKUP_KEEP_LOCAL: "false",
    MANIFEST_KEY: "4d5a8c1e7b2f9d3a6c0e8b5f1a7d2c94",
  });
  const take = async () => {
    const { status, stdout, stderr } = await scripts.run("backup", ["--upload"]);
    expect(status, stderr).toBe(0);
    return { key: stdout.trim().slice(`s3://${bucket}/`.length), stderr };
  };
  const { key } = await take();
  const objects = s3.objects(bucket);
  const [object, manifest] = [objects.get(key)!, objects.get(`${key}.json`)!];
  const { signature: _, ...honest } = JSON.parse(manifest.body.toString()) as Record<string, unknown>;
  await Bun.sleep(1_000); // names have seconds
  const now = new Date().toISOString();
  const forged = key.replace(/\d{4}-.*\d\d-\d\d/, now.slice(0, 19).replace("T", "_").replaceAll(":", "-"));
  const small = { ...honest, startedAt: now, bytes: 3, uncompressedBytes: 3, rows: 0, tables: { "public.t": 0 } };
  objects.set(forged, { ...object, body: Buffer.from("abc") });
  objects.set(`${forged}.json`, { ...manifest, body: Buffer.from(JSON.stringify(small)) });
  await server.sql("signed", "TRUNCATE t");
  await Bun.sleep(1_000);
  expect((await take()).stderr).toContain("table public.t has 0 rows (it had 5,000 rows)");
});
