/** Dumps that hide a psql command, to be run on the machine that restores them: what they try is to create a file. */
import type { Chance } from "../machine/random.ts";

const head = "--\n-- PostgreSQL database dump\n--\n\n-- Dumped from database version 13.1\n\n";
const tail = "\n--\n-- PostgreSQL database dump complete\n--\n\n";

/** A file with `text` between pg_dump's first and last lines. */
export const dumpOf = (text: string): string => `${head}${text}\n${tail}`;

const long = "x".repeat(1_100_000);
const strings = "SELECT set_config('standard_conforming_strings','off',false);\n";

/** What was found to get past a scanner, and its neighbours. `touch` is the psql command without its backslash. */
export const fixedHostile = (file: string): string[] => {
  const touch = `! touch ${file}`;
  return [
    `\\restrict \`touch ${file}\`\n`,
    `\\restrict abc\n\\unrestrict abc \\${touch}\n`,
    `\\restrict abc\n\\unrestrict \`touch ${file}\`\n`,
    `COPY (SELECT 1) TO STDOUT /* FROM stdin WITH */;\n\\${touch}\n/*\n\\.\n*/ SELECT 1;`,
    `${strings}SELECT '\\' , ';\n\\${touch}\n --';`,
    `-- x\r\\${touch}\n`,
    `SELECT 'a\0'\n\\${touch}\n';`,
    `/*${long}*/ SET standard_conforming_strings = off;\nSELECT '\\' , ';\n\\${touch}\n --';`,
    `CREATE FUNCTION begin() RETURNS int LANGUAGE sql AS 'SELECT 1';\n\\${touch}\nEND;`,
    // neighbours
    `SET client_encoding = 'SJIS';\nSELECT E'\x95\\', ';\n\\${touch}\n';`,
    `SELECT E'a'\r'\\', ';\n\\${touch}\n --';`,
    `SET standard_conforming_strings = off;\nSELECT U&'\\' , ';\n\\${touch}\n --';`,
    `SELECT 1$a$ ; $b$;\n\\${touch}\n$a$;`,
    `SELECT '${long}' \\g |touch ${file}\n`,
    `INSERT INTO t VALUES ('${long}');\\${touch}\n`,
    `COPY t FROM stdin;\n\\.x\n\\.\r\n\\${touch}\n`,
    `COPY t FROM stdin;:"x"\r\\${touch}\n\\.\n`,
    `COPY t FROM stdin WITH (FORMAT csv);\n"\n\\.\n\\${touch}\n"\n\\.\n`,
    `SELECT :'x' ;\\${touch}\n`,
    `\\set x \`touch ${file}\`\nSELECT :'x';`,
    `SELECT 'touch ${file}' \\gexec\n`,
  ];
};

const words = [
  "'",
  "''",
  "E'",
  "B'",
  "U&'",
  "N'",
  '"',
  "$$",
  "$a$",
  "1$a$",
  "a$b$",
  "--",
  "/*",
  "*/",
  "/*/*",
  "(",
  ")",
  ";",
  ":'x'",
  ':"x"',
  ":x",
  "\\",
  "\\'",
  "\\;",
  "\\.",
  "BEGIN",
  "END",
  "CASE",
  "x",
  "é",
  "\x95\\",
] as const;
const gaps = ["", " ", "\n", "\r", "\r\n", "\t", "\f", "\v", "\0", "\n\\.\n"] as const;
const openings = [
  "SELECT ",
  "CREATE FUNCTION f() RETURNS int ",
  "CREATE OR REPLACE PROCEDURE p(begin int) ",
  "CREATE TABLE t (a text DEFAULT ",
  "COMMENT ON SCHEMA public IS ",
  "INSERT INTO t VALUES (",
  "COPY t FROM stdin;",
  "COPY (SELECT 1) TO STDOUT ",
  "\\restrict ",
  "\\unrestrict ",
  "-- ",
  "",
] as const;
const settings = [
  "",
  "",
  "",
  "SET standard_conforming_strings = off;\n",
  "SET client_encoding = 'SJIS';\n",
  "SET client_encoding = 'LATIN1';\n",
  "SET CLIENT_ENCODING TO GBK;\n",
  strings,
] as const;

/** A dump of chance. */
export function chooseHostile(by: Chance, file: string): string {
  const commands = [
    `\\! touch ${file}`,
    `\\o |touch ${file}`,
    `SELECT 1 \\g |touch ${file}`,
    `\\echo \`touch ${file}\``,
    `\\copy t to program 'touch ${file}'`,
    `\\w ${file}`,
    `SELECT 1 \\; \\! touch ${file}`,
  ] as const;
  const noise = () =>
    Array.from({ length: by.below(6) }, () => by.pick(words) + (by.below(3) === 0 ? by.pick(gaps) : "")).join("");
  const parts = Array.from({ length: 1 + by.below(3) }, () =>
    [
      by.pick(openings),
      noise(),
      by.pick(gaps),
      by.pick(commands),
      by.pick(gaps),
      noise(),
      by.pick(["", ";", ";\n"]),
    ].join(""),
  );
  return by.pick(settings) + parts.join("\n");
}

/** psql leaves comments of this kind out of what it sends. */
const odd = [...words.filter((word) => word !== "--"), "E'\\'", "E'\\\\'", "E'\\''", "'\\'", "U&'\\'", "b'\\'"];
const routine = [
  "CREATE FUNCTION f() ",
  "CREATE OR REPLACE PROCEDURE p(begin int, ",
  "create function ",
  "CREATE VIEW begin AS ",
];
const closings = ["'", '"', ")", "*/", "$$", "$a$", "END", ""];

/** SQL of odd quotes, comments and bodies, without psql commands: it may be cut into statements in one way only. */
export function chooseOdd(by: Chance): string {
  const pick = (all: readonly string[]) => all[by.below(all.length)] ?? "";
  const spaced = (all: readonly string[], most: number) =>
    Array.from({ length: by.below(most) }, () => pick(all) + pick(["", " ", "\n", " ", ", "])).join("");
  const statement = () => `${pick(["SELECT ", "", ...routine])}${spaced(odd, 9)}${spaced(closings, 4)};`;
  return Array.from({ length: 1 + by.below(3) }, statement).join("\n");
}
