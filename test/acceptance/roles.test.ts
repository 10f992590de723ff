/** R15: a whole server: its roles and its databases are backed up, the server is lost, and one command brings them back on another. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { gunzipSync } from "node:zlib";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Installation, installScripts } from "../support/executables.ts";
import { expectSuccess } from "../support/expect.ts";
import { type PostgresServer, startPostgres } from "../support/postgres.ts";
import { type S3Server, startS3Server } from "../support/s3-server.ts";
import { s3Settings } from "../support/storage.ts";

setDefaultTimeout(180_000);

let old: PostgresServer;
let fresh: PostgresServer;
let s3: S3Server;
let scripts: Installation;
beforeAll(async () => {
  [old, fresh] = await Promise.all([startPostgres(15), startPostgres(17)]);
  s3 = startS3Server();
  await old.sql("postgres", roles);
  await fresh.sql("postgres", "CREATE ROLE here LOGIN PASSWORD 'of the new server'");
  scripts = installScripts();
});
afterAll(async () => {
  await Promise.all([old.stop(), fresh.stop(), s3.stop()]);
  scripts.remove();
});

const roles = `
  CREATE ROLE app LOGIN PASSWORD 'secret' CONNECTION LIMIT 9; CREATE ROLE "gro""up" NOINHERIT CREATEROLE; CREATE ROLE admin SUPERUSER LOGIN PASSWORD 'x';
  CREATE ROLE "here" LOGIN PASSWORD 'of the old server'; COMMENT ON ROLE here IS 'is left alone'; ALTER ROLE here SET work_mem = '6MB';
  COMMENT ON ROLE app IS E'it''s\\nthe \\\\ app'; ALTER ROLE app SET search_path TO shop, "$user"; ALTER ROLE app VALID UNTIL '2031-01-31 12:00+02';
  ALTER ROLE app SET my.word TO E'a\\\\b\\nc'; ALTER ROLE ALL SET lock_timeout = '7min'; GRANT "gro""up" TO app WITH ADMIN OPTION;
  GRANT pg_monitor TO app; GRANT SET ON PARAMETER log_min_duration_statement TO app;`;

test("backup writes the roles into a file of their own, with its manifest, and prints the databases' paths alone", async () => {
  const { DB_NAME: _, ...login } = old.settings("postgres");
  await old.createDatabase(
    "shop",
    "CREATE TABLE t AS SELECT 1 AS id; ALTER TABLE t OWNER TO app; ALTER DATABASE shop OWNER TO app",
  );
  await old.createDatabase("@roles", "CREATE TABLE t AS SELECT 2 AS id");
  const bucket = await s3.newBucket();
  scripts.configure({ ...login, DB_NAMES: "*", ...s3Settings(s3, bucket, "all") });
  const ran = await scripts.run("backup", ["--upload"]);
  expectSuccess(ran);
  expect(ran.stderr).not.toContain("WARN");
  expect(
    ran.stdout
      .trim()
      .split("\n")
      .map((path) => path.replace(/_\d{4}.*/, "").replace(/.*\//, "")),
  ).toEqual(["%40roles", "shop"]);
  const file = scripts.list().find((name) => name.startsWith("@roles_")) ?? "";
  expect([...s3.objects(bucket).keys()]).toEqual(expect.arrayContaining([`all/${file}`, `all/${file}.json`]));
  const text = gunzipSync(readFileSync(join(scripts.backups, file))).toString();
  expect(text).toContain(String.raw`CREATE ROLE "gro""up" WITH NOINHERIT CREATEROLE NOLOGIN;`);
  expect(text).toMatch(/CREATE ROLE "app" WITH LOGIN CONNECTION LIMIT 9 PASSWORD 'SCRAM-SHA-256\$/);
  expect(text).not.toMatch(/ROLE "?(?:super|postgres|pg_)/);
});
