import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { inParts } from "../../scripts-src/database/mysql/filter.ts";
import { type Piece, Scanner, splitStatements } from "../../scripts-src/database/mysql/statements.ts";

const pieces = async (sql: string, size = sql.length || 1): Promise<Piece[]> => {
  const bytes = Buffer.from(sql);
  async function* chunks() {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  }
  return Array.fromAsync(splitStatements(chunks()));
};
const statements = async (sql: string, size?: number) => {
  const found: string[] = [];
  for (const piece of await pieces(sql, size)) {
    if (piece.kind === "statement") found.push(piece.bytes.toString());
    // in parts, as it comes
    else if (piece.kind === "rows") found.push(`${piece.first ? "" : (found.pop() ?? "")}${piece.bytes.toString()}`);
  }
  return found;
};
const joined = (found: readonly Piece[]) =>
  found.map((piece) => `${piece.bytes.toString()}${piece.kind === "statement" ? piece.delimiter : ""}`).join("");

/** One entry is one statement, whatever stands in it. */
const complete = [
  "SET @a = @@sql_mode",
  "CREATE VIEW v AS SELECT 'a;b', \"c;d\", `e;f`",
  "CREATE VIEW v AS SELECT 'it''s; fine', 'it\\'s; too', '\\\\'",
  'CREATE VIEW v AS SELECT "say ""a;""", "\\";"',
  "CREATE VIEW v AS SELECT `odd``;name\\`",
  "CREATE VIEW v AS SELECT 1 -- ; no end 'here\n+ 2",
  'CREATE VIEW v AS SELECT 1 # ; no end "here\n+ 2',
  "CREATE VIEW v AS SELECT 5--1",
  "CREATE VIEW v AS SELECT 1 /* ; no end ' \\! */ + 2",
  "/*!50003 SET sql_mode = '' */",
  "/*!50001 CREATE VIEW v AS SELECT ';' */",
  "/*!50003 CREATE*/ /*!50017 DEFINER=`a`@`b`*/ /*!50003 TRIGGER t BEFORE INSERT ON x FOR EACH ROW SET @a = 'x;' */",
  "/*M!100301 CREATE VIEW v AS SELECT 1 */",
  "INSERT INTO t VALUES ('\\! touch x\\n','DELIMITER ;;','-- \\0 /*',\\N,-5,0x5c);",
  "INSERT INTO `täble ☃` (`a`,`b`) VALUES ('😀;');",
];
/** The one statement, as `statements` gives it. */
const one = (sql: string) => (sql.startsWith("INSERT") ? sql : `${sql};`);

