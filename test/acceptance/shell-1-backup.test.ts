/** Shell requirement 1: back up the database to a local directory. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Installation, installScripts, type Ran } from "../support/machine/executables.ts";
import { expectFailure, expectSuccess, folderState } from "../support/expect/expect.ts";
import { gunzip, readManifest } from "../support/machine/files.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";

let server: PostgresServer;
let scripts: Installation;
let ran: Ran;
let startedAt: number;

beforeAll(async () => {
  server = await startPostgres(15);
  await server.createDatabase("app", "CREATE TABLE greeting AS SELECT 'hello' AS word");
  scripts = installScripts(server.settings("app"));
  startedAt = Date.now();
  ran = await scripts.run("backup");
});
afterAll(() => server.stop());

test("shell 1.1 a backup creates a timestamped SQL dump in the backup directory and prints its path", async () => {
  const [name = "none"] = scripts.list();
  expect(ran.stdout).toBe(`${join(scripts.backups, name)}\n`);
  const [, day = "", time = ""] = /^app_(\d{4}-\d\d-\d\d)_(\d\d-\d\d-\d\d)\.sql\.gz$/.exec(name) ?? [];
  const named = Date.parse(`${day}T${time.replaceAll("-", ":")}Z`);
  expect(named).toBeGreaterThanOrEqual(Math.floor(startedAt / 1000) * 1000);
  expect(named).toBeLessThanOrEqual(Date.now());
  const sql = await gunzip(join(scripts.backups, name));
  expect(sql).toContain("COPY public.greeting (word) FROM stdin;\nhello\n\\.\n");
  expect(sql).toContain("-- PostgreSQL database dump complete");
});

test("shell 1.1 nothing but the backup, its manifest and the lock lies in the backup directory, for the owner alone", () => {
  const [name = "none"] = scripts.list();
  expect(Object.keys(folderState(scripts.backups))).toEqual([name, `${name}.json`]);
  expect(statSync(scripts.backups).mode & 0o777).toBe(0o700);
  for (const file of scripts.everything()) expect(statSync(join(scripts.backups, file)).mode & 0o777).toBe(0o600);
});

test("shell 1.1 the manifest says what the file is and how stock tools restore it", async () => {
  const [name = "none"] = scripts.list();
  const file = Bun.file(join(scripts.backups, name));
  const sha256 = new Bun.CryptoHasher("sha256").update(await file.bytes()).digest("hex");
  const manifest = readManifest(join(scripts.backups, name));
  expect(manifest).toMatchObject({ database: "app", engine: "postgresql", bytes: file.size, sha256 });
  expect(manifest.compression).toBe("gzip");
  expect(manifest.uncompressedBytes).toBe((await gunzip(join(scripts.backups, name))).length);
  expect(manifest.serverVersion).toMatch(/15\.\d+/);
  expect(manifest.clientVersion).toMatch(/pg_dump \d+\.\d+/);
  expect(String(manifest.restoreCommand)).toMatch(/gunzip.*psql/);
});

test("shell 1.2 the credentials of the settings decide which database is dumped, as whom", async () => {
  await server.sql("postgres", "CREATE ROLE teller LOGIN PASSWORD 'only for this'");
  await server.createDatabase(
    "bank",
    "CREATE TABLE account AS SELECT 42 AS balance; ALTER TABLE account OWNER TO teller",
  );
  const bank = installScripts(server.settings("bank", { user: "teller", password: "only for this" }));
  expectSuccess(await bank.run("backup"));
  expect(await gunzip(join(bank.backups, bank.list()[0] ?? ""))).toContain("COPY public.account (balance)");
  bank.configure(server.settings("bank", { user: "teller", password: "not his password" }));
  expectFailure(await bank.run("backup"), /password authentication failed for user "teller"/);
});

test("shell 1.3 a backup that completes exits with status 0", () => {
  expect(ran.status).toBe(0);
});

test("shell 1.4 a backup that fails exits with another status and an error message", async () => {
  const broken = installScripts(server.settings("no such database"));
  expectFailure(await broken.run("backup"), /database "no such database" does not exist/);
  expect(broken.list()).toEqual([]);
});

test("shell 1.5 a backup directory that does not exist is created, with the folders above it", async () => {
  const deep = installScripts({ ...server.settings("app"), BACKUP_DIR: "not/there yet/at all" });
  const dir = join(deep.dir, "not/there yet/at all");
  expect(existsSync(dir)).toBe(false);
  const { status, stdout } = await deep.run("backup");
  expect({ status, inDir: stdout.startsWith(`${dir}/app_`) }).toEqual({ status: 0, inDir: true });
  expect(statSync(dir).mode & 0o777).toBe(0o700);
});

test("a relative BACKUP_DIR starts at the executables, whatever the current folder", async () => {
  const { stdout } = await scripts.run("backup", [], { cwd: "/usr" });
  expect(stdout.startsWith(`${scripts.backups}/app_`)).toBe(true);
});

test("two backups within one second get two names", async () => {
  const twice = installScripts(server.settings("app"));
  expectSuccess(await twice.run("backup"));
  expectSuccess(await twice.run("backup"));
  expectSuccess(await twice.run("backup"));
  expect(new Set(twice.list()).size).toBe(3);
});
