import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Piece, splitStatements } from "../../scripts-src/database/mysql/statements.ts";

const pieces = async (sql: string, size = sql.length || 1): Promise<Piece[]> => {
  const bytes = Buffer.from(sql);
  async function* chunks() {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  }
  return Array.fromAsync(splitStatements(chunks()));
};
const statements = async (sql: string, size?: number) =>
  (await pieces(sql, size)).flatMap((piece) => (piece.kind === "statement" ? [piece.bytes.toString()] : []));
const joined = (found: readonly Piece[]) =>
  found.map((piece) => `${piece.bytes.toString()}${piece.kind === "statement" ? piece.delimiter : ""}`).join("");

/** One entry is one statement, whatever stands in it. */
const whole = [
  "SELECT 1",
  "SELECT 'a;b', \"c;d\", `e;f`",
  "SELECT 'it''s; fine', 'it\\'s; too', '\\\\'",
  'SELECT "say ""a;""", "\\";"',
  "SELECT `odd``;name\\` FROM t",
  "SELECT 1 -- ; no end 'here\n+ 2",
  'SELECT 1 # ; no end "here\n+ 2',
  "SELECT 5--1",
  "SELECT 1 /* ; no end ' \\! */ + 2",
  "/*!50003 SET sql_mode = '' */",
  "/*!50001 CREATE VIEW v AS SELECT ';' */",
  "/*!50003 CREATE*/ /*!50017 DEFINER=`a`@`b`*/ /*!50003 TRIGGER t BEFORE INSERT ON x FOR EACH ROW SET @a = 'x;' */",
  "/*M!100301 SELECT 'x;' */",
  "INSERT INTO t VALUES ('\\! touch x\\n','DELIMITER ;;','-- \\0 /*',\\N,-5,0x5c)",
  "INSERT INTO `täble ☃` VALUES ('😀;')",
  "DELIMITERS",
];

describe("statements of a MySQL dump", () => {
  test.each(whole)("%p is one statement", async (sql) => {
    expect(await statements(`${sql};\nSELECT 'next';\n`)).toEqual([sql, "SELECT 'next'"]);
  });

  test("DELIMITER lines change what ends a statement", async () => {
    const body = "CREATE PROCEDURE p() BEGIN SELECT 1; SELECT ';;'; /* ;; */ -- ;;\nEND";
    const sql = `DELIMITER ;;\n${body} ;;\nSELECT 2;;\n  delimiter //\nSELECT 3; x//\nDELIMITER ;\nSELECT 4;`;
    expect(await statements(sql)).toEqual([`${body} `, "SELECT 2", "SELECT 3; x", "SELECT 4"]);
  });

  test("line ends of Windows", async () => {
    expect(await statements("DELIMITER ;;\r\nSELECT 1; x;;\r\nDELIMITER ;\r\nSELECT 2;\r\n")).toEqual([
      "SELECT 1; x",
      "SELECT 2",
    ]);
  });

  test("sql_mode says whether a backslash escapes, and what was put aside comes back", async () => {
    const set = "SET @saved_sql_mode = @@sql_mode";
    const on = "/*!50003 SET sql_mode              = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES' */ ";
    const off = "SET sql_mode = @saved_sql_mode";
    const sql = [set, on, "SELECT '\\'", 'SELECT "\\"', off, "SELECT '\\';'", 'SELECT "\\";"'];
    expect(await statements(`${sql.join(";\n")};\n`)).toEqual(sql);
  });

  test("the sandbox line of MariaDB, in both forms, is no statement and no command", async () => {
    for (const first of ["/*M!999999\\- enable the sandbox mode */ ", "/*!999999\\- enable the sandbox mode */"])
      expect(await statements(`${first}\n-- MariaDB dump\nSELECT 1;`)).toEqual(["SELECT 1"]);
  });

  test.each([
    "\\! touch x\n",
    "SELECT 1 \\! touch x\n;",
    "SELECT 1; \\. /etc/passwd\n",
    "/*!50000 SELECT 1 \\! touch x */;",
    "/*M!999999\\! touch x */;",
    "SELECT 'open",
    "SELECT 1",
    "SELECT `open;",
    "SELECT 1 /* open;",
    "DELIMITER ;;\nSELECT 1;\n",
  ])("%p is refused", async (sql) => {
    expect(pieces(sql)).rejects.toThrow(/the dump/);
  });

  test("a giant statement passes in parts and does not hide the next one", async () => {
    const giant = `INSERT INTO t VALUES ('${"x;\\'".repeat(1_500_000)}');`;
    const sql = `SELECT 1;${giant}\nSELECT 2;`;
    const found = await pieces(sql, 65_536);
    expect(joined(found) === sql).toBe(true);
    expect(found.filter((piece) => piece.kind === "part").length).toBeGreaterThan(1);
    expect(await statements(sql, 65_536)).toEqual(["SELECT 1", "SELECT 2"]);
  });

  test("however the text is cut into chunks, the pieces are the same and nothing is lost", async () => {
    const block = "DELIMITER ;;\nCREATE PROCEDURE p() BEGIN SELECT ';'; END;;\nDELIMITER ;\n";
    const single = whole.map((sql) => `${sql};`);
    const parts = fc.array(fc.constantFrom(...single, block, "-- a comment; 'quote\n", "/* a; ' */", "\n"), {
      maxLength: 12,
    });
    await fc.assert(
      fc.asyncProperty(parts, fc.integer({ min: 1, max: 40 }), async (list, size) => {
        const sql = `${list.join("\n")}\n`;
        expect(joined(await pieces(sql, size))).toBe(sql);
        expect(await statements(sql, size)).toEqual(await statements(sql));
      }),
      { numRuns: 300 },
    );
  });
});
