/** R15: a whole server: its roles and its databases are backed up, the server is lost, and one command brings them back on another. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { gunzipSync } from "node:zlib";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { expectSuccess } from "../support/expect/expect.ts";
import { readManifest } from "../support/machine/files.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { type S3Server, startS3Server } from "../support/servers/s3-server.ts";
import { s3Settings } from "../support/servers/storage.ts";

setDefaultTimeout(180_000);

let old: PostgresServer;
let fresh: PostgresServer;
let s3: S3Server;
let scripts: Installation;
let bucket: string;
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

/** What pg_dumpall writes of roles, but for what every server has. */
const rolesOf = (server: PostgresServer) =>
  server.sql(
    "postgres",
    `SELECT rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolconnlimit, rolpassword,
       rolvaliduntil AT TIME ZONE 'UTC', shobj_description(r.oid, 'pg_authid'),
       (SELECT string_agg(g.rolname || admin_option, ',' ORDER BY g.rolname) FROM pg_auth_members JOIN pg_roles g ON g.oid = roleid WHERE member = r.oid),
       (SELECT array_to_string(setconfig, '|') FROM pg_db_role_setting WHERE setrole = r.oid AND setdatabase = 0),
       (SELECT string_agg(parname, ',') FROM pg_parameter_acl, aclexplode(paracl) WHERE grantee = r.oid)
     FROM pg_authid r WHERE rolname !~ '^pg_' AND r.oid <> 10 AND rolname <> 'here' ORDER BY 1`,
  );

