/**
 * Back up, damage, restore: the dump of the restored database is the dump of the original. On every server version, with
 * the clients that fit: Debian's for 13 to 15, newer ones by DB_CLIENT_DIR for 16 to 18.
 */
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "bun:test";
import { dumpReader } from "../../scripts-src/database/postgres/reader.ts";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { expectSuccess } from "../support/expect/expect.ts";
import { createNasty } from "../support/expect/nasty.ts";
import { expectState, type State, stateOf } from "../support/expect/oracle.ts";
import { type Major, majors, type PostgresServer, startPostgres } from "../support/servers/postgres.ts";

const damage = `
  DROP SCHEMA "select" CASCADE;
  DROP MATERIALIZED VIEW sales.totals CASCADE;
  DROP EVENT TRIGGER watch_ddl;
  DROP EXTENSION citext CASCADE;
  TRUNCATE sales.looks_like_sql, sales.huge;
  ALTER TABLE sales.tree ADD unexpected int DEFAULT 1, DROP CONSTRAINT tree_pkey CASCADE;
  ALTER TYPE sales.mood ADD VALUE 'new mood';
  REVOKE ALL ON public.secrets FROM nasty_reader;
  SELECT lo_unlink(424242);`;

const everyCount = `
  SELECT nspname || '.' || relname || E'\\t' || (xpath('/row/c/text()', query_to_xml(
    format('SELECT count(*) AS c FROM ONLY %I.%I', nspname, relname), false, true, '')))[1]
  FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'r' AND nspname !~ '^pg_|^information_schema$'`;

