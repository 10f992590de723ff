import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Piece, splitStatements } from "../../scripts-src/database/postgres/statements.ts";

const pieces = async (sql: string, size = sql.length || 1): Promise<Piece[]> => {
  const bytes = Buffer.from(sql);
  async function* chunks() {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  }
  return Array.fromAsync(splitStatements(chunks()));
};
const statements = async (sql: string, size?: number) =>
  (await pieces(sql, size)).flatMap((piece) => (piece.kind === "statement" ? [piece.text] : []));

/** One entry is one statement, whatever stands in it. */
const whole = [
  "SELECT 1;",
  "SELECT 'a;b';",
  "SELECT 'it''s; fine';",
  String.raw`SELECT 'ends in a backslash\';`,
  String.raw`SELECT E'a\';b\\';`,
  String.raw`SELECT e'\'; x' , type'a';`,
  `SELECT "odd;""name" FROM "t;";`,
  "SELECT $$ BEGIN; COMMIT; $$;",
  "SELECT $fn$ $$ ; $other$ ; $fn$;",
  "SELECT $1, $2;",
  "SELECT a$b$c FROM t$1;",
  "SELECT 1 -- ; no end here\n+ 2;",
  "CREATE RULE r AS ON INSERT TO t DO ALSO (INSERT INTO u VALUES (1); DELETE FROM v;);",
  "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END;",
  "CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC UPDATE t SET a = 1; END;",
  "COMMENT ON TABLE t IS 'ALTER TABLE x OWNER TO y;\nCOMMIT;\n\\.\n';",
  "COPY public.t (a) TO stdout;",
];

/** INSERTs pass as data, many at a time; each ends where psql ends it. */
const inserts = [
  "INSERT INTO t VALUES (1, -2, 3.5e-7, NULL);",
  "INSERT INTO t VALUES ('a;b', 'it''s; (', ')', '--', '/*');",
  String.raw`INSERT INTO t VALUES ('ends in a backslash\'), (E'\';\\'), (e'\'; x');`,
  `INSERT INTO "t;""(" ("a;", b$c$d) OVERRIDING SYSTEM VALUE VALUES ($$ ; ' $$, $x$ ; $x$, 5$a, 1 / 2 - 3)\nON CONFLICT DO NOTHING;`,
  "INSERT INTO t VALUES (1 -- ; '\n, (2));",
  "INSERT INTO t VALUES ('" + "long; ".repeat(20) + "');",
];

describe("statements", () => {
  test.each(inserts)("%p ends at its semicolon and passes as data", async (sql) => {
    const found = await pieces(`SELECT 1;\n${sql}\n${sql}\nSELECT 2;`);
    expect(found.map((piece) => piece.kind)).toEqual(["statement", "data", "statement"]);
    expect(found[1]?.bytes.toString()).toBe(`\n${sql}\n${sql}`);
  });

  test.each(whole)("%p is one statement", async (sql) => {
    expect(await statements(`${sql}\nSELECT 'next';\n`)).toEqual([sql, "SELECT 'next';"]);
  });

  test("rows of a COPY are data, whatever they look like", async () => {
    const rows = "ALTER TABLE x OWNER TO y;\n\\\\.\nCOMMIT;\n\\\\connect other\n";
    const found = await pieces(`COPY public.t (a) FROM stdin;\n${rows}\\.\n\nSELECT 1;\n`);
    expect(found.map((piece) => piece.kind)).toEqual(["statement", "data", "data", "statement", "data"]);
    expect(found.slice(1, 3).map((piece) => piece.bytes.toString())).toEqual([rows, "\\.\n"]);
  });

  test("a COPY without rows, and one with the line ends of Windows", async () => {
    expect(await statements("COPY t FROM stdin;\n\\.\nSELECT 1;")).toEqual(["COPY t FROM stdin;", "SELECT 1;"]);
    expect(await statements("COPY t FROM stdin;\r\nx\r\n\\.\r\nSELECT 1;")).toHaveLength(2);
  });

  test("a COPY of a table whose name holds a semicolon", async () => {
    expect(await statements('COPY public."a;b" (c) FROM stdin;\nrow;\n\\.\nSELECT 1;')).toHaveLength(2);
  });

  test("psql commands are told apart from SQL", async () => {
    const found = await pieces("\\restrict abc\n\nSELECT 1;\n\\unrestrict abc\n");
    expect(found.map((piece) => piece.kind)).toEqual(["command", "statement", "command"]);
  });

  test.each([
    "SELECT 1 \\! rm\n;",
    "SELECT 'open",
    "SELECT 1",
    "COPY t FROM stdin;\nrow\n",
    "INSERT INTO t VALUES (1);INSERT INTO t VALUES ('open",
    "INSERT INTO t VALUES (1);INSERT INTO t VALUES (1);\nINSERT",
    "SELECT $$ open",
    "/* open",
    "SET client_encoding = 'SJIS';",
    "SELECT 1 /* ; */ + 2;",
    "INSERT INTO t VALUES (1 /* ; */);",
  ])("%p is refused", async (sql) => {
    await expect(pieces(sql)).rejects.toThrow(/the dump/);
  });

  test("old strings, where a backslash escapes", async () => {
    const sql = String.raw`SET standard_conforming_strings = off;` + String.raw`SELECT 'a\';b';`;
    expect(await statements(sql)).toEqual(["SET standard_conforming_strings = off;", String.raw`SELECT 'a\';b';`]);
  });

  test("a giant statement passes in parts and does not hide the next one", async () => {
    const giant = `INSERT INTO t VALUES ('${"x;".repeat(2_000_000)}');`;
    const found = await pieces(`SELECT 1;${giant}\nSELECT 2;`, 65_536);
    expect(Buffer.concat(found.map((piece) => piece.bytes)).toString()).toBe(`SELECT 1;${giant}\nSELECT 2;`);
    expect(found.flatMap((piece) => (piece.kind === "statement" ? [piece.text] : []))).toEqual([
      "SELECT 1;",
      "SELECT 2;",
    ]);
  });

  test("however the text is cut into chunks, the pieces are the same and nothing is lost", async () => {
    const copy = "COPY t (a) FROM stdin;\nrow\tone\n\\\\.\n\\.\n";
    const parts = fc.array(
      fc.constantFrom(...whole, ...inserts, copy, "\\restrict abc\n", "-- a comment; 'quote\n", "\n"),
      {
        maxLength: 12,
      },
    );
    await fc.assert(
      fc.asyncProperty(parts, fc.integer({ min: 1, max: 40 }), async (list, size) => {
        const sql = list.join("\n");
        const cut = await pieces(sql, size);
        expect(Buffer.concat(cut.map((piece) => piece.bytes)).toString()).toBe(sql);
        expect(await statements(sql, size)).toEqual(await statements(sql));
      }),
      { numRuns: 300 },
    );
  });
});
