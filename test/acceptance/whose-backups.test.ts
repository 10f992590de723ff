/** I1, I2, I4: two servers with a database of one name and one bucket: each keeps to its own backups. */
import { afterAll, beforeAll, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Identity } from "../../scripts-src/archive/identity.ts";
import { formatManifest } from "../../scripts-src/archive/manifest.ts";
import { formatBackupName, parseBackupName } from "../../scripts-src/archive/name.ts";
import { manifestFacts } from "../support/expect/backups.ts";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { expectFailure, expectSuccess } from "../support/expect/expect.ts";
import { readManifest } from "../support/machine/files.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { dropObject, type S3Server, startS3Server, storeObject } from "../support/servers/s3-server.ts";
import { noise, s3Settings, sha256 } from "../support/servers/storage.ts";
import { testWhere } from "../support/machine/where.ts";

setDefaultTimeout(180_000);

let a: PostgresServer;
let b: PostgresServer;
let s3: S3Server;
/** Of both servers' scripts: with one bucket and one S3_PATH. */
let onA: Installation;
let onB: Installation;
let bucket: string;
/** What backups of the servers say of their origin. */
const origin: Record<string, Identity> = {};
const oneDay = 86_400_000;

beforeAll(async () => {
  // two majors: servers of one are made from one template, and cannot be told apart
  [a, b] = await Promise.all([startPostgres(15), startPostgres(14)]);
  s3 = startS3Server();
  for (const server of [a, b]) await server.createDatabase("shop");
  onA = installScripts();
  onB = installScripts();
  await useNewBucket();
  for (const scripts of [onA, onB]) await backUp(scripts); // fills `origin`
});
afterAll(() => Promise.all([a.stop(), b.stop(), s3.stop()]));
beforeEach(async () => {
  await useNewBucket();
  await write(a, "A");
  await write(b, "B");
});

async function useNewBucket(): Promise<void> {
  bucket = await s3.newBucket();
  for (const [scripts, server] of [
    [onA, a],
    [onB, b],
  ] as const)
    scripts.configure({ ...server.settings("shop"), ...s3Settings(s3, bucket, "prod"), BACKUP_KEEP_LOCAL: "false" });
}

const names = () => [...s3.objects(bucket).keys()].filter((key) => !key.endsWith(".json")).toSorted();
const write = (server: PostgresServer, word: string) =>
  server.sql("shop", `DROP TABLE IF EXISTS mine; CREATE TABLE mine AS SELECT '${word}' AS server`);
const state = (server: PostgresServer) => server.sql("shop", "SELECT server FROM mine");
const spoil = (server: PostgresServer) => write(server, "spoilt");

/** Backs up and returns the backup's name. */
async function backUp(scripts: Installation, env: Record<string, string> = {}): Promise<string> {
  const ran = await scripts.run("backup", ["--upload"], { env });
  expectSuccess(ran);
  const key = `prod/${ran.stdout.trim().replace(/^.*\//, "")}`;
  const manifest = s3.objects(bucket).get(`${key}.json`)?.body.toString() ?? "";
  origin[scripts === onA ? "A" : "B"] = (JSON.parse(manifest) as { identity: Identity }).identity;
  return key.slice("prod/".length);
}

/** Puts a backup of so many days ago into the bucket, with an origin or as version 0.1 made them; returns its key. */
function plant(days: number, identity: Identity | undefined, path = "prod/"): string {
  const time = new Date(Date.now() - days * oneDay);
  const name = formatBackupName({ database: "shop", time, sequence: 1, compression: "gzip", encrypted: false });
  const data = noise(100);
  const startedAt = time.toISOString();
  const facts = { ...manifestFacts, startedAt, database: "shop", bytes: data.length, sha256: sha256(data) };
  const manifest = Buffer.from(formatManifest({ ...facts, ...(identity && { identity }) }));
  storeObject(s3.objects(bucket), `${path}${name}`, data);
  storeObject(s3.objects(bucket), `${path}${name}.json`, manifest);
  return `${path}${name}`;
}

