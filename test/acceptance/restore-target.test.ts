/** What a restore does with a target that has more, or less, than the backup. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { join } from "node:path";
import { type Installation, installScripts } from "../support/executables.ts";
import { expectFailure, expectSuccess } from "../support/expect.ts";
import { expectState, stateOf } from "../support/oracle.ts";
import { type PostgresServer, startPostgres } from "../support/postgres.ts";
import { tempDir } from "../support/temp.ts";

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

test("tables that are not in the backup stay and are named at the end, in a schema of the backup too", async () => {
  await server.sql(
    "app",
    `CREATE TABLE sales.newer AS SELECT 7 AS a; CREATE TABLE public."Später" AS SELECT 8 AS a; UPDATE plain SET word = 'lost';
     CREATE SCHEMA other; CREATE TABLE other.t AS SELECT 9 AS a; DELETE FROM sales.orders`,
  );
  const ran = await scripts.run("restore");
  expectSuccess(ran);
  const last = ran.stderr.trim().split("\n").at(-1);
  for (const name of ["sales.newer", "public.Später", "other.t"]) expect(last).toContain(name);
  const kept = 'SELECT (SELECT a FROM sales.newer), (SELECT a FROM "Später"), (SELECT a FROM other.t)';
  expect(await server.sql("app", kept)).toBe("7|8|9");
  expect(await server.sql("app", "SELECT count(*), (SELECT word FROM plain) FROM sales.orders")).toBe(
    "100|from the backup",
  );
});

test.each([
  ["view", "CREATE VIEW public.newer AS SELECT count(*) FROM sales.orders"],
  ["materialized view", "CREATE MATERIALIZED VIEW public.newer AS SELECT count(*) FROM sales.orders"],
  ["constraint", "CREATE TABLE public.newer (id int, CONSTRAINT tie FOREIGN KEY (id) REFERENCES sales.orders)"],
])("a %s that is not in the backup and needs a replaced table is named, and nothing is changed", async (what, sql) => {
  await server.sql("app", `${sql}; UPDATE plain SET word = 'kept'`);
  const before = await stateOf(server, "app");
  const name = what === "constraint" ? "tie on table public.newer" : "public.newer";
  const message = new RegExp(`${what} ${name} is not in the backup, but needs what is replaced \\(sales\\.orders\\)`);
  const dry = await scripts.run("restore", ["--dry-run"]);
  expect([dry.status, dry.stdout]).toEqual([1, expect.stringMatching(message)]);
  expectFailure(await scripts.run("restore"), message);
  await expectState(server, "app", before);
});

test("a plain pg_dump without --clean is refused where its tables are already there", async () => {
  const before = await stateOf(server, "app");
  expectFailure(await scripts.run("restore", [before.file]), /made without --clean.*(public\.plain|sales\.orders)/);
  await expectState(server, "app", before);
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
  const ran = await shop.run("restore");
  expectSuccess(ran);
  expect(ran.stderr).toContain("public.event_2026 is not in the backup: it stays, but as a table of its own");
  expect(ran.stderr.trim().split("\n").at(-1)).toContain("public.event_2026");
  expect(await server.sql("shop", "SELECT count(*) FROM event_2026")).toBe("1");
  await server.sql("shop", "DROP TABLE event_2026; DROP FUNCTION f(text)");
  await expectState(server, "shop", before);
  await server.dropDatabase("shop");
});

test("large objects that are not in the backup stay", async () => {
  await server.sql("app", "SELECT lo_from_bytea(7777, 'mine')");
  expectSuccess(await scripts.run("restore"));
  expect(await server.sql("app", "SELECT convert_from(lo_get(7777), 'UTF8')")).toBe("mine");
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
  ["", [] as string[], "dump.sql", ["cat"]],
  ["", ["--clean", "--if-exists"], "dump.sql.gz", ["gzip", "-c"]],
  ["", ["--clean"], "dump.sql.zst", ["zstd", "-qc"]],
  ["", ["--inserts"], "inserts.sql.gz", ["gzip", "-c"]],
])(
  "a plain pg_dump%s %p made elsewhere restores, and what cannot be checked is said",
  async (_, options, name, packer) => {
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
  },
);
