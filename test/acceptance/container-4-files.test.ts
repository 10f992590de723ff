/** Container requirement 4: how backup files are named and compressed. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { expectSuccess } from "../support/expect/expect.ts";
import { gunzip, readManifest } from "../support/machine/files.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";

let server: PostgresServer;

/** Compresses well: more than ten times. */
const rows = "CREATE TABLE t AS SELECT 'the same line again and again' AS line FROM generate_series(1, 20000)";

beforeAll(async () => {
  server = await startPostgres(15);
  await server.createDatabase("app", rows);
});
afterAll(() => server.stop());

/** The path of a new backup. */
async function backUp(scripts: Installation, env?: Record<string, string>): Promise<string> {
  const ran = await scripts.run("backup", [], { env });
  expectSuccess(ran);
  return ran.stdout.trim();
}

test("container 4.1 the name holds the time as YYYY-MM-DD_HH-MM-SS, in UTC whatever the zone of the machine", async () => {
  const before = Date.now() - 1000;
  const file = await backUp(installScripts(server.settings("app")), { TZ: "Pacific/Kiritimati" });
  const [, day, hour, minute, second] = /_(\d{4}-\d\d-\d\d)_(\d\d)-(\d\d)-(\d\d)\.sql\.gz$/.exec(file) ?? [];
  const named = Date.parse(`${day}T${hour}:${minute}:${second}Z`);
  expect(named).toBeGreaterThanOrEqual(before);
  expect(named).toBeLessThanOrEqual(Date.now());
});

test("container 4.1 a database name with odd characters still makes one plain file name, and restores by itself", async () => {
  const name = 'Größe/..\\ & "Co" $x%41';
  await server.createDatabase(name, "CREATE TABLE t AS SELECT 1 AS a");
  const scripts = installScripts({ ...server.settings("app"), DB_NAME: name });
  const file = await backUp(scripts);
  expect(file.slice(scripts.backups.length + 1)).toMatch(/^[A-Za-z0-9%._ -]+_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d\.sql\.gz$/);
  expect(readManifest(file).database).toBe(name);
  await server.sql(name, "DROP TABLE t");
  expectSuccess(await scripts.run("restore"));
  expect(await server.sql(name, "SELECT a FROM t")).toBe("1");
});

test("container 4.4 a backup is compressed with gzip, which stock gunzip reads", async () => {
  const file = await backUp(installScripts(server.settings("app")));
  const sql = await gunzip(file);
  expect(sql.match(/^the same line again and again$/gm)?.length).toBe(20_000);
  expect(Bun.file(file).size * 10).toBeLessThan(sql.length);
});

test.each([
  ["zstd", ".sql.zst", ["zstd", "-dc"]],
  ["none", ".sql", ["cat"]],
] as const)("BACKUP_COMPRESSION=%s makes %s, which stock tools read and restore restores", async (way, end, reader) => {
  const scripts = installScripts({ ...server.settings("app"), BACKUP_COMPRESSION: way });
  const file = await backUp(scripts);
  expect(file.endsWith(end)).toBe(true);
  expect(Bun.spawnSync([...reader, file]).stdout.toString()).toContain("-- PostgreSQL database dump complete");
  expectSuccess(await scripts.run("restore"));
  expect(await server.sql("app", "SELECT count(*) FROM t")).toBe("20000");
});

test.each([
  ["gzip", "1"],
  ["gzip", "12"],
  ["zstd", "19"],
])("BACKUP_COMPRESSION=%s at level %s makes a sound file", async (way, level) => {
  const settings = { BACKUP_COMPRESSION: way, BACKUP_COMPRESSION_LEVEL: level, BACKUP_JOBS: "1" };
  const file = await backUp(installScripts({ ...server.settings("app"), ...settings }));
  expect(Bun.spawnSync([way, "-t", file]).exitCode).toBe(0);
});

test("the command in the manifest restores the file with stock tools alone", async () => {
  await server.createDatabase("fresh");
  const file = await backUp(installScripts(server.settings("app")));
  const { restoreCommand } = readManifest(file);
  const command = String(restoreCommand).replace(/-d app\b/, "-d fresh");
  const child = Bun.spawn(["/bin/sh", "-c", command], {
    cwd: join(file, ".."),
    env: server.env("fresh"),
    stderr: "pipe",
  });
  expect(await child.stderr.text()).toBe("");
  expect(await child.exited).toBe(0);
  expect(await server.sql("fresh", "SELECT count(*) FROM t")).toBe("20000");
});
