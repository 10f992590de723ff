/** R16: settings of a login or a database that reach into sessions of ours, and standbys. */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "bun:test";
import { installScripts } from "../support/machine/executables.ts";
import { expectFailure, expectSuccess } from "../support/expect/expect.ts";
import { expectState, stateOf } from "../support/expect/oracle.ts";
import { clientsWith } from "../support/servers/clients.ts";
import { type Major, type PostgresServer, startPostgres } from "../support/servers/postgres.ts";

/** Each would break, cut short or change what is read, written or compared. */
const settings: Record<string, string> = {
  statement_timeout: "'100ms'",
  idle_in_transaction_session_timeout: "'100ms'",
  client_encoding: "'LATIN1'",
  datestyle: "'German, DMY'",
  intervalstyle: "'sql_standard'",
  timezone: "'Asia/Kathmandu'",
  bytea_output: "'escape'",
  extra_float_digits: "-10",
  quote_all_identifiers: "on",
  standard_conforming_strings: "off",
  search_path: "'nowhere'",
  xmloption: "'document'",
  array_nulls: "off",
};
const younger = { 14: ["idle_session_timeout", "'200ms'"], 17: ["transaction_timeout", "'200ms'"] } as const;

const content = `SET client_encoding = 'UTF8'; SET SESSION AUTHORIZATION odd;
  CREATE TABLE "größe" (a serial PRIMARY KEY, t text DEFAULT 'ä\\b', f float8, d timestamptz, i interval, b bytea, n text[]);
  INSERT INTO "größe" (t, f, d, i, b, n) SELECT 'ñ' || n, n / 7.0, timestamptz '2024-02-03 04:05:06.789+02' + n * interval '1 day',
    n * interval '1 day 3 hours', decode(md5(n::text), 'hex'), ARRAY[NULL, 'NULL'] FROM generate_series(1, 500) n;
  CREATE TEXT SEARCH DICTIONARY wörter (TEMPLATE = pg_catalog.simple, stopwords = 'english');
  CREATE INDEX "ix_ü" ON "größe" (lower(t));
  CREATE VIEW sicht AS SELECT a, t FROM "größe" WHERE d > '2024-03-01';`;
const everything = `SET client_encoding = 'UTF8'; SELECT count(*), md5(string_agg(g::text, ',' ORDER BY a)) FROM "größe" g`;

async function withServer(
  major: Major,
  use: (server: PostgresServer) => Promise<void>,
  parameters: Record<string, string> = {},
): Promise<void> {
  const server = await startPostgres(major, parameters);
  try {
    await use(server);
  } finally {
    await server.stop();
  }
}

test.each([
  [13, "UTF8"],
  [15, "UTF8"],
  [15, "LATIN1"],
  [15, "SQL_ASCII"],
  [18, "UTF8"],
] as const)("R16: PostgreSQL %d, %s: limits, encoding and formats of the login change nothing", (major, encoding) =>
  withServer(major, async (server) => {
    await server.sql("postgres", "CREATE ROLE odd LOGIN CREATEDB PASSWORD 'odd-password'");
    await server.createDatabase(
      "shop",
      "",
      `OWNER odd ENCODING '${encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'`,
    );
    const letters = encoding === "UTF8" ? `INSERT INTO "größe" (t) VALUES ('日本');` : "";
    await server.sql("shop", `${content}${letters}`);
    const more = Object.entries(younger).flatMap(([since, one]) => (major >= Number(since) ? [one] : []));
    for (const [name, value] of [...Object.entries(settings), ...more])
      await server.sql("postgres", `ALTER ROLE odd SET ${name} = ${value}`);
    const before = await server.sql("shop", everything);
    const { run } = installScripts(server.settings("shop", { user: "odd", password: "odd-password" }));
    const backup = await run("backup");
    expectSuccess(backup);
    expect(backup.stderr).not.toContain("WARN");
    for (const words of [["restore"], ["verify"], ["restore", "--in-place"]] as const) {
      const [script, ...options] = words;
      const ran = await run(script, options);
      expectSuccess(ran);
      expect(ran.stderr).not.toContain("WARN");
      expect(await server.sql("shop", everything)).toBe(before);
    }
  }),
);

