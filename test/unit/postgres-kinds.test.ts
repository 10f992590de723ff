/** Which statements a restore runs: those that pg_dump writes. S3 and S12a: what ends our transaction or reaches the server. */
import { describe, expect, test } from "bun:test";
import { dumpReader } from "../../scripts-src/database/postgres/reader.ts";

const end = "\n--\n-- PostgreSQL database dump complete\n--\n\n";
const read = (sql: string) => {
  const reader = dumpReader();
  reader.add(Buffer.from(`--\n-- PostgreSQL database dump\n--\n\n${sql}\n${end}`));
  return reader.end();
};

describe("S3: a statement that begins or ends a transaction is refused, in any spelling", () => {
  test.each([
    "COMMIT;",
    "commit;",
    "CommIT WORK;",
    "COMMIT AND CHAIN;",
    "END;",
    "end transaction;",
    "ROLLBACK;",
    "ROLLBACK TO a;",
    "ABORT;",
    "BEGIN; BEGIN;",
    "begin;",
    "BEGIN ISOLATION LEVEL SERIALIZABLE;",
    "START TRANSACTION;",
    "SAVEPOINT a;",
    "RELEASE a;",
    "PREPARE TRANSACTION 'x';",
    "COMMIT PREPARED 'x';",
    "COMMIT -- x\n;",
    "SET TRANSACTION READ ONLY;",
    "SET LOCAL lock_timeout = 0;",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY;",
    "CREATE TABLE t (a int); commit; SELECT 1/0;",
  ])("%p", (sql) => expect(() => read(sql)).toThrow(/begin or end a transaction/));

  test("but not pg_dump's own around large objects", () => {
    const object =
      "BEGIN;\n\nSELECT pg_catalog.lo_open('42', 131072);\nSELECT pg_catalog.lowrite(0, '\\x00ff');\n" +
      "SELECT pg_catalog.lo_close(0);\n\nCOMMIT;\n";
    expect(() => read(object)).not.toThrow();
  });
});

describe("S12a: a statement that reaches the server's machine is refused", () => {
  test.each([
    "COPY t FROM PROGRAM 'id';",
    "COPY t TO PROGRAM 'cat >/tmp/x';",
    "COPY t FROM '/etc/passwd';",
    "COPY public.t (a) FROM '/etc/passwd';",
    "COPY (SELECT 1) TO '/tmp/x';",
    "copy t from stdin;",
    "COPY t FROM stdin WITH (FORMAT csv);",
    "LOAD 'x';",
    "SELECT pg_catalog.lo_import('/etc/passwd');",
    "SELECT lo_export(1, '/tmp/x');",
    "SELECT pg_catalog.pg_read_file('/etc/passwd');",
    "SELECT pg_catalog.lowrite(0, pg_read_binary_file('/etc/passwd'));",
    `COPY t FROM PROGRAM '${"x".repeat(1_100_000)}';`,
  ])("%p", (sql) => expect(() => read(sql.slice(0, 1_200_000))).toThrow(/files and programs of the database server/));
});

describe("a statement that changes more than the database is refused", () => {
  test.each([
    "CREATE ROLE evil SUPERUSER;",
    "ALTER ROLE app SUPERUSER;",
    "ALTER USER app SUPERUSER;",
    "ALTER SYSTEM SET archive_command = 'id';",
    "DROP DATABASE other;",
    "CREATE DATABASE other;",
    "COMMENT ON DATABASE payroll IS 'backup_scripts: unfinished restore of sw';",
    "DROP TABLESPACE t;",
    "REVOKE CONNECT ON DATABASE app FROM PUBLIC;",
    "GRANT postgres TO app;",
  ])("%p", (sql) => expect(() => read(sql)).toThrow(/the dump holds the statement/));
});

describe("so is every other statement that pg_dump does not write", () => {
  test.each([
    "-- x\rCOMMIT;",
    "/* x */ COMMIT;",
    "COMMIT/* x */;",
    "COPY (SELECT 1) TO STDOUT /* FROM stdin WITH */;",
    "BEGIN; CREATE TABLE t (); COMMIT;",
    "BEGIN; SELECT 1; COMMIT;",
    "SELECT 1;",
    "SELECT set_config('standard_conforming_strings','off',false);",
    "SELECT pg_catalog.set_config('standard_conforming_strings','off',false);",
    "SELECT pg_catalog.set_config('search_path', (SELECT 'x'), false);",
    "SELECT pg_catalog.setval('s', (SELECT f()), true);",
    "DO $$ BEGIN COMMIT; END $$;",
    "CALL p();",
    "EXECUTE x;",
    "DISCARD ALL;",
    "WITH a AS (SELECT 1) INSERT INTO t SELECT 1;",
    "VACUUM;",
    "CREATE/* */ROLE x;",
    "create table t ();",
    "TRUNCATE t;",
    "UPDATE t SET a = 1;",
    `SELECT '${"x".repeat(1_100_000)}';`,
    "CREATE TABLE t ();\r\\! id\n",
    "CREATE TABLE t (a\rint);",
    "CREATE TABLE t (\0);",
    "INSERT INTO t VALUES (1a$x$ ; $x$);",
  ])("%p", (sql) => expect(() => read(sql)).toThrow(/the dump holds/));
});

