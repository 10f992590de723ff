/** Container requirement 2: configuration through environment variables. Storage and schedule have tests of their own. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { expectFailure, expectSuccess } from "../support/expect/expect.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";

let server: PostgresServer;
let scripts: Installation;

beforeAll(async () => {
  server = await startPostgres(15);
  await server.createDatabase("app", "CREATE TABLE t AS SELECT 1 AS a");
  scripts = installScripts();
  rmSync(join(scripts.dir, ".env.sh"));
});
afterAll(() => server.stop());

test("container 2.1 environment variables alone configure a backup; no file is needed", async () => {
  const ran = await scripts.run("backup", [], { env: server.settings("app") });
  expectSuccess(ran);
  expect(ran.stdout).toMatch(/\/backups\/app_.*\.sql\.gz\n$/);
});

test("container 2.1 a variable of the environment wins over the file, and the log says so", async () => {
  const both = installScripts({ ...server.settings("app"), DB_NAME: "not this one" });
  const ran = await both.run("backup", [], { env: { DB_NAME: "app" } });
  expectSuccess(ran);
  expect(ran.stderr).toMatch(/DB_NAME .*\.env\.sh.*overridden by DB_NAME of the environment/);
});

test("container 2.6 POSTGRES_CONNECTION_STRING as a URI connects to the database", async () => {
  const ran = await scripts.run("backup", [], { env: { POSTGRES_CONNECTION_STRING: server.url("app") } });
  expectSuccess(ran);
});

test("container 2.6 POSTGRES_CONNECTION_STRING in libpq's keyword form connects to the database", async () => {
  const { host, port, user, password } = server;
  const POSTGRES_CONNECTION_STRING = `host=${host} port=${port} dbname=app user=${user} password='${password}' connect_timeout=50`;
  expectSuccess(await scripts.run("backup", [], { env: { POSTGRES_CONNECTION_STRING } }));
});

test("container 2.8 without any setting, every missing one is listed at once and nothing is attempted", async () => {
  const ran = await scripts.run("backup");
  expectFailure(ran, /DATABASE_URL/, 2);
  expect(ran.stderr).toMatch(/missing/);
  expect(ran.stderr).toMatch(/POSTGRES_CONNECTION_STRING/);
  expect(ran.stderr).toMatch(/DB_NAME/);
  expect(ran.stderr).toContain("cp example.env.sh .env.sh");
});
