/** A clock that has jumped (libfaketime): backups are good all the same, and none is lost that retention should keep. */
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { writeBackup } from "../support/expect/backups.ts";
import { type Installation, installScripts, startProgram } from "../support/machine/executables.ts";
import { fakeClock } from "../support/machine/fake-clock.ts";
import { expectSuccess, folderState } from "../support/expect/expect.ts";
import { readManifest } from "../support/machine/files.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { type S3Server, startS3Server } from "../support/servers/s3-server.ts";
import { s3Settings, sha256 } from "../support/servers/storage.ts";
import { testWhere } from "../support/machine/where.ts";

let server: PostgresServer;
let s3: S3Server;
let scripts: Installation;
beforeAll(async () => {
  server = await startPostgres(15);
  await server.createDatabase("app", "CREATE TABLE t AS SELECT 1 AS a");
  s3 = startS3Server();
});
beforeEach(() => {
  scripts = installScripts(server.settings("app"));
});
afterEach(() => scripts.remove());
afterAll(async () => {
  await s3.stop();
  await server.stop();
});

// elsewhere than on Linux, faketime cannot be preloaded
const fake = testWhere(process.platform === "linux", "Linux");
/** Runs a script whose clock is off by so much ("+1d"). */
const runAt = (offset: string, script: string, ...args: string[]) =>
  startProgram([join(scripts.dir, script), ...args], { env: fakeClock(offset) }).done;

for (const offset of ["+3000d", "-3000d"])
  fake(`a clock that is years ahead or behind (${offset}): the backup is good and restores`, async () => {
    const ran = await runAt(offset, "backup");
    expectSuccess(ran);
    const file = ran.stdout.trim();
    expect(file).toMatch(offset.startsWith("+") ? /app_203\d-/ : /app_201\d-/);
    expect(sha256(readFileSync(file))).toBe(String(readManifest(file).sha256));
    await server.sql("app", "UPDATE t SET a = 2");
    expectSuccess(await scripts.run("restore", [file]));
    expect(await server.sql("app", "SELECT a FROM t")).toBe("1");
  });

fake("I3: a clock that is 400 days ahead deletes nothing and says so; its backup is never the newest", async () => {
  scripts.configure({ ...server.settings("app"), LOCAL_RETENTION_DAYS: "7" });
  await server.sql("app", "UPDATE t SET a = 1");
  expectSuccess(await scripts.run("backup"));
  const [good = ""] = scripts.list();
  await server.sql("app", "UPDATE t SET a = 400");
  const ran = await runAt("+400d", "backup");
  expectSuccess(ran);
  expect(ran.stderr).toMatch(/WARN .*this machine's clock is 1y 35d .*ahead of that of the database server; retention/);
  expect(scripts.list()).toHaveLength(2);

  const restored = await scripts.run("restore");
  expectSuccess(restored);
  expect(await server.sql("app", "SELECT a FROM t")).toBe("1");
  expect(restored.stderr).toMatch(/WARN .*passed over app_.*: its name lies in the future; name it to restore it/);
  expect(scripts.list()).toContain(good);
});

fake("a clock that was set back: retention takes none of the newer ones, then or later", async () => {
  scripts.configure({ ...server.settings("app"), LOCAL_RETENTION_DAYS: "30" });
  expectSuccess(await scripts.run("backup"));
  const good = folderState(scripts.backups);
  expectSuccess(await runAt("-3000d", "backup"));
  expect(folderState(scripts.backups)).toMatchObject(good);
  expectSuccess(await scripts.run("backup"));
  expect(folderState(scripts.backups)).toMatchObject(good);
  expect(scripts.list().filter((name) => name.startsWith("app_201"))).toEqual([]);
});

fake("a clock that was ahead: its backup neither goes nor stands for the newest once the clock is right", async () => {
  expectSuccess(await runAt("+3000d", "backup"));
  const [ahead = ""] = scripts.list();
  expectSuccess(await scripts.run("backup"));
  writeBackup(scripts.backups, "app", "2025-01-01");
  scripts.configure({ ...server.settings("app"), LOCAL_RETENTION_DAYS: "30" });
  expectSuccess(await scripts.run("backup"));
  expect(scripts.list()).toHaveLength(3);
  expect(scripts.list()).toContain(ahead);
});

fake("a clock a day off: S3 takes the backup all the same, by the server's clock", async () => {
  const bucket = await s3.newBucket();
  scripts.configure({ ...server.settings("app"), ...s3Settings(s3, bucket) });
  expectSuccess(await runAt("+1d", "backup", "--upload"));
  expect([...s3.objects(bucket).keys()]).toHaveLength(2);
});

fake("runs of one second: the last backup is the newest, and that of a dry run would be newer", async () => {
  scripts.configure({ ...server.settings("app"), LOCAL_KEEP_LAST: "2" });
  const second = `@${new Date().toISOString().slice(0, 19).replace("T", " ")} x0.01`;
  await server.sql("app", "INSERT INTO t SELECT 1 FROM generate_series(1, 5000)");
  expectSuccess(await runAt(second, "backup"));
  await server.sql("app", "TRUNCATE t");
  expectSuccess(await runAt(second, "backup"));
  const [first = "", last = ""] = scripts.list();
  expect(last).toBe(first.replace(".sql", "-2.sql"));
  const planned = (await runAt(second, "backup", "--dry-run")).stdout;
  expect(planned).toContain("the newest backup is suspicious");
  const accepted = (await runAt(second, "backup", "--dry-run", "--accept")).stdout;
  expect(accepted).not.toContain("suspicious");
  expect(accepted).toContain(`delete ${first}: `);
  expect(accepted).toContain(`keep ${last}: `);
});
