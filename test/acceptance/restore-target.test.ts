/** What a restore does with a target that has more, or less, than the backup. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { join } from "node:path";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { expectFailure, expectSuccess } from "../support/expect/expect.ts";
import { expectState, stateOf } from "../support/expect/oracle.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { tempDir } from "../support/machine/temp.ts";

let server: PostgresServer;
let scripts: Installation;

const data = `
  CREATE SCHEMA sales;
  CREATE TABLE sales.orders AS SELECT i AS id FROM generate_series(1, 100) i;
  ALTER TABLE sales.orders ADD PRIMARY KEY (id);
  CREATE TABLE public.plain AS SELECT 'from the backup' AS word;`;

beforeAll(async () => {
  server = await startPostgres(15);
  await server.createDatabase("app", data);
  scripts = installScripts(server.settings("app"));
  expectSuccess(await scripts.run("backup"));
});
beforeEach(async () => {
  await server.dropDatabase("app");
  await server.createDatabase("app", data);
});
afterAll(() => server.stop());

test("M8: a file that lacks tables which are there is refused with the numbers; --into and --replace take it", async () => {
  const file = join(tempDir("elsewhere"), "one-table.sql");
  const words = [join(server.clientDir, "pg_dump"), "--table=public.plain", "--file", file];
  expect(await Bun.spawn(words, { env: server.env("app") }).exited).toBe(0);
  const before = await stateOf(server, "app");
  const numbers = /one-table\.sql holds 1 table, the database 2; 1 would be missing \(sales\.orders\)/;
  expectFailure(await scripts.run("restore", [file]), numbers);
  const dry = await scripts.run("restore", ["--dry-run", file]);
  expect([dry.status, dry.stdout]).toEqual([1, expect.stringMatching(numbers)]);
  await expectState(server, "app", before);
  expectSuccess(await scripts.run("restore", ["--into", "look", file]));
  expect(await server.sql("look", "SELECT word FROM plain")).toBe("from the backup");
  await expectState(server, "app", before);
  expectSuccess(await scripts.run("restore", ["--replace", "--drop-before", file]));
  expect(await server.sql("app", "SELECT to_regclass('sales.orders') IS NULL, word FROM plain")).toBe(
    "t|from the backup",
  );
  await server.dropDatabase("look");
});

test("privileges that several roles have granted come back, each with its grantor", async () => {
  await server.sql("postgres", "CREATE ROLE clerk; CREATE ROLE deputy; CREATE ROLE guest");
  await server.createDatabase(
    "granted",
    `CREATE TABLE a (i int); CREATE TABLE b (i int); CREATE TABLE c (i int);
     GRANT SELECT ON a, b, c TO clerk, deputy WITH GRANT OPTION;
     SET ROLE clerk; GRANT SELECT ON a, b, c TO guest; SET ROLE deputy; GRANT SELECT ON a, b TO guest; RESET ROLE;
     GRANT INSERT ON b, c TO guest`,
  );
  const before = await stateOf(server, "granted");
  const own = installScripts(server.settings("granted"));
  expectSuccess(await own.run("backup"));
  expectSuccess(await own.run("verify"));
  for (const options of [["--drop-before"], ["--in-place"]]) {
    expectSuccess(await own.run("restore", options));
    await expectState(server, "granted", before);
  }
  await server.dropDatabase("granted");
});

test("what an administrator has made in an owner's database: left out with a warning, or named before anything is done", async () => {
  await server.sql("postgres", "CREATE ROLE keeper LOGIN CREATEDB PASSWORD 'keeper-password'; CREATE ROLE other");
  await server.createDatabase(
    "kept",
    `CREATE TABLE t AS SELECT 1 AS i; ALTER TABLE t OWNER TO keeper; CREATE PUBLICATION all_tables FOR ALL TABLES;
     ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT SELECT ON TABLES TO other; SET ROLE keeper;
     GRANT SELECT ON t TO other WITH GRANT OPTION; SET ROLE other; GRANT SELECT ON t TO pg_monitor`,
    "OWNER keeper",
  );
  const own = installScripts(server.settings("kept", { user: "keeper", password: "keeper-password" }));
  expectSuccess(await own.run("backup"));
  expectSuccess(await own.run("verify"));
  const restored = await own.run("restore", ["--into", "kept_copy"]);
  expectSuccess(restored);
  expect(restored.stderr).toContain(
    "default privileges of the role postgres are left out: only its members can set them",
  );
  expect(restored.stderr).toContain("publication all_tables is left out: only a superuser can publish all tables");
  expect(restored.stderr).toContain("privileges that other has granted come back as granted by the owner");
  expect(
    await server.sql(
      "kept_copy",
      "SELECT i, array_to_string(relacl[2:], ' ') FROM t, pg_class WHERE oid = 't'::regclass",
    ),
  ).toBe("1|other=r*/keeper pg_monitor=r/keeper");
  await server.sql(
    "kept",
    "CREATE TABLE foreign_one (i int); ALTER TABLE foreign_one OWNER TO other; GRANT SELECT ON foreign_one TO keeper",
  );
  expectSuccess(await own.run("backup"));
  const refused = await own.run("restore", ["--into", "kept_again"]);
  expectFailure(refused, /must be .*role "other"\n.*the statement: ALTER TABLE public\.foreign_one OWNER TO other/);
  expect(refused.stderr).toContain("hint: restore --no-owner leaves out owners and privileges");
  expect(refused.stderr).toMatch(/nothing was changed/);
  const rest = await own.run("restore", ["--into", "kept_rest", "--keep-going"]);
  expectSuccess(rest);
  expect(rest.stderr).toContain("not loaded: ALTER TABLE public.foreign_one OWNER TO other");
  expectSuccess(await own.run("restore", ["--into", "kept_again", "--no-owner"]));
  for (const name of ["kept", "kept_copy", "kept_rest", "kept_again"]) await server.dropDatabase(name);
});