describe.each(majors.map((major) => [major]))("PostgreSQL %d", (major: Major) => {
  let server: PostgresServer | undefined;
  let scripts: Installation;
  let original: State;
  afterAll(() => server?.stop());

  /** The server is started by the first test that asks. */
  async function ready(): Promise<PostgresServer> {
    if (server) return server;
    server = await startPostgres(major);
    await createNasty(server, "app");
    original = await stateOf(server, "app");
    scripts = installScripts(server.settings("app"));
    expectSuccess(await scripts.run("backup"));
    return server;
  }

  test.each([
    [[]],
    [
      [
        "--column-inserts",
        "--rows-per-insert=3",
        "--on-conflict-do-nothing",
        "--quote-all-identifiers",
        "--use-set-session-authorization",
      ],
    ],
    [
      [
        "--data-only",
        "--disable-triggers",
        "--superuser=postgres",
        "--enable-row-security",
        "--load-via-partition-root",
      ],
    ],
    [["--schema-only", "--no-owner", "--no-privileges", "--disable-dollar-quoting"]],
    ...(major >= 18 ? [[["--statistics"]]] : []),
  ])("S12a: what pg_dump writes with %j is read, row for row", async (options) => {
    const there = await ready();
    const clean = options.includes("--data-only") ? [] : ["--clean", "--if-exists"];
    const dump = Bun.spawn([join(there.clientDir, "pg_dump"), ...clean, ...options], {
      env: there.env("app"),
      stderr: "ignore",
    });
    const reader = dumpReader();
    for await (const chunk of dump.stdout) reader.add(chunk);
    const { rows, tables } = reader.end();
    expect(await dump.exited).toBe(0);
    if (options.includes("--schema-only") || options.includes("--load-via-partition-root")) return;
    const counted = (await there.sql("app", everyCount)).split("\n").map((line) => line.split("\t"));
    const dumped = counted.filter(([table = ""]) => tables.includes(table));
    expect(dumped.length).toBeGreaterThan(20);
    for (const [table = "", count] of dumped) expect([table, `${rows?.get(table) ?? 0}`]).toEqual([table, count ?? ""]);
  });

  test("the backup changes nothing", async () => {
    await expectState(await ready(), "app", original);
  });

  if (major === 15) {
    test("a backup in which everything is dropped first, and rows go through the partitions' root, is proved", async () => {
      await ready();
      const env = { DB_DUMP_OPTIONS: "--clean --if-exists --load-via-partition-root" };
      const taken = await scripts.run("backup", [], { env });
      expectSuccess(taken);
      expectSuccess(await scripts.run("verify", [taken.stdout.trim()], { env }));
      for (const end of ["", ".json", ".proof.json"]) rmSync(`${taken.stdout.trim()}${end}`);
    });
  }

  test("the backup is proved, statement for statement", async () => {
    await ready();
    const ran = await scripts.run("verify");
    expectSuccess(ran);
    const proof = readFileSync(ran.stdout.trim(), "utf8");
    expect(proof).toContain("every statement of the schema");
  });

  test.each([["--drop-before"], ["--in-place"]])(
    "restored over the intact and the damaged database, %s",
    async (way) => {
      const there = await ready();
      expectSuccess(await scripts.run("restore", [way]));
      await expectState(there, "app", original);
      await there.sql("app", damage);
      expectSuccess(await scripts.run("restore", [way]));
      await expectState(there, "app", original);
      const all = await there.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'app%'");
      expect(all).toBe("app");
    },
  );

  test("R8: the manifest's command restores into a new database", async () => {
    const there = await ready();
    const [name = ""] = readdirSync(scripts.backups).filter((file) => file.endsWith(".gz.json"));
    const { restoreCommand } = JSON.parse(readFileSync(join(scripts.backups, name), "utf8"));
    await there.createDatabase("by_hand", "", "TEMPLATE template0");
    const command = String(restoreCommand).replace(/-d app$/, "-d by_hand");
    const env = { ...there.env("by_hand"), PATH: `${there.clientDir}:${process.env.PATH ?? ""}` };
    const child = Bun.spawn(["/bin/sh", "-c", command], {
      cwd: scripts.backups,
      env,
      stdout: "ignore",
      stderr: "pipe",
    });
    expect(await child.stderr.text()).not.toContain("ERROR");
    expect(await child.exited).toBe(0);
    await expectState(there, "by_hand", original);
    await there.dropDatabase("by_hand");
  });

  test("restored into an empty database, and into none", async () => {
    const there = await ready();
    await there.dropDatabase("app");
    await there.createDatabase("app", "", "TEMPLATE template0");
    expectSuccess(await scripts.run("restore"));
    await expectState(there, "app", original);
    await there.dropDatabase("app");
    expectSuccess(await scripts.run("restore"));
    await expectState(there, "app", original);
    const all = await there.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'app%'");
    expect(all).toBe("app");
  });

  test("exchanged for a new database: all that belongs to the database itself is as it was, too", async () => {
    const there = await ready();
    await there.sql(
      "postgres",
      `ALTER DATABASE app OWNER TO nasty_owner; ALTER DATABASE app CONNECTION LIMIT 20;
       ALTER DATABASE app SET work_mem = '9MB'; ALTER ROLE nasty_reader IN DATABASE app SET statement_timeout = '7s';
       REVOKE ALL ON DATABASE app FROM PUBLIC; GRANT CONNECT ON DATABASE app TO nasty_reader WITH GRANT OPTION;
       COMMENT ON DATABASE app IS 'it''s the DATABASE app;'`,
    );
    await there.sql("app", damage);
    await there.sql("app", "CREATE TABLE younger AS SELECT 1 AS a");
    const before = await stateOf(there, "app");
    const propertiesBefore = await propertiesOf(there);
    const ran = await scripts.run("restore", ["--swap"]);
    expectSuccess(ran);
    const kept = /the state before is kept as (app_before_[-\d_]+)/.exec(ran.stderr)?.[1] ?? "";
    await expectState(there, "app", original);
    expect(await propertiesOf(there)).toBe(propertiesBefore);
    await expectState(there, kept, before);
    const all = await there.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'app%' ORDER BY 1");
    expect(all).toBe(`app\n${kept}`);
  });

  test("a database without any table", async () => {
    const there = await ready();
    await there.createDatabase("bare");
    const bare = await stateOf(there, "bare");
    const own = installScripts(there.settings("bare"));
    expectSuccess(await own.run("backup"));
    const ran = await own.run("restore");
    expectSuccess(ran);
    await expectState(there, "bare", bare);
    expect(ran.stderr).toContain("0 tables");
  });
});

/** What pg_dump --create says of the database itself. */
async function propertiesOf(server: PostgresServer): Promise<string> {
  const { file } = await stateOf(server, "app", ["--create", "--schema-only", "--exclude-schema=*"]);
  const found = (await Bun.file(file).text()).match(/^.*\bDATABASE\b.*$/gm)?.join("\n") ?? "";
  expect(found).toContain("work_mem");
  return found;
}