test("I1: restore --from-s3 takes the newest of this server, and says that newer ones were passed over", async () => {
  const ofA = await backUp(onA);
  await Bun.sleep(1_000); // names have seconds
  const ofB = await backUp(onB);
  await spoil(a);
  // the plan for all databases names the same one
  const planned = await onA.run("restore", ["--all", "--from-s3", "--replace", "--dry-run"]);
  expect([planned.status, planned.stdout]).toEqual([
    0,
    expect.stringMatching(
      new RegExp(`shop: ${ofA}, \\d+ B; replaces the present database, which is kept as shop_before_TIME$`, "m"),
    ),
  ]);
  const ran = await onA.run("restore", ["--from-s3"]);
  expectSuccess(ran);
  expect(await state(a)).toBe("A");
  expect(ran.stderr).toContain("passed over 1 newer backup not known to be of this server");

  const named = await onA.run("restore", ["--from-s3", ofB]);
  expectSuccess(named);
  expect(await state(a)).toBe("B");
  expect(named.stderr).toMatch(
    new RegExp(`WARN .*${ofB} is a backup of another server \\(127\\.0\\.0\\.1:${b.port}, site .+\\)`),
  );
});

test("I1: where only another server's backups lie, it says so and asks for the name; a new machine takes them", async () => {
  const ofB = await backUp(onB);
  await spoil(a);
  const ran = await onA.run("restore", ["--from-s3"]);
  expectFailure(
    ran,
    new RegExp(`no backup of shop in s3://${bucket}/prod/ is of this server: ${ofB} is of another`),
    4,
  );
  expect(ran.stderr).toContain(`name it: restore --from-s3 ${ofB}`);
  const planned = await onA.run("restore", ["--all", "--from-s3", "--replace", "--dry-run"]);
  expect([planned.status, planned.stdout]).toEqual([1, expect.stringContaining("shop: no backup of shop in ")]);
  expect(await state(a)).toBe("spoilt");

  await a.sql("shop", "DROP TABLE mine");
  expectSuccess(await onA.run("restore", ["--from-s3"]));
  expect(await state(a)).toBe("B");

  // of several servers a new machine chooses none
  plant(1, { ...origin.B!, system: "of a third server" });
  await a.sql("shop", "DROP TABLE mine");
  expectFailure(await onA.run("restore", ["--from-s3"]), /is of this server/, 4);
  expectSuccess(await onA.run("restore", ["--from-s3", ofB]));
});

test("I1: where nothing is kept locally, the health check finds this server's backups in S3", async () => {
  const env = { BACKUP_INTERVAL: "0 3 * * *" };
  await backUp(onB);
  const none = await onA.run("schedule", ["--check"], { env });
  expectFailure(none, /no good backup is known/);
  await Bun.sleep(1_000); // names have seconds
  const ofA = await backUp(onA);
  await Bun.sleep(1_000);
  await backUp(onB);
  const check = await onA.run("schedule", ["--check"], { env });
  const began = parseBackupName(ofA)!.time.toISOString().slice(0, 19).replace("T", " ");
  expect([check.status, check.stdout]).toEqual([0, `healthy: the last good backup began ${began} UTC\n`]);
});

test("I2: with S3 alone, list says whose each backup is, and foretells no deletion that retention does not make", async () => {
  await backUp(onB);
  await Bun.sleep(1_000); // names have seconds
  await backUp(onA);
  const [ofA, ofB] = [plant(20, origin.A), plant(30, origin.B)].map((key) => key.slice("prod/".length));
  const foretold = async (env: Record<string, string> = {}) => {
    const ran = await onA.run("list", ["--json"], { env: { BACKUP_RETENTION_DAYS: "7", ...env } });
    const { backups } = JSON.parse(ran.stdout) as {
      backups: { name: string; owner: string; copies: { deleted: boolean; rule: string }[] }[];
    };
    return Object.fromEntries(backups.map(({ name, owner, copies: [copy] }) => [name, { owner, ...copy }]));
  };
  const known = await foretold();
  expect(known[ofA!]).toMatchObject({ owner: "ours", deleted: true });
  expect(known[ofB!]).toMatchObject({ owner: "other", deleted: false });
  // nothing names a server
  onA.configure({ ...s3Settings(s3, bucket, "prod"), BACKUP_KEEP_LOCAL: "false" });
  for (const key of names().filter((name) => name.endsWith(ofB!))) s3.objects(bucket).delete(key);
  const unknown = await foretold();
  expect(unknown[ofA!]).toMatchObject({
    owner: "unknown",
    deleted: false,
    rule: "nothing here says that it is of this server",
  });
});