describe("statements of a MySQL dump", () => {
  test.each(complete)("%p is one statement", async (sql) => {
    expect(await statements(`${one(sql)}\nTRUNCATE next;\n`)).toEqual([sql, "TRUNCATE next"]);
  });

  test("DELIMITER lines change what ends a statement", async () => {
    const body = "CREATE PROCEDURE p() BEGIN SELECT 1; SELECT ';;'; /* ;; */ -- ;;\nEND";
    const p = "CREATE PROCEDURE p() SELECT 3; ";
    const sql = `DELIMITER ;;\n${body} ;;\nUSE a;;\n  delimiter //\n${p}//\nDELIMITER ;\nUSE b;`;
    expect(await statements(sql)).toEqual([`${body} `, "USE a", p, "USE b"]);
  });

  test("line ends of Windows", async () => {
    const p = "CREATE PROCEDURE p() BEGIN SELECT 1; END";
    expect(await statements(`DELIMITER ;;\r\n${p};;\r\nDELIMITER ;\r\nUSE a;\r\n`)).toEqual([p, "USE a"]);
  });

  test("sql_mode says whether a backslash escapes, and what was put aside comes back", async () => {
    const set = "SET @saved_sql_mode = @@sql_mode";
    const on = "/*!50003 SET sql_mode              = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES' */ ";
    const off = "SET sql_mode = @saved_sql_mode";
    const view = (text: string) => `CREATE VIEW v AS SELECT ${text}`;
    const sql = [set, on, view("'\\'"), view('"\\"'), off, view("'\\';'"), view('"\\";"')];
    expect(await statements(`${sql.join(";\n")};\n`)).toEqual(sql);
  });

  test("the sandbox line of MariaDB, in both forms, is no statement and no command", async () => {
    for (const first of ["/*M!999999\\- enable the sandbox mode */ ", "/*!999999\\- enable the sandbox mode */"])
      expect(await statements(`${first}\n-- MariaDB dump\nUSE a;`)).toEqual(["USE a"]);
  });

  test.each([
    "\\! touch x\n",
    "SELECT 1 \\! touch x\n;",
    "USE a; \\. /etc/passwd\n",
    "/*!50000 SELECT 1 \\! touch x */;",
    "/*M!999999\\! touch x */;",
    "USE 'open",
    "USE a",
    "USE `open;",
    "USE a /* open;",
    "DELIMITER ;;\nUSE a;\n",
    "INSERT INTO t VALUES (1",
    "INSERT INTO t",
  ])("%p is refused", async (sql) => {
    await expect(pieces(sql)).rejects.toThrow(/the dump/);
  });

  test("the rows of each table are counted, however they are cut", async () => {
    const sql =
      "INSERT INTO `t` VALUES (1,'),('),(2,'\\'),('),\n(3,NULL);INSERT INTO `t` (`a`,`)`) VALUES (4,0x28);REPLACE INTO u VALUES (-1,_binary '(');";
    for (const size of [1, 2, 3, 7, 1000]) {
      const scanner = new Scanner();
      for (let at = 0; at < sql.length; at += size) {
        scanner.add(Buffer.from(sql.slice(at, at + size)));
        Array.from(scanner.pieces(false));
      }
      Array.from(scanner.pieces(true));
      expect([size, ...scanner.rows]).toEqual([size, ["t", 4], ["u", 1]]);
    }
  });

  test("a giant INSERT passes in parts and does not hide the next statement", async () => {
    const giant = `INSERT INTO t VALUES ('${"x;\\'".repeat(1_500_000)}');`;
    const sql = `USE a;${giant}\nUSE b;`;
    const found = await pieces(sql, 65_536);
    expect(joined(found) === sql).toBe(true);
    expect(found.filter((piece) => piece.kind === "rows").length).toBeGreaterThan(1);
    expect(await statements(sql, 65_536)).toEqual(["USE a", giant, "USE b"]);
  });

  test.each([10_000, 65_536, 1_000_000])(
    "in chunks of %p bytes, a long INSERT becomes several with the same rows",
    async (size) => {
      const head = "INSERT INTO `t` (`a`,`b`) VALUES\n";
      const rows = Array.from({ length: 20_000 }, (_, i) => `(${i},'),(;${"x".repeat(i % 50)}\\'')`);
      const sql = `${head}${rows.join(",\n")};`;
      const parts = (await pieces(sql, size)).map((piece) => (piece.kind === "rows" ? inParts(piece).toString() : ""));
      const [begin, end] = ["BEGIN;\n", "\nCOMMIT;\n"];
      const text = parts.join("");
      expect([text.startsWith(begin), text.endsWith(end)]).toEqual([true, true]);
      const inserts = text.slice(begin.length, -end.length).split(`;\n${head}`.slice(0, -1));
      expect(inserts.length).toBeGreaterThan(3);
      expect(Math.max(...inserts.map(({ length }) => length))).toBeLessThan(270_000);
      expect(inserts.map((one) => one.trim()).join(",\n") === sql).toBe(true);
    },
  );

  test("however the text is cut into chunks, the pieces are the same and nothing is lost", async () => {
    const block = "DELIMITER ;;\nCREATE PROCEDURE p() BEGIN SELECT ';'; END;;\nDELIMITER ;\n";
    const single = complete.map(one);
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