describe("what pg_dump writes is read", () => {
  test.each([
    "SET statement_timeout = 0;",
    "SET client_encoding = 'UTF8';",
    "SET SESSION AUTHORIZATION 'app';",
    "RESET SESSION AUTHORIZATION;",
    "SELECT pg_catalog.set_config('search_path', '', false);",
    `SELECT pg_catalog.setval('public."it''s"', -5, true);`,
    "SELECT pg_catalog.lo_create('42');",
    "SELECT pg_catalog.lo_unlink(oid) FROM pg_catalog.pg_largeobject_metadata WHERE oid = '42';",
    "SELECT * FROM pg_catalog.pg_restore_relation_stats(\n\t'version', '180000'::integer\n);",
    "CREATE USER MAPPING FOR app SERVER s;",
    'GRANT SELECT("a;b") ON TABLE public.t TO app;',
    "REVOKE GRANT OPTION FOR ALL ON SCHEMA public FROM app;",
    "ALTER DEFAULT PRIVILEGES FOR ROLE app IN SCHEMA public GRANT SELECT ON TABLES TO app;",
    "SECURITY LABEL FOR dummy ON TABLE t IS 'x';",
    "CREATE OR REPLACE TRUSTED PROCEDURAL LANGUAGE plx;",
    "COPY public.t  FROM stdin;\n\\.\n",
    "CREATE ACCESS METHOD a TYPE TABLE HANDLER h;",
    `COMMENT ON TABLE t IS '${"x".repeat(1_100_000)}';`,
  ])("%p", (sql) => expect(read(sql).tables).toEqual([]));
});

describe("R1: words are counted as psql counts them", () => {
  test.each([
    `CREATE FUNCTION public.f(begin date, "end" date) RETURNS int LANGUAGE sql AS 'SELECT 1';`,
    "CREATE FUNCTION public.f() RETURNS TABLE(begin integer) LANGUAGE sql AS 'SELECT 1';",
    "CREATE PROCEDURE public.p(IN begin integer) LANGUAGE sql AS 'SELECT 1';",
    `CREATE FUNCTION public."BEGIN"() RETURNS int LANGUAGE sql AS 'SELECT 1';`,
    "CREATE OR REPLACE FUNCTION f() RETURNS int\n    BEGIN ATOMIC\n SELECT CASE WHEN true THEN 1 END;\nEND;",
    "CREATE FUNCTION f(a integer DEFAULT (CASE WHEN true THEN 1 END)) RETURNS int\n    BEGIN ATOMIC\n SELECT 1;\nEND;",
    "CREATE TABLE t (begin int, case_ int);",
    "CREATE VIEW begin AS SELECT 1;",
  ])("%p", (sql) => {
    expect(read(`${sql}\nCREATE TABLE public.next ();`).tables.at(-1)).toBe("public.next");
  });

  test("a function that psql cannot read is refused, with the reason", () => {
    const sql = "CREATE FUNCTION public.begin() RETURNS int LANGUAGE sql AS 'SELECT 1';";
    expect(() => read(sql)).toThrow(/whose body does not end/);
  });
});

describe("rows are counted", () => {
  test("of COPY, whatever the rows look like", () => {
    const rows = (sql: string) => Object.fromEntries(read(sql).rows ?? []);
    expect(
      rows("COPY public.t (a, b) FROM stdin;\n1\t2\n\\\\.\n\\.x\n\\N\n\\.\nCOPY s.e (a) FROM stdin;\n\\.\n"),
    ).toEqual({
      "public.t": 4,
    });
    expect(rows('COPY "My S"."a;b" ("x, y") FROM stdin;\r\n\r\n1\r\n\\.\r\n')).toEqual({ "My S.a;b": 2 });
  });

  test("of INSERTs with one row or several, with and without columns", () => {
    const sql = `INSERT INTO public.t VALUES (1, (2), ')(');\nINSERT INTO public.t VALUES ('a''(');
      INSERT INTO public.t (a, "b)(") OVERRIDING SYSTEM VALUE VALUES\n\t(1, 2),\n\t(3, f(4))\nON CONFLICT DO NOTHING;
      INSERT INTO public.none DEFAULT VALUES;\nINSERT INTO public.u VALUES ('${"x(".repeat(600_000)}'), ('y');`;
    expect(Object.fromEntries(read(sql).rows ?? [])).toEqual({ "public.t": 4, "public.none": 1, "public.u": 2 });
  });

  test("however the text is cut", () => {
    const sql = `--\n-- PostgreSQL database dump\n--\n\nCOPY public.t (a) FROM stdin;\nx\n\\\\.\ny\n\\.\nINSERT INTO public.t VALUES (1);\n${end}`;
    for (let size = 1; size < 40; size++) {
      const reader = dumpReader();
      for (let at = 0; at < sql.length; at += size) reader.add(Buffer.from(sql.slice(at, at + size)));
      expect(Object.fromEntries(reader.end().rows ?? [])).toEqual({ "public.t": 4 });
    }
  });
});