test("I1: equal SITE_NAMEs make one of two servers, different ones make two of one", async () => {
  await backUp(onB, { SITE_NAME: "shop" });
  await spoil(a);
  expectFailure(await onA.run("restore", ["--from-s3"], { env: { SITE_NAME: "crm" } }), /is of this server/, 4);
  // this server may have been that one, before it was moved and its SITE_NAME removed
  const { stderr } = await onA.run("restore", ["--from-s3", "--dry-run"]);
  expect(stderr).toMatch(/WARN restore: \S+ is a backup of another server \(.*, site shop\)/);
  expectSuccess(await onA.run("restore", ["--from-s3"], { env: { SITE_NAME: "shop" } }));
  expect(await state(a)).toBe("B");
});

test.each(["S3", "one BACKUP_DIR"])(
  "I1, I2: a SITE_NAME of one server alone: each keeps to its own backups in %s",
  async (where) => {
    const inFolder = where !== "S3";
    const env = {
      BACKUP_KEEP_LAST: "1",
      LOCAL_KEEP_LAST: "1",
      ...(inFolder && { BACKUP_KEEP_LOCAL: "true", BACKUP_DIR: join(onA.dir, "of-both") }),
    };
    const take = async (scripts: Installation, more: Record<string, string>) =>
      expectSuccess(await scripts.run("backup", inFolder ? [] : ["--upload"], { env: { ...env, ...more } }));
    for (const _ of [1, 2]) {
      await take(onA, { SITE_NAME: "one" });
      await take(onB, {});
      await Bun.sleep(1_000); // names have seconds
    }
    const found = inFolder ? readdirSync(env.BACKUP_DIR!).filter((name) => name.endsWith(".gz")) : names();
    expect(found).toHaveLength(2);
    await spoil(a);
    const from = inFolder ? [] : ["--from-s3"];
    expectSuccess(await onA.run("restore", from, { env: { ...env, SITE_NAME: "one" } }));
    expect(await state(a)).toBe("A");
  },
);

test("I1: in BACKUP_DIR too the newest of this server is restored; files of version 0.1 count as ours", async () => {
  const local = { BACKUP_KEEP_LOCAL: "true" };
  const env = { ...local, BACKUP_DIR: join(onA.dir, "shared") };
  expectSuccess(await onA.run("backup", [], { env }));
  const ofB = await onB.run("backup", [], { env });
  expectSuccess(ofB);
  await spoil(a);
  expectSuccess(await onA.run("restore", [], { env }));
  expect(await state(a)).toBe("A");

  const path = ofB.stdout.trim();
  const { identity, ...old } = readManifest(path);
  expect(identity).toMatchObject({ system: origin.B!.system });
  await Bun.write(`${path}.json`, JSON.stringify(old));
  expectSuccess(await onA.run("restore", [], { env }));
  expect(await state(a)).toBe("B");
});

test("where the server does not say which it is, a backup is made all the same, and SITE_NAME says whose it is", async () => {
  await a.sql("postgres", "CREATE ROLE plain LOGIN PASSWORD 'plain'; CREATE DATABASE plain OWNER plain");
  await a.sql("plain", "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC");
  const env = { ...a.settings("plain", { user: "plain", password: "plain" }), SITE_NAME: "shop" };
  await backUp(onA, env);
  expect(origin.A).toEqual({ server: `127.0.0.1:${a.port}`, site: "shop", siteIsSet: true });
});

test("I2: retention in S3 deletes only this server's; what version 0.1 made as long as nobody else's lies there", async () => {
  await backUp(onA);
  const young = `prod/${await backUp(onB)}`;
  const mine = [400, 40].map((days) => plant(days, origin.A));
  const others = [401, 41].map((days) => plant(days, origin.B));
  const old = plant(402, undefined);
  const env = { BACKUP_RETENTION_DAYS: "30" };
  const ran = await onA.run("backup", ["--upload"], { env });
  expectSuccess(ran);
  expect(names()).not.toContain(mine[0]!);
  expect(names()).not.toContain(mine[1]!);
  expect(names()).toEqual(expect.arrayContaining([...others, old]));

  for (const key of others) dropObject(s3.objects(bucket), key);
  expectSuccess(await onA.run("backup", ["--upload"], { env }));
  expect(names()).toEqual(expect.arrayContaining([young, old]));
  dropObject(s3.objects(bucket), young);
  expectSuccess(await onA.run("backup", ["--upload"], { env }));
  expect(names()).not.toContain(old);
});