test("R16: names, a comment and a view beyond ASCII in a LATIN1 database come back in every way", () =>
  withServer(15, async (server) => {
    await server.createDatabase("shop", "", "ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
    await server.sql(
      "shop",
      `SET client_encoding = 'UTF8'; CREATE TABLE "ä" AS SELECT generate_series(1, 7) AS a; CREATE TABLE "ö" ("ü" text);
       INSERT INTO "ö" VALUES ('ß'); CREATE MATERIALIZED VIEW "sicht ü" AS SELECT * FROM "ä";
       CREATE FUNCTION "prüfe"() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
       CREATE EVENT TRIGGER "wächter" ON ddl_command_end EXECUTE FUNCTION "prüfe"();
       COMMENT ON DATABASE shop IS 'größer'; ALTER DATABASE shop SET my.word = 'käse'`,
    );
    const before = await stateOf(server, "shop", ["--create"]);
    const { run, list, configure } = installScripts(server.settings("shop"));
    expectSuccess(await run("backup"));
    const listed = await run("list", list());
    expect(listed.stdout).toMatch(/public\.ä\s.*\b7\b/);
    expect(listed.stdout).toContain("public.ö");
    expectSuccess(await run("verify"));
    for (const options of [[], ["--in-place"]]) {
      const ran = await run("restore", options);
      expectSuccess(ran);
      expect(ran.stderr).not.toContain("WARN");
      await expectState(server, "shop", before, ["--create"]);
    }
    configure({ ...server.settings("shop"), DB_DUMP_OPTIONS: "--inserts" });
    expectSuccess(await run("backup"));
    expectSuccess(await run("restore", ["--drop-before"]));
    await expectState(server, "shop", before, ["--create"]);
  }));

test("R16: a login that only reads by default can prove and restore all the same", () =>
  withServer(15, async (server) => {
    await server.sql("postgres", "CREATE ROLE reads LOGIN CREATEDB PASSWORD 'reads-password'");
    await server.createDatabase("shop", "CREATE TABLE t AS SELECT 1 AS a; ALTER TABLE t OWNER TO reads", "OWNER reads");
    await server.sql("postgres", "ALTER ROLE reads SET default_transaction_read_only = on");
    const { run } = installScripts(server.settings("shop", { user: "reads", password: "reads-password" }));
    for (const script of ["backup", "verify", "restore"]) expectSuccess(await run(script));
    expect(await server.sql("shop", "SELECT a FROM t")).toBe("1");
  }));

test("a prepared transaction, which holds its locks for ever, is named before anything is done", () =>
  withServer(
    15,
    async (server) => {
      await server.createDatabase("shop", "CREATE TABLE t AS SELECT 1 AS a");
      const { run } = installScripts(server.settings("shop"));
      expectSuccess(await run("backup"));
      await server.sql("shop", "BEGIN; INSERT INTO t VALUES (2); PREPARE TRANSACTION 'forgotten'");
      const named = /prepared transactions hold locks for ever: forgotten; end each with COMMIT PREPARED or ROLLBACK/;
      expectFailure(await run("restore"), named);
      expectFailure(await run("restore", ["--in-place"]), named);
      expectSuccess(await run("verify"));
    },
    { max_prepared_transactions: "3" },
  ));

test("R16: a standby's unlogged tables are named, its conflicts get the hint that helps", () =>
  withServer(
    15,
    async (server) => {
      await server.createDatabase(
        "shop",
        "CREATE TABLE t AS SELECT 1 AS a; CREATE UNLOGGED TABLE cache AS SELECT generate_series(1, 9) AS a; CHECKPOINT",
      );
      const standby = join(server.socketDir, "data/standby.signal");
      await server.crash();
      writeFileSync(standby, "");
      try {
        await server.restart();
        const { run } = installScripts(server.settings("shop"));
        const ran = await run("backup");
        expectSuccess(ran);
        expect(ran.stderr).toContain(
          "rows of unlogged tables are on its primary alone and not in the backup: public.cache",
        );
        const words = "ERROR:  canceling statement due to conflict with recovery";
        const conflict = clientsWith(server.clientDir, { pg_dump: `echo "pg_dump: error: ${words}" >&2; exit 1` });
        expectFailure(
          await run("backup", [], { env: { DB_CLIENT_DIR: conflict } }),
          /conflict with recovery[^]*hint: .*hot_standby_feedback = on/,
        );
      } finally {
        rmSync(standby);
      }
    },
    { wal_level: "replica" },
  ));
