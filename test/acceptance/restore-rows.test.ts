/** R5 to R14, R17, S7: databases that a restore could not take, each backed up, changed and restored. One server, many small databases. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { expectFailure, expectSuccess } from "../support/expect/expect.ts";
import { expectState, stateOf } from "../support/expect/oracle.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";

let server: PostgresServer;
let count = 0;
beforeAll(async () => {
  server = await startPostgres(15, { wal_level: "logical", max_wal_senders: "4" });
  await server.sql(
    "postgres",
    "CREATE ROLE owner LOGIN CREATEDB PASSWORD 'owner-password'; CREATE ROLE tenant LOGIN PASSWORD 'tenant-password'; CREATE ROLE clerks ROLE owner, tenant",
  );
});
afterAll(() => server.stop());

interface Place extends Installation {
  database: string;
}

/** A database with this content, and its backup. */
async function backedUp(sql: string, login?: { user: string; password: string }): Promise<Place> {
  const database = `db${++count}`;
  await server.createDatabase(database, "", login ? `OWNER ${login.user}` : "");
  await server.sql(database, login ? `SET SESSION AUTHORIZATION ${login.user}; ${sql}` : sql);
  const scripts = installScripts(server.settings(database, login));
  expectSuccess(await scripts.run("backup"));
  return Object.assign(scripts, { database });
}

const owner = { user: "owner", password: "owner-password" };
const tenant = { user: "tenant", password: "tenant-password" };

describe("R5: names that the dump's empty search_path hides are found by the database's own", () => {
  const helper = "CREATE FUNCTION helper(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower($1)';";
  const norm = `${helper} CREATE FUNCTION norm(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN helper($1); END $$;`;
  test.each([
    ["an index", `${norm} CREATE TABLE t AS SELECT 'Ä' AS name; CREATE INDEX t_norm ON t (norm(name));`],
    [
      "an index, by a schema that is not on the path",
      `CREATE SCHEMA "Far"; SET search_path = "Far"; ${norm} CREATE TABLE t AS SELECT 'Ä' AS name; CREATE INDEX t_norm ON t (norm(name));`,
    ],
    ["a check", `${norm} CREATE TABLE t (name text CHECK (norm(name) <> 'x')); INSERT INTO t VALUES ('A'), ('B');`],
    [
      "a generated column",
      `${norm} CREATE TABLE t (name text, low text GENERATED ALWAYS AS (norm(name)) STORED); INSERT INTO t VALUES ('A');`,
    ],
    [
      "a materialized view",
      `CREATE TABLE t AS SELECT 1 AS a; CREATE FUNCTION f() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM t); END';
       CREATE MATERIALIZED VIEW v AS SELECT f() AS n;`,
    ],
    [
      "a materialized view whose owner is subject to policies",
      `CREATE TABLE t AS SELECT 1 AS a; ALTER TABLE t OWNER TO tenant; ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY;
       CREATE POLICY p ON t USING (a > 0); CREATE MATERIALIZED VIEW v AS TABLE t; ALTER MATERIALIZED VIEW v OWNER TO tenant`,
    ],
  ])("%s, beside and in place", async (_, sql) => {
    const { database, run } = await backedUp(sql);
    const before = await stateOf(server, database);
    for (const words of [["--drop-before"], ["--in-place"]]) {
      const ran = await run("restore", words);
      expectSuccess(ran);
      expect(ran.stderr).not.toContain("WARN");
      await expectState(server, database, before);
    }
  });
});

test("R7, R8: a NOT VALID check of a domain, a view that groups by a key, with the dump of today and one with --clean", async () => {
  const { database, run } = await backedUp(
    `CREATE SCHEMA app; CREATE DOMAIN app.d AS int; ALTER DOMAIN app.d ADD CONSTRAINT positive CHECK (VALUE > 0) NOT VALID;
     CREATE TABLE app.t (id int PRIMARY KEY, n text, d app.d); INSERT INTO app.t VALUES (1, 'one', 1);
     CREATE VIEW app.v AS SELECT id, n FROM app.t GROUP BY id;`,
  );
  const before = await stateOf(server, database);
  const { file } = await stateOf(server, database, ["--clean", "--if-exists"]);
  for (const words of [[], ["--in-place"], [file]]) {
    expectSuccess(await run("restore", words));
    await expectState(server, database, before);
  }
});