test("I2: another server's backup in BACKUP_DIR does not make its backups in S3 ours: sync deletes none", async () => {
  const ofB = [];
  for (const _ of [1, 2]) {
    ofB.push(await backUp(onB));
    await Bun.sleep(1_000); // names have seconds
  }
  const env = { REMOTE_S3_DELETE: "true", BACKUP_KEEP_LOCAL: "true", BACKUP_DIR: join(onA.dir, "restored-from-b") };
  expectSuccess(await onA.run("backup", [], { env }));
  await Bun.sleep(1_000); // or the next name is the same
  // as somebody does who wants to restore it here
  const newest = await backUp(onB);
  for (const end of ["", ".json"])
    writeFileSync(join(env.BACKUP_DIR, newest + end), s3.objects(bucket).get(`prod/${newest}${end}`)!.body);
  expectSuccess(await onA.run("sync", [], { env }));
  expect(names()).toEqual(expect.arrayContaining(ofB.map((name) => `prod/${name}`)));
  // nor where the settings name no server, and the folder holds backups of two
  const two = { ...env, DB_HOST: "db.example.com" };
  expect((await onA.run("sync", ["--dry-run"], { env: two })).stdout).toContain(
    `keep ${ofB[0]}: nothing here says that it is of this server`,
  );
  const listed = (await onA.run("list", [], { env })).stdout.replaceAll(/\s+/g, " ");
  expect(listed).toContain(`of another server (127.0.0.1:${b.port}`);
  expect(listed).toMatch(/4 backups, the newest of this server [^;]* old; none proved yet/);
});

test("I2: retention by number counts only this server's backups", async () => {
  await backUp(onA);
  await backUp(onB);
  const mine = [400, 40].map((days) => plant(days, origin.A));
  const others = [39, 38, 37].map((days) => plant(days, origin.B));
  expectSuccess(await onA.run("backup", ["--upload"], { env: { BACKUP_KEEP_LAST: "3" } }));
  expect(names()).toContain(mine[1]!);
  expect(names()).not.toContain(mine[0]!);
  expect(names()).toEqual(expect.arrayContaining(others));
});

test("I3: a name some minutes ahead does not cost the backup that was made just now", async () => {
  await backUp(onA);
  const ahead = plant(-1 / 288, origin.A);
  const env = { BACKUP_KEEP_LAST: "1", LOCAL_KEEP_LAST: "1" };
  const made = await backUp(onA, env);
  expect(names()).toEqual([`prod/${made}`, ahead]);
});

test("I3: what was renamed in the bucket is never chosen by itself", async () => {
  const good = await backUp(onA);
  const renamed = formatBackupName({ ...parseBackupName(good)!, time: new Date(Date.now() + 60_000) });
  for (const end of ["", ".json"])
    s3.objects(bucket).set(`prod/${renamed}${end}`, s3.objects(bucket).get(`prod/${good}${end}`)!);
  const ran = await onA.run("restore", ["--from-s3", "--dry-run"]);
  expectSuccess(ran);
  expect(ran.stderr).toContain(`passed over ${renamed}: it was renamed: its manifest is that of a backup of shop of `);
  expect(ran.stdout).toContain(`backup: ${good} is complete and intact`);
  expectSuccess(await onA.run("restore", ["--from-s3", "--dry-run", renamed]));
});

test("backup --dry-run shows the fate of each backup with its rule, and deletes nothing", async () => {
  await backUp(onA);
  await backUp(onB);
  for (const name of names()) s3.objects(bucket).delete(name);
  const base = (key: string) => key.slice("prod/".length);
  const mine = [400, 40, 3].map((days) => plant(days, origin.A));
  const other = plant(39, origin.B);
  const before = names();
  const env = { BACKUP_RETENTION_DAYS: "7", BACKUP_KEEP_LAST: "3" };
  const { status, stdout, stderr } = await onA.run("backup", ["--upload", "--dry-run"], { env });
  expect(status, stderr).toBe(0);
  expect(stdout).toContain("✓ retention in S3: the next run deletes 1 of 4 backups\n");
  expect(stdout).toContain(
    `    delete ${base(mine[0]!)}: kept by none of BACKUP_RETENTION_DAYS=7, BACKUP_KEEP_LAST=3\n`,
  );
  expect(stdout).toMatch(new RegExp(`    keep ${base(mine[1]!)}: last \\(BACKUP_KEEP_LAST=3\\)\n`));
  expect(stdout).toContain(`    keep ${base(mine[2]!)}: not older than 7 days (BACKUP_RETENTION_DAYS)`);
  expect(stdout).toContain(`    keep ${base(other)}: a backup of another server\n`);
  expect(names()).toEqual(before);
  // the run does what was shown
  expectSuccess(await onA.run("backup", ["--upload"], { env }));
  expect(names().filter((key) => before.includes(key))).toEqual(before.filter((key) => key !== mine[0]));
});

