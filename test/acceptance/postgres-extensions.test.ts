/** R14: extensions that cannot live in every database. */
import { chmodSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "bun:test";
import { installScripts, type Installation } from "../support/machine/executables.ts";
import { tempDir } from "../support/machine/temp.ts";
import { expectFailure, expectSuccess } from "../support/expect/expect.ts";
import { expectState, stateOf } from "../support/expect/oracle.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";

let server: PostgresServer;
let scripts: Installation;

/** As pg_cron 1.4 does: it refuses every database but one, and marks the rows of its tables as its users' own. */
const cron = {
  "pg_cron.control": "default_version = '1.4'\nrelocatable = false\nsuperuser = true\n",
  "pg_cron--1.4.sql": `DO $$ BEGIN IF current_database() <> current_setting('cron.database_name') THEN
      RAISE EXCEPTION 'can only create extension in database %', current_setting('cron.database_name'); END IF; END $$;
    CREATE SCHEMA cron;
    CREATE SEQUENCE cron.jobid_seq;
    CREATE TABLE cron.job (jobid bigint PRIMARY KEY DEFAULT nextval('cron.jobid_seq'), schedule text, command text);
    CREATE FUNCTION cron.schedule(text, text) RETURNS bigint LANGUAGE sql AS 'INSERT INTO cron.job (schedule, command) VALUES ($1, $2) RETURNING jobid';
    SELECT pg_extension_config_dump('cron.job', '');
    SELECT pg_extension_config_dump('cron.jobid_seq', '');`,
};

beforeAll(async () => {
  const share = tempDir("extensions");
  chmodSync(share, 0o755);
  const dir = join(share, "extension");
  await Promise.all(Object.entries(cron).map(([name, text]) => Bun.write(join(dir, name), text)));
  server = await startPostgres(18, {
    extension_control_path: `$system:${share}`,
    "cron.database_name": "jobs",
  });
  await server.sql("postgres", "CREATE ROLE planner");
  await server.createDatabase(
    "jobs",
    `CREATE EXTENSION pg_cron; CREATE TABLE t AS SELECT 1 AS a;
     SELECT cron.schedule('0 3 * * *', 'DELETE FROM t'); GRANT USAGE ON SCHEMA cron TO planner;
     GRANT SELECT ON cron.job TO planner; GRANT EXECUTE ON FUNCTION cron.schedule(text, text) TO planner`,
  );
  scripts = installScripts(server.settings("jobs"));
  expectSuccess(await scripts.run("backup"));
});
afterAll(() => server.stop());

test("R14: a backup with pg_cron is proved without its jobs, and so is a copy made", async () => {
  const proved = await scripts.run("verify");
  expectSuccess(proved);
  expect(proved.stderr).toContain("not compared: pg_cron and its jobs are left out of the copy");
  expect(proved.stderr).toContain("1 table and 1 row are equal");
  expectSuccess(await scripts.run("restore", ["--into", "look"]));
  expect(await server.sql("look", "SELECT a, to_regnamespace('cron') IS NULL FROM t")).toBe("1|t");
  await server.dropDatabase("look");
});

test("R14: views over pg_cron's jobs are proved, and copied without rows", async () => {
  await server.sql(
    "jobs",
    "CREATE VIEW planned AS SELECT jobid, command FROM cron.job; CREATE VIEW few AS TABLE planned",
  );
  expectSuccess(await scripts.run("backup"));
  expectSuccess(await scripts.run("verify"));
  expectSuccess(await scripts.run("restore", ["--into", "look"]));
  expect(await server.sql("look", "SELECT count(*) FROM few")).toBe("0");
  await server.dropDatabase("look");
});

test("R14: a backup with pg_cron that cannot be loaded leaves no empty database under its name", async () => {
  await server.createDatabase("kept", "", "TEMPLATE jobs");
  const file = join(scripts.backups, "broken.sql");
  const good = Bun.gunzipSync(await Bun.file(join(scripts.backups, scripts.list().at(-1) ?? "")).bytes());
  await Bun.write(file, Buffer.from(good).toString().replace("\nCOPY public.t (a)", "\nCOPY public.t (lost)"));
  await server.dropDatabase("jobs");
  const refused = await scripts.run("restore", [file, "--replace"]);
  expectFailure(refused, /column "lost" of relation "t" does not exist[^]*was not created/);
  expect(await server.sql("postgres", "SELECT count(*) FROM pg_database WHERE datname LIKE 'jobs%'")).toBe("0");
  await server.sql("postgres", "ALTER DATABASE kept RENAME TO jobs");
});

test.each([
  ["in place of the present state", async () => {}],
  ["into a database that is gone", () => server.dropDatabase("jobs")],
  ["into an empty database", () => server.dropDatabase("jobs").then(() => server.createDatabase("jobs"))],
])("R14: a backup with pg_cron is restored %s, with its jobs", async (_, prepare) => {
  const before = await stateOf(server, "jobs");
  await prepare();
  expectSuccess(await scripts.run("restore"));
  await expectState(server, "jobs", before);
});

/** A database of `owner`, who is no superuser, with a table and what only a superuser can make; scripts with the owner's login, and a backup. */
async function backedUpBy(owner: string, database: string, special: string): Promise<Installation> {
  const password = `${owner}-password`;
  await server.sql("postgres", `CREATE ROLE ${owner} LOGIN CREATEDB PASSWORD '${password}'`);
  const content = `${special}; CREATE TABLE t AS SELECT 1 AS a; ALTER TABLE t OWNER TO ${owner}`;
  await server.createDatabase(database, content, `OWNER ${owner}`);
  const own = installScripts(server.settings(database, { user: owner, password }));
  expectSuccess(await own.run("backup"));
  return own;
}

test("R6: privileges on a function of an administrator's extension stay, whoever has them", async () => {
  await server.sql("postgres", "CREATE ROLE monitor");
  const granted = "CREATE EXTENSION pageinspect; GRANT EXECUTE ON FUNCTION get_raw_page(text, bigint) TO monitor";
  const own = await backedUpBy("tenant", "rented", granted);
  const before = await stateOf(server, "rented");
  expectSuccess(await own.run("restore"));
  await expectState(server, "rented", before);
});

test("a proof goes without an extension that its login cannot create, and says so; what needs the extension cannot be proved", async () => {
  const own = await backedUpBy("app", "shop", "CREATE EXTENSION dblink");
  const proved = await own.run("verify");
  expectSuccess(proved);
  expect(proved.stderr).toContain("not compared: app cannot create the extension dblink");
  await server.sql("shop", "CREATE VIEW far AS SELECT * FROM dblink('', 'SELECT 1') AS t(a int)");
  expectSuccess(await own.run("backup"));
  expectFailure(
    await own.run("verify"),
    /function public.dblink\(.*\) does not exist[^]*app cannot create the extension dblink/,
  );
});