test("a dump whose last newline an editor has taken away is loaded, its rows counted once", async () => {
  const words = [join(server.clientDir, "pg_dump"), "--table=public.plain"];
  const text = await new Response(Bun.spawn(words, { env: server.env("app") }).stdout).text();
  const file = join(tempDir("edited"), "edited.sql");
  await Bun.write(file, text.trimEnd());
  expectSuccess(await scripts.run("restore", ["--into", "edited", file]));
  expect(await server.sql("edited", "SELECT word FROM plain")).toBe("from the backup");
  await server.dropDatabase("edited");
});

test("a copy sleeps: its event triggers are disabled, its subscriptions left out", async () => {
  await server.createDatabase(
    "awake",
    `CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER watch ON ddl_command_end EXECUTE FUNCTION f();
     CREATE SUBSCRIPTION feed CONNECTION 'host=127.0.0.1 dbname=none' PUBLICATION p WITH (connect = false, slot_name = NONE);`,
  );
  const own = installScripts(server.settings("awake"));
  expectSuccess(await own.run("backup"));
  const ran = await own.run("restore", ["--into", "asleep"]);
  expectSuccess(ran);
  expect(ran.stderr).toContain("subscription feed is left out of the copy");
  const found = `SELECT evtname, evtenabled FROM pg_event_trigger; SELECT count(*) FROM pg_subscription s JOIN pg_database d
    ON d.oid = subdbid WHERE datname = 'asleep'`;
  expect(await server.sql("asleep", found)).toBe("watch|D\n0");
  await server.dropDatabase("asleep");
  await server.sql("awake", "DROP SUBSCRIPTION feed");
  await server.dropDatabase("awake");
});

test("--before takes the newest backup before a time, and says what the oldest is", async () => {
  const refused = await scripts.run("restore", ["--before", "2020-01-01"]);
  expectFailure(refused, /was made before that time/, 4);
  expect(refused.stderr).toContain(`hint: the oldest is ${scripts.list()[0]}`);
  await server.sql("app", "DELETE FROM sales.orders");
  expectSuccess(await scripts.run("restore", ["--before", "2100-01-01T00:00+02:00"]));
  expect(await server.sql("app", "SELECT count(*) FROM sales.orders")).toBe("100");
});

test("a backup from before a migration is restored over what the migration made", async () => {
  await server.createDatabase(
    "shop",
    `CREATE TABLE item (id serial PRIMARY KEY, name text NOT NULL DEFAULT 'x'); INSERT INTO item (name) VALUES ('one'), ('two');
     CREATE TABLE event (id bigserial, day date, item int REFERENCES item, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
     CREATE TABLE event_2025 PARTITION OF event FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
     INSERT INTO event VALUES (1, '2025-05-05', 1);
     CREATE TABLE shelf (id int); INSERT INTO shelf VALUES (1);
     CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT a';`,
  );
  const before = await stateOf(server, "shop");
  const shop = installScripts(server.settings("shop"));
  expectSuccess(await shop.run("backup"));
  await server.sql(
    "shop",
    `ALTER TABLE item RENAME id TO number; ALTER TABLE item ALTER number DROP DEFAULT; DROP SEQUENCE item_id_seq;
     ALTER TABLE item DROP name, ADD feeling mood, ADD boss int REFERENCES item; ALTER TABLE shelf ADD PRIMARY KEY (id);
     ALTER TABLE item ADD shelf int REFERENCES shelf; ALTER TABLE shelf ADD first int REFERENCES item; ALTER TYPE mood ADD VALUE 'worse';
     CREATE TABLE event_2026 PARTITION OF event FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
     INSERT INTO event VALUES (2, '2026-05-05', 2); CREATE INDEX ON event (item); DROP FUNCTION f(int);
     CREATE FUNCTION f(a text) RETURNS text LANGUAGE sql AS 'SELECT a'; DROP TABLE event_2025`,
  );
  expectSuccess(await shop.run("restore", ["--in-place"]));
  await expectState(server, "shop", before);
  await server.dropDatabase("shop");
});

test("other sessions that only look do not hinder a restore", async () => {
  const watcher = server.sql("app", "SELECT pg_sleep(600)").catch(() => "ended");
  expectSuccess(await scripts.run("restore"));
  await server.sql(
    "postgres",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'",
  );
  await watcher;
});

test.each([
  [[] as string[], "dump.sql", ["cat"]],
  [["--clean", "--if-exists"], "dump.sql.gz", ["gzip", "-c"]],
  [["--clean"], "dump.sql.zst", ["zstd", "-qc"]],
  [["--inserts"], "inserts.sql.gz", ["gzip", "-c"]],
])("a plain pg_dump %p made elsewhere restores, and what cannot be checked is said", async (options, name, packer) => {
  const file = join(tempDir("elsewhere"), name);
  const command = `${join(server.clientDir, "pg_dump")} ${options.join(" ")} | ${packer.join(" ")} > ${file}`;
  expect(await Bun.spawn(["/bin/sh", "-c", command], { env: server.env("app") }).exited).toBe(0);
  const before = await stateOf(server, "app");
  if (options.includes("--clean")) await server.sql("app", "DELETE FROM sales.orders");
  else {
    await server.dropDatabase("app");
    await server.createDatabase("app");
  }
  const ran = await scripts.run("restore", [file]);
  expectSuccess(ran);
  expect(ran.stderr).toMatch(/WARN restore: .*no manifest/);
  await expectState(server, "app", before);
});