test("backup writes the roles into a file of their own, with its manifest, and prints the databases' paths alone", async () => {
  const { DB_NAME: _, ...login } = old.settings("postgres");
  await old.createDatabase(
    "shop",
    "CREATE TABLE t AS SELECT 1 AS id; ALTER TABLE t OWNER TO app; ALTER DATABASE shop OWNER TO app",
  );
  await old.createDatabase("@roles", "CREATE TABLE t AS SELECT 2 AS id");
  bucket = await s3.newBucket();
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
  // passwords are in the file alone
  expect(readManifest(join(scripts.backups, file))).not.toHaveProperty("contents");
  expect([...s3.objects(bucket).keys()]).toEqual(expect.arrayContaining([`all/${file}`, `all/${file}.json`]));
  const text = gunzipSync(readFileSync(join(scripts.backups, file))).toString();
  expect(text).toContain(String.raw`CREATE ROLE "gro""up" WITH NOINHERIT CREATEROLE NOLOGIN;`);
  expect(text).toMatch(/CREATE ROLE "app" WITH LOGIN CONNECTION LIMIT 9 PASSWORD 'SCRAM-SHA-256\$/);
  expect(text).not.toMatch(/ROLE "?(?:super|postgres|pg_)/);
  const { backups } = JSON.parse((await scripts.run("list", ["--json"])).stdout) as {
    backups: { name: string; database: string }[];
  };
  expect(backups.find(({ name }) => name === file)?.database).toBe("@roles");
  expect((await scripts.run("list", [file])).stdout).toMatch(/^database +@roles$/m);
  const page = join(scripts.dir, "report.html");
  expectSuccess(await scripts.run("list", ["--html", page]));
  const sections = readFileSync(page, "utf8").split("<section>");
  expect(sections.at(-1)).toContain("@roles (the server&#x27;s roles)");
  expect(sections.at(-1)).not.toContain("never proved");
  const named = await scripts.run("restore", [file, "--database", "shop", "--yes"]);
  expect(named.status).toBe(2);
  expect(named.stderr).toContain("holds the roles of a server, no database");
});

test("restore --all: roles that are missing, then every database with owner and rights; the application logs in with its old password", async () => {
  await old.createDatabase("data", "CREATE TABLE t AS SELECT 3 AS id");
  // it refers to a role that nobody has any more
  await old.createDatabase("broken", "CREATE TABLE t AS SELECT 4 AS id");
  expectSuccess(await scripts.run("backup", ["--upload"]));
  const expected = await rolesOf(old);
  await old.stop();

  await fresh.createDatabase("data", "CREATE TABLE mine AS SELECT 'of the new server' AS word");
  const { DB_NAME: _, ...login } = fresh.settings("postgres");
  const settings = { ...login, DB_NAMES: "*", DB_CLIENT_DIR: fresh.clientDir, ...s3Settings(s3, bucket, "all") };
  // the database to log in through is lost, too
  const bare = installScripts({ ...settings, DB_NAME: "shop" });
  const dry = await bare.run("restore", ["--all", "--from-s3", "--dry-run"]);
  expectSuccess(dry);
  expect(dry.stderr).not.toContain("not restored");
  expect(dry.stdout).toMatch(
    /3 roles of @roles_\S+ are missing and will be created \(admin, app, gro"up\); WITH ALL RIGHTS ON THE SERVER: admin/,
  );
  expect(dry.stdout).toMatch(/shop: shop_\S+, \d+ B/);
  expect(dry.stdout).toMatch(
    /data: holds data and stays as it is; no backup of data .*; to restore that one .*: restore --from-s3 data_/,
  );
  expect(await fresh.sql("postgres", "SELECT count(*) FROM pg_database")).toBe("4");

  // what a killed restore has fetched of a database that holds data by now
  mkdirSync(bare.backups, { recursive: true, mode: 0o700 });
  const fetched = join(bare.backups, ".data_2026-01-01_00-00-00.sql.gz.partial");
  writeFileSync(fetched, "half");
  const ran = await bare.run("restore", ["--all", "--from-s3", "--yes"]);
  expectSuccess(ran);
  expect(existsSync(fetched)).toBe(false);
  expect(ran.stdout).toMatch(/^shop +success/m);
  expect(ran.stderr).toContain("restore done: 3 databases");
  expect(ran.stderr).toContain("WARN restore: data holds data and was left as it is");
  expect(await rolesOf(fresh)).toBe(expected);
  expect(
    await fresh.sql("postgres", "SELECT setconfig FROM pg_db_role_setting WHERE setrole = 0 AND setdatabase = 0"),
  ).toBe("{lock_timeout=7min}");
  const app = new Bun.SQL(fresh.url("shop", { user: "app", password: "secret" }), { max: 1 });
  expect(await app`INSERT INTO public.t VALUES (5) RETURNING id`.values()).toEqual([[5]]);
  await app.close();
  // what exists is not touched
  const here = new Bun.SQL(fresh.url("data", { user: "here", password: "of the new server" }), { max: 1 });
  expect(
    await here`SELECT shobj_description(oid, 'pg_authid'), rolconfig FROM pg_roles WHERE rolname = 'here'`.values(),
  ).toEqual([[null, null]]);
  await here.close();
  expect(await fresh.sql("data", "SELECT word FROM mine")).toBe("of the new server");
  expect(await fresh.sql("@roles", "SELECT id FROM t")).toBe("2");

  const one = await bare.run("restore", ["--database", "data", "--from-s3", "--yes"]);
  expect(one.status, one.stderr).toBe(4);
  // those are the old server's, and a database that holds data is no new machine
  const replacing = await bare.run("restore", ["--all", "--from-s3", "--replace", "--dry-run"]);
  expect([replacing.status, replacing.stdout]).toEqual([
    1,
    expect.stringMatching(
      /^ +data: no backup of data in \S+ is of this server: .*hint: .*name it: restore --from-s3 data_/ms,
    ),
  ]);
  const signing = { env: { MANIFEST_KEY: "5f0c8a3d1b7e49c2a6d8f1e4b3a7c9d2" } };
  const refused = await bare.run("restore", ["--all", "--from-s3", "--replace", "--dry-run"], signing);
  expect(refused.stdout).toContain("the server's roles are not restored, the warning says why");
  expect(refused.stdout).toMatch(/^ +shop: shop_\S+ is refused, because MANIFEST_KEY is set/m);
  expect(refused.stderr).toMatch(/WARN .*roles are not restored: @roles_\S+ is refused, because MANIFEST_KEY is set/);
  const again = await bare.run("restore", ["--all", "--from-s3", "--yes"]);
  expect(again.stderr).toMatch(/no role of \S+ is missing\n/);
  expect(again.stderr).toContain("restore done: nothing to restore, every database holds data");
  bare.remove();
});
