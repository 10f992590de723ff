/** S11: nobody waits in silence for another session's lock. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { expectFailure, expectSuccess } from "../support/expect/expect.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { until } from "../support/machine/until.ts";

let server: PostgresServer;
let scripts: Installation;
beforeAll(async () => {
  server = await startPostgres(15);
  await server.createDatabase("app", "CREATE TABLE busy AS SELECT 1 AS a");
  scripts = installScripts(server.settings("app"));
  expectSuccess(await scripts.run("backup"));
});
afterAll(async () => {
  scripts.remove();
  await server.stop();
});

/** Another session that has locked the table; ended when it is disposed of. */
async function locked(mode: string): Promise<AsyncDisposable> {
  const keeper = server
    .sql("app", `SET application_name = 'shop'; BEGIN; LOCK TABLE busy IN ${mode} MODE; SELECT pg_sleep(600)`)
    .catch(() => {});
  await until("the table is locked", async () =>
    Number(await server.sql("app", "SELECT count(*) FROM pg_locks WHERE relation = 'busy'::regclass AND granted")),
  );
  return {
    async [Symbol.asyncDispose]() {
      await server.sql("app", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'shop'");
      await keeper;
    },
  };
}

const held = (program: string) =>
  new RegExp(
    `WARN .*${program} waits for a lock on public\\.busy, held by session \\d+ of postgres \\(shop\\), active since`,
  );

test("backup says which lock it waits for and whose it is, and goes on when it is free", async () => {
  const lock = await locked("ACCESS EXCLUSIVE");
  const backup = scripts.start("backup");
  await until("it is said", () => held("pg_dump").test(backup.stderr()));
  await lock[Symbol.asyncDispose]();
  expectSuccess(await backup.done);
});

test("backup gives up: --lock-wait-timeout of DB_DUMP_OPTIONS wins over our five minutes", async () => {
  await using _lock = await locked("ACCESS EXCLUSIVE");
  const before = scripts.everything();
  const ran = await scripts.run("backup", [], { env: { DB_DUMP_OPTIONS: "--lock-wait-timeout=500" } });
  expectFailure(ran, /pg_dump of .* failed: .*canceling statement due to (statement|lock) timeout/);
  expect(ran.stderr).toContain("hint: another session holds a lock on the table");
  expect(scripts.everything()).toEqual(before);
});

test("a restore in place says it too, and goes on when the lock is free", async () => {
  const lock = await locked("ACCESS SHARE");
  const restore = scripts.start("restore", ["--yes", "--in-place"]);
  await until("it is said", () => held("psql").test(restore.stderr()));
  await lock[Symbol.asyncDispose]();
  expectSuccess(await restore.done);
});