test("R9, R11: whatever was made since the backup, the database holds what the backup holds", async () => {
  const { database, run } = await backedUp(
    `CREATE TYPE mood AS ENUM ('good'); CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
     CREATE TABLE users (id serial PRIMARY KEY, feeling mood); INSERT INTO users (feeling) VALUES ('good');
     CREATE VIEW names AS SELECT id FROM users; GRANT SELECT ON users TO tenant;
     CREATE ACCESS METHOD own TYPE TABLE HANDLER heap_tableam_handler; CREATE TABLE kept (a int) USING own; INSERT INTO kept VALUES (1);
     CREATE TRANSFORM FOR int LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal));`,
  );
  const before = await stateOf(server, database);
  const migration = `
    ALTER TABLE users RENAME TO users_old; DROP VIEW names; CREATE MATERIALIZED VIEW names AS SELECT id FROM users_old;
    ALTER TABLE users_old ALTER id DROP DEFAULT; DROP SEQUENCE users_id_seq; ALTER TABLE users_old ALTER id ADD GENERATED ALWAYS AS IDENTITY;
    CREATE TABLE users (id int REFERENCES users_old, feeling mood); CREATE TRIGGER t BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION touch();
    REVOKE ALL ON SCHEMA public FROM PUBLIC; CREATE FUNCTION late() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE SCHEMA other; CREATE TABLE other.t ();
    CREATE ACCESS METHOD late TYPE TABLE HANDLER heap_tableam_handler; CREATE TRANSFORM FOR int LANGUAGE plpgsql (FROM SQL WITH FUNCTION prsd_lextype(internal));
    ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO tenant; ALTER DEFAULT PRIVILEGES FOR ROLE owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
    CREATE EVENT TRIGGER forbids ON sql_drop EXECUTE FUNCTION forbid();`;
  const forbid =
    "CREATE FUNCTION forbid() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no drops'; END $$;";
  for (const words of [["--drop-before"], ["--in-place"]]) {
    await server.sql(database, forbid + migration);
    expectSuccess(await run("restore", words));
    await expectState(server, database, before);
  }
});