for (const client of ["sdk", "aws-cli"])
  testWhere(client === "sdk" || Bun.which("aws") !== null, client)(
    `I2: sync with REMOTE_S3_DELETE deletes only this server's (${client})`,
    async () => {
      // sync sends no backup with the name of B's, nor one of an earlier test
      rmSync(onA.backups, { recursive: true, force: true });
      await backUp(onB);
      await Bun.sleep(1_000);
      expectSuccess(await onA.run("backup", [], { env: { BACKUP_KEEP_LOCAL: "true" } }));
      const mine = [400, 40].map((days) => plant(days, origin.A));
      const others = [401, 41].map((days) => plant(days, origin.B));
      const old = plant(402, undefined);
      const env = { REMOTE_S3_DELETE: "true", SYNC_CLIENT: client };
      const dry = await onA.run("sync", ["--dry-run"], { env });
      expect(dry.stdout).not.toMatch(new RegExp(`delete.*${others[0]!.slice(5)}`));
      expectSuccess(await onA.run("sync", [], { env }));
      expect(names()).toEqual(expect.arrayContaining([...others, old]));
      for (const key of mine) expect(names()).not.toContain(key);
    },
  );

test("I2: sync replaces no backup of another server that was made in the same second", async () => {
  const mine = (await onB.run("backup", [], { env: { BACKUP_KEEP_LOCAL: "true" } })).stdout.trim().split("/").at(-1);
  const { body } = s3.objects(bucket).get(plant(1, origin.A))!;
  const manifest = s3.objects(bucket).get(`${names()[0]}.json`)!.body;
  s3.objects(bucket).clear();
  storeObject(s3.objects(bucket), `prod/${mine}`, body);
  storeObject(s3.objects(bucket), `prod/${mine}.json`, manifest);
  for (const args of [["--dry-run"], []]) {
    const ran = await onB.run("sync", args);
    expect(ran.status).toBe(1);
    expect(ran.stdout + ran.stderr).toMatch(/1 backup left out[^]*: S3 has a backup of this name, of another server/);
  }
  expect(s3.objects(bucket).get(`prod/${mine}`)?.body).toEqual(body);
  expect(s3.objects(bucket).get(`prod/${mine}.json`)?.body).toEqual(manifest);
});

test("I3: nothing is deleted while this machine's clock and the bucket's differ, and that is a warning", async () => {
  await backUp(onA);
  const old = plant(40, origin.A);
  s3.behaviour.clockAhead = -3_600_000;
  const ran = await onA.run("backup", ["--upload"], {
    env: { BACKUP_RETENTION_DAYS: "30", BACKUP_KEEP_LOCAL: "true" },
  });
  s3.behaviour.clockAhead = 0;
  expectSuccess(ran);
  expect(ran.stderr).toMatch(
    /WARN .*this machine's clock is 1h.* ahead of that of the S3 server; retention deletes nothing/,
  );
  expect(names()).toContain(old);
});

test("I4: a location in another folder of the bucket is found", async () => {
  const name = await backUp(onA);
  await spoil(a);
  const location = `s3://${bucket}/prod/${name}`;
  expectSuccess(await onA.run("restore", ["--from-s3", location], { env: { S3_PATH: "elsewhere" } }));
  expect(await state(a)).toBe("A");
});

test.each(["", "prod/shop/wrong", "other"])("I4: with S3_PATH=%p the message says where backups lie", async (path) => {
  for (let days = 1; days <= 12; days++) plant(days, origin.A, "prod/shop/");
  plant(1, origin.A, "old/");
  for (let i = 0; i < 30; i++) plant(1, origin.A, `much/${i}/else/`);
  const ran = await onA.run("restore", ["--from-s3"], { env: { S3_PATH: path } });
  expectFailure(ran, /no backups of shop are available in s3:/, 4);
  expect(ran.stderr).toContain("hint: 12 backups of shop lie in prod/shop/: set S3_PATH=prod/shop\n");
  expect(ran.stderr).toContain("hint: 1 backup of shop lies in old/: set S3_PATH=old\n");
  const asked = s3.asked.filter(({ bucket: one, operation }) => one === bucket && operation.startsWith("List"));
  expect(asked.length).toBeLessThan(60);
  const all = await onA.run("restore", ["--all", "--from-s3"], { env: { S3_PATH: path } });
  expectFailure(all, /no backups are available in s3:/, 4);
  expect(all.stderr).toContain("hint: 12 backups lie in prod/shop/: set S3_PATH=prod/shop\n");
});
