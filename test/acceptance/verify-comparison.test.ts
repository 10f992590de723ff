/** Two dumps are compared: that of a database, and that of what was restored from it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { comparing } from "../../scripts-src/database/postgres/fingerprint.ts";
import { expectFound, expectSameDumps } from "../support/expect/comparison.ts";
import { createNasty } from "../support/expect/nasty.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres(15);
  await createNasty(server, "nasty");
});
afterAll(() => server.stop());

async function dumpOf(database: string, options: string[] = []): Promise<Buffer> {
  const argv = [join(server.clientDir, "pg_dump"), ...options];
  const child = Bun.spawn(argv, { env: server.env(database), stderr: "inherit" });
  const dump = Buffer.from(await child.stdout.bytes());
  expect(await child.exited).toBe(0);
  return dump;
}

async function restoreInto(database: string, dump: Buffer): Promise<void> {
  await server.createDatabase(database, "", "TEMPLATE template0");
  const argv = [join(server.clientDir, "psql"), "-q", "-v", "ON_ERROR_STOP=1"];
  const child = Bun.spawn(argv, { env: server.env(database), stdin: dump, stdout: "ignore", stderr: "inherit" });
  expect(await child.exited).toBe(0);
}

describe("the comparison of verify, PostgreSQL", () => {
  test.each([[[]], [["--inserts"]], [["--rows-per-insert=3"]]])(
    "the nasty database equals its restored copy, %p",
    async (options) => {
      const dump = await dumpOf("nasty", options);
      const name = `copy${options.length}${options.join("").length}`;
      await restoreInto(name, dump);
      await expectSameDumps(comparing, dump, await dumpOf(name, options));
    },
  );

  test("what a restored database writes otherwise: columns of a child that had them before it inherited, unnamed results", async () => {
    await server.createDatabase(
      "child",
      `CREATE TABLE parent (a int, b text, c int);
       CREATE TABLE child (c int, extra text, b text, a int);
       ALTER TABLE child INHERIT parent;
       CREATE FUNCTION unnamed(OUT a text, OUT b text, OUT c int) LANGUAGE sql BEGIN ATOMIC SELECT 'x', NULL, -1; END;
       INSERT INTO child VALUES (3, 'x', E'b\\t1', 1), (30, NULL, 'b2', 10);`,
    );
    const dump = await dumpOf("child");
    await restoreInto("child2", dump);
    const again = await dumpOf("child2");
    expect(again.toString()).not.toContain("COPY public.child (c, extra, b, a)");
    expect(again.toString()).toContain("'x'::text AS text");
    await expectSameDumps(comparing, dump, again);
  });

  const base = `CREATE TABLE t (id int PRIMARY KEY, n text, k varchar(10) CHECK (k IN ('a', 'b')));
    INSERT INTO t SELECT i, 'n' || i, 'a' FROM generate_series(1, 50) i;
    CREATE SEQUENCE s; SELECT setval('s', 7);
    CREATE VIEW v AS SELECT id FROM t WHERE id > 3; COMMENT ON TABLE t IS 'one';
    SELECT lo_from_bytea(4711, repeat('x', 100)::bytea); GRANT SELECT ON t TO pg_monitor;`;
  test.each([
    ["a row changed", "UPDATE t SET n = 'other' WHERE id = 3", "table public.t"],
    ["a row missing", "DELETE FROM t WHERE id = 3", "50 rows in the backup, 49 rows in the copy"],
    ["a row too many", "INSERT INTO t VALUES (99, 'n', 'a')", "50 rows in the backup, 51 rows in the copy"],
    ["values swapped", "UPDATE t SET n = CASE id WHEN 1 THEN 'n2' ELSE 'n1' END WHERE id < 3", "50 rows in both"],
    ["a sequence off by one", "SELECT setval('s', 8)", "7, true in the backup, 8, true in the copy"],
    ["a large object's bytes", "SELECT lo_put(4711, 5, 'y')", "large object 4711"],
    ["a large object gone", "SELECT lo_unlink(4711)", "large object 4711"],
    ["a constraint gone", "ALTER TABLE t DROP CONSTRAINT t_k_check", "CHECK"],
    ["a view altered", "CREATE OR REPLACE VIEW v AS SELECT id FROM t WHERE id > 4", "id > 4"],
    ["a comment", "COMMENT ON TABLE t IS 'two'", "'two'"],
    ["a privilege", "REVOKE SELECT ON t FROM pg_monitor", "GRANT SELECT"],
    ["a column's type", "ALTER TABLE t ALTER n TYPE varchar(90)", "character varying(90)"],
    ["a table missing", "DROP TABLE t CASCADE", "the table is missing in the copy"],
  ])("is found: %s", (_, change, named) => expectFound(comparing, { server, dumpOf }, { base, change, named }));
});