test("R10: 1,250 tables with keys are restored beside; in place the server has too few locks for them, and enough for plain ones", async () => {
  const tables = `DO $$ BEGIN FOR i IN 1..1250 LOOP EXECUTE format('CREATE TABLE t%s (id serial PRIMARY KEY, a int UNIQUE)', i); END LOOP; END $$;`;
  const database = `db${++count}`;
  await server.createDatabase(database);
  for (const part of ["1..400", "401..800", "801..1250"]) await server.sql(database, tables.replace("1..1250", part));
  const scripts = installScripts(server.settings(database));
  expectSuccess(await scripts.run("backup"));
  expectSuccess(await scripts.run("restore", ["--drop-before"]));
  expect(await server.sql(database, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")).toBe("1250");
  const refused = await scripts.run("restore", ["--in-place"]);
  expectFailure(
    refused,
    /failed and changed nothing: .*out of shared memory[^]*needs more locks than the server has: raise max_locks/,
  );
  for (const part of ["1..400", "401..800", "801..1250"]) {
    const plain = tables
      .replace("1..1250", part)
      .replace(
        "CREATE TABLE t%s (id serial PRIMARY KEY, a int UNIQUE)",
        "DROP TABLE t%1$s; CREATE TABLE t%1$s (a int)",
      );
    await server.sql(database, plain);
  }
  expectSuccess(await scripts.run("backup"));
  expectSuccess(await scripts.run("restore", ["--in-place"]));
});

test("R12: a REFRESH that fails leaves its view without rows, with a warning", async () => {
  const { database, run } = await backedUp(
    "CREATE TABLE t AS SELECT 1 AS a; CREATE MATERIALIZED VIEW v AS SELECT 1 / a AS n FROM t; UPDATE t SET a = 0; CREATE TABLE u AS SELECT 2 AS b",
  );
  for (const words of [["--drop-before"], ["--in-place"]]) {
    const ran = await run("restore", words);
    expectSuccess(ran);
    expect(ran.stderr).toMatch(
      /WARN restore: materialized view public\.v has no rows, its REFRESH failed: .*division by zero/,
    );
    expect(await server.sql(database, "SELECT ispopulated FROM pg_matviews; SELECT b FROM u")).toBe("f\n2");
  }
});

test("R13: a privilege that its grantor can no longer give: the way out is named, and works", async () => {
  const { run } = await backedUp(
    `CREATE TABLE t AS SELECT 1 AS a; GRANT SELECT ON t TO tenant WITH GRANT OPTION; SET ROLE tenant; GRANT SELECT ON t TO owner;
     RESET ROLE; REVOKE USAGE ON SCHEMA public FROM PUBLIC`,
  );
  const ran = await run("restore");
  expectFailure(ran, /permission denied for schema public\n.*the statement: GRANT SELECT ON TABLE public\.t/);
  expect(ran.stderr).toContain("hint: restore --no-owner leaves out owners and privileges");
  expectSuccess(await run("restore", ["--no-owner"]));
});

test("R13: a backup that is not clean: refused with the way out; --into --keep-going loads what it can and lists the rest", async () => {
  const { database, run, list, backups } = await backedUp(
    `CREATE TABLE t (id int, until int CHECK (until > 0)); INSERT INTO t SELECT i, i FROM generate_series(1, 1000) i;
     CREATE UNIQUE INDEX t_id ON t (id); CREATE TABLE u AS SELECT 1 AS a;`,
  );
  const file = join(backups, list()[0] ?? "");
  const sql = Buffer.from(Bun.gunzipSync(await Bun.file(file).bytes()))
    .toString()
    .replace("\n7\t7\n", "\n7\t-7\n")
    .replace("\n9\t9\n", "\n8\t9\n");
  const broken = join(backups, "broken.sql");
  await Bun.write(broken, sql);
  const before = await stateOf(server, database);
  const refused = await run("restore", [broken]);
  expectFailure(refused, /violates check constraint "t_until_check"/);
  expect(refused.stderr).toContain(`restore ${broken} --into saved --keep-going`);
  expect(refused.stderr).toContain("nothing was changed");
  await expectState(server, database, before);
  const ran = await run("restore", ["--into", `${database}_look`, "--keep-going", broken]);
  expectSuccess(ran);
  expect(ran.stderr).toMatch(/not loaded: 1 row of public\.t, the first: .*t_until_check/);
  expect(ran.stderr).toMatch(/not loaded: CREATE UNIQUE INDEX t_id .*could not create unique index/);
  expect(await server.sql(`${database}_look`, "SELECT count(*) FROM t; SELECT a FROM u")).toBe("999\n1");
  await expectState(server, database, before);
  // before the backup is read, which can take hours
  for (const words of [[], ["--dry-run"]]) {
    const taken = await run("restore", ["--into", `${database}_look`, ...words]);
    expect([taken.status, taken.stderr + taken.stdout]).toEqual([2, expect.stringContaining("exists already")]);
    expect(taken.stderr).not.toContain("checking ");
  }
});

test("R13: a statement that the server refuses in words that name nothing is named", async () => {
  const { database, run } = await backedUp(
    `CREATE FOREIGN DATA WRAPPER odd OPTIONS ("of old" 'x'); ALTER FOREIGN DATA WRAPPER odd VALIDATOR postgresql_fdw_validator`,
  );
  const named = /: ERROR: {2}invalid option "of old"\n.*\n +the statement: CREATE FOREIGN DATA WRAPPER odd VALIDATOR/;
  expectFailure(await run("verify"), named);
  await server.sql(database, "CREATE TABLE t ()");
  expectFailure(await run("restore"), named);
});

test("R13, S9: a statement that is refused is named without its texts, which can be passwords", async () => {
  const { database, run } = await backedUp(
    `CREATE SUBSCRIPTION sub CONNECTION 'host=127.0.0.1 dbname=x password=sesame' PUBLICATION p WITH (connect = false, slot_name = NONE)`,
  );
  await server.sql(database, "DROP SUBSCRIPTION sub");
  await server.dropDatabase(database);
  const refused = await run("restore", ["--no-owner"], { env: { DB_USER: owner.user, DB_PASSWORD: owner.password } });
  expectFailure(refused, /the statement: CREATE SUBSCRIPTION sub CONNECTION$/m);
  expect(refused.stderr).not.toContain("sesame");
});

test("R13: a check that looks into a table whose rows come later; a row that it refuses for good is named", async () => {
  const scripts = await backedUp(`CREATE TABLE zone (name text);
    CREATE FUNCTION known(text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN EXISTS (SELECT 1 FROM zone WHERE name = $1); END';
    CREATE DOMAIN zone_name AS text CHECK (known(VALUE));
    INSERT INTO zone SELECT 'zone ' || i FROM generate_series(1, 500) i;
    CREATE TABLE address (zone zone_name); INSERT INTO address SELECT name FROM zone;
    CREATE TABLE booking (zone text CHECK (known(zone)), note text);
    INSERT INTO booking SELECT name, repeat(md5(name), 2500) FROM zone;
    CREATE FUNCTION booked(text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN EXISTS (SELECT 1 FROM booking WHERE zone = $1); END';
    CREATE TABLE aisle (zone text CHECK (booked(zone))); INSERT INTO aisle SELECT name FROM zone`);
  const before = await stateOf(server, scripts.database);
  expectSuccess(await scripts.run("verify"));
  for (const words of [["--drop-before"], ["--in-place"]]) {
    expectSuccess(await scripts.run("restore", words));
    await expectState(server, scripts.database, before);
  }
  await server.sql(scripts.database, "DELETE FROM zone WHERE name = 'zone 7'");
  expectSuccess(await scripts.run("backup"));
  expectFailure(await scripts.run("restore"), /violates check constraint "booking_zone_check"|value for domain/);
  const saved = await scripts.run("restore", ["--into", `${scripts.database}_saved`, "--keep-going"]);
  expect(saved.stderr).toMatch(/1 row of public\.address.*[^]*1 row of public\.booking/);
  expect(await server.sql(`${scripts.database}_saved`, "SELECT count(*) FROM address")).toBe("499");
});

test("R16: rows of 20 MB, a function of 3 MB and rows as INSERTs are loaded and counted", async () => {
  const { database, run } = await backedUp(
    `CREATE TABLE t AS SELECT i, repeat(md5(i::text), 625000) AS long FROM generate_series(1, 3) i; INSERT INTO t SELECT i, 'x' FROM generate_series(4, 99) i;
     DO $$ BEGIN EXECUTE 'CREATE FUNCTION f() RETURNS int LANGUAGE sql AS ''SELECT 1 -- ' || repeat('long ', 600000) || ''''; END $$;`,
  );
  const before = await stateOf(server, database);
  for (const words of [["--drop-before"], ["--in-place"]]) {
    expectSuccess(await run("restore", words));
    await expectState(server, database, before);
  }
  const { file } = await stateOf(server, database, ["--inserts"]);
  expectSuccess(await run("restore", ["--drop-before", file]));
  await expectState(server, database, before);
});

test("R14: a replication slot, a database that is postgres itself: in place, and the log says why", async () => {
  const { database, run } = await backedUp("CREATE TABLE t AS SELECT 1 AS a");
  await server.sql(database, `SELECT pg_create_logical_replication_slot('slot_of_${database}', 'pgoutput')`);
  await server.sql(database, "CREATE TABLE younger (); CREATE PUBLICATION news FOR TABLE t");
  const ran = await run("restore");
  expectSuccess(ran);
  expect(ran.stderr).toMatch(new RegExp(`in place, because replication slot slot_of_${database} would stay`));
  expect(ran.stderr).toMatch(/WARN restore: publications are not in the backup .*: news/);
  expect(ran.stderr).toMatch(/the state before is kept in \S+before-restore\/\S+\.sql\.gz/);
  expect(await server.sql(database, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).toBe("t");
  await server.sql(database, `SELECT pg_drop_replication_slot('slot_of_${database}')`);
  await server.sql("postgres", "CREATE TABLE mine AS SELECT 1 AS a");
  const own = installScripts(server.settings("postgres"));
  expectSuccess(await own.run("backup"));
  await server.sql("postgres", "UPDATE mine SET a = 2");
  const restored = await own.run("restore");
  expectSuccess(restored);
  expect(restored.stderr).toContain("programs connect to the database postgres when they look for the server");
  expect(await server.sql("postgres", "SELECT a FROM mine; DROP TABLE mine")).toBe("1");
});

describe("whoever restores", () => {
  const data = `CREATE SCHEMA shop; CREATE TABLE shop.item (id serial PRIMARY KEY, name text); INSERT INTO shop.item (name) VALUES ('one');
    CREATE TABLE public.plain AS SELECT 1 AS a;`;
  const change = "DROP SCHEMA shop CASCADE; CREATE TABLE younger (); UPDATE plain SET a = 2";

  // pg_dump grants the right to create in the schema behind the change of owner that needs it
  const ofGroup = "GRANT USAGE, CREATE ON SCHEMA shop TO clerks; ALTER TABLE shop.item OWNER TO clerks;";

  test.each([
    ["the owner with CREATEDB, a table of a group: beside", owner, ofGroup, "is loaded into a new database"],
    [
      "R6: the owner without CREATEDB, beside an extension of an administrator: in place; its rows stay",
      tenant,
      `${ofGroup} CREATE SCHEMA extensions; CREATE EXTENSION citext SCHEMA extensions; GRANT USAGE, CREATE ON SCHEMA extensions TO tenant;
       SET ROLE tenant; CREATE TABLE extensions.parted (id int) PARTITION BY LIST (id); CREATE TABLE extensions.part PARTITION OF extensions.parted DEFAULT;
       CREATE TYPE extensions.span AS RANGE (subtype = int)`,
      "tenant cannot create databases: ALTER ROLE tenant CREATEDB",
    ],
    [
      "R6: the owner with CREATEDB, an extension that only a superuser can create: in place, and what it brought stays",
      owner,
      "CREATE EXTENSION dblink; CREATE SCHEMA tools; CREATE EXTENSION pageinspect SCHEMA tools",
      "owner cannot create the extension dblink, pageinspect: restore as a superuser",
    ],
  ])("%s", async (_, login, administrator, words) => {
    const { database, run } = await backedUp(data, login);
    await server.sql(database, administrator);
    expectSuccess(await run("backup"));
    const before = await stateOf(server, database);
    await server.sql(database, `SET SESSION AUTHORIZATION ${login.user}; ${change}`);
    const ran = await run("restore");
    expectSuccess(ran);
    expect(ran.stderr).toContain(words);
    await expectState(server, database, before);
  });

  test("a new server: the database is created and filled; a dump of a newer major is tried", async () => {
    const { database, run } = await backedUp(data, owner);
    const before = await stateOf(server, database);
    await server.dropDatabase(database);
    const ran = await run("restore");
    expectSuccess(ran);
    expect(ran.stderr).toContain("the database does not exist yet: it is created and filled with 2 tables");
    await expectState(server, database, before);
  });
});

test("R3: options of a user mapping that the backup's user could not read are named, and those that are there are kept", async () => {
  const { database, run } = await backedUp(
    `CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw; CREATE TABLE t AS SELECT 1 AS a;
     CREATE USER MAPPING FOR postgres SERVER far OPTIONS (user 'u', password 'it''s "\\secret"'); CREATE USER MAPPING FOR public SERVER far`,
  );
  await server.sql("postgres", "CREATE ROLE r3_reader LOGIN PASSWORD 'r3' IN ROLE pg_read_all_data");
  const reader = installScripts(server.settings(database, { user: "r3_reader", password: "r3" }));
  const backup = await reader.run("backup");
  expectSuccess(backup);
  expect(backup.stderr).toMatch(
    /options of user mappings .* are not in the backup: postgres on far, public on far; back up as/,
  );
  const options = () => server.sql(database, "SELECT umoptions FROM pg_user_mappings ORDER BY 1");
  const before = await options();
  expect(before).toContain("secret");
  for (const words of [[], ["--in-place"]]) {
    const ran = await run("restore", [...words, backup.stdout.trim()]);
    expectSuccess(ran);
    expect(ran.stderr).toContain("USER MAPPING FOR postgres SERVER far: the backup has no options of it");
    expect(ran.stderr).not.toContain("secret");
    expect(await options()).toBe(before);
  }
});

test("S7: a stranger's database with our comment, and the live one, are never dropped", async () => {
  const { database, run } = await backedUp("CREATE TABLE t AS SELECT 1 AS a");
  const [payroll, look] = [`payroll_${database}`, `${database}_restoring_2026-01-01_00-00-00`];
  for (const name of [payroll, look]) await server.createDatabase(name);
  const old = `'backup_scripts: unfinished restore of ${database}'`;
  for (const name of [payroll, look, database]) await server.sql("postgres", `COMMENT ON DATABASE "${name}" IS ${old}`);
  expectSuccess(await run("restore"));
  const all = await server.sql(
    "postgres",
    `SELECT datname FROM pg_database WHERE datname IN ('${payroll}', '${look}', '${database}')`,
  );
  expect(all.split("\n")).toHaveLength(3);
  for (const name of [payroll, look]) await server.dropDatabase(name);
});

test("undo and drop: the commands of the last lines do what they say", async () => {
  const { database, run } = await backedUp("CREATE TABLE t AS SELECT 1 AS a");
  await server.sql(database, "UPDATE t SET a = 2");
  const ran = await run("restore");
  expectSuccess(ran);
  const commandAfter = (words: string) => new RegExp(`${words}: (psql .*)$`, "m").exec(ran.stderr)?.[1] ?? "";
  const shell = async (command: string) => {
    const env = { PATH: `${server.clientDir}:${process.env.PATH ?? ""}`, PGPASSWORD: server.password };
    const child = Bun.spawn(["/bin/sh", "-c", command], { env, stdout: "ignore", stderr: "pipe" });
    expect(await child.stderr.text()).toBe("");
    expect(await child.exited).toBe(0);
  };
  await shell(commandAfter("to take the restore back"));
  expect(await server.sql(database, "SELECT a FROM t")).toBe("2");
  const again = await run("restore");
  expectSuccess(again);
  await shell(/to drop the state before the restore: (psql .*)$/m.exec(again.stderr)?.[1] ?? "");
  expect(
    await server.sql("postgres", `SELECT count(*) FROM pg_database WHERE datname LIKE '${database}\\_before%'`),
  ).toBe("0");
});

test.each([
  [["--into", "x", "--in-place"]],
  [["--into", "x", "--drop-before"]],
  [["--keep-going"]],
  [["--before", "2026-01-01", "file.sql"]],
  [["--before", "yesterday"]],
  [["--in-place", "--swap"]],
])("wrong usage: %p ends with status 2", async (words) => {
  const scripts = installScripts(server.settings("postgres"));
  expect((await scripts.run("restore", words)).status).toBe(2);
});
