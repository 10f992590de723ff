/** Reads a dump from its first line to its last. */
import type { DumpReader } from "../database.ts";
import { type DumpForm, readerOf } from "../read-dump.ts";
import { DumpContents, readStatement } from "./contents.ts";
import { Scanner } from "./statements.ts";

const otherKind = "name a backup of this database, or set DATABASE_URL to a database of that kind";

const command = "mysql --binary-mode DATABASE < FILE";
const byHand = `load it by hand into a new, empty database, look at what it holds, then take a backup of that: ${command}`;

const exporters = {
  Adminer: /^-- Adminer [\d.]+ /m,
  HeidiSQL: /^-- HeidiSQL Version:/m,
  Navicat: /^ Navicat .*Data Transfer/m,
  SQLyog: /^SQLyog .* v\d/m,
  "Sequel Ace": /^# Sequel (?:Ace|Pro) SQL dump/m,
  UpdraftPlus: /^# Created by UpdraftPlus/m,
};

export const dumpForm: DumpForm = {
  name: "dump of mysqldump or mariadb-dump",
  head: /^-- (MySQL|MariaDB) dump /m,
  completion: /\n-- Dump completed(?: on [\d -]+[\d:]+)?\r?\n\s*$/,
  also: {
    name: "export of phpMyAdmin",
    head: /^-- phpMyAdmin SQL Dump/m,
    completion: /\n\/\*!40101 SET COLLATION_CONNECTION=@OLD_COLLATION_CONNECTION \*\/;\s*$/,
    hint: `earlier versions of phpMyAdmin never wrote that line: ${byHand}`,
  },
  foreign: [
    [/^-- PostgreSQL database/m, "is a dump of PostgreSQL, not of MySQL or MariaDB", otherKind],
    [
      /^-- Host: .* {4}Database: \r?$/m,
      "is a dump of all databases of a server (--all-databases)",
      "take a dump of the one, or load it with the mysql client",
    ],
    [/^<\?xml/, "is a dump in XML", "dump the database again, without --xml"],
    ...Object.entries(exporters).map(
      ([name, head]) => [head, `is an export of ${name}, which does not say whether it is complete`, byHand] as const,
    ),
  ],
  byHand: command,
};

/** phpMyAdmin writes the words before it in the language of its user. */
const serverVersion = /^-- (?:Server version\t|[^\n]*: (?=.*\n-- [^\n]*PHP))(\d\S*)/m;

/** Reads one dump of mysqldump or mariadb-dump, or an export of phpMyAdmin. */
export function dumpReader(): DumpReader<DumpContents> {
  /** Bytes of the INSERT so far. */
  let insert = 0;
  const scanner = new Scanner();
  const contents = new DumpContents();
  return readerOf({
    form: dumpForm,
    scanner,
    begin(head) {
      const text = head.toString();
      contents.serverVersion = serverVersion.exec(text)?.[1];
      contents.family = /mariadb/i.test(contents.serverVersion ?? text) ? "mariadb" : "mysql";
      contents.database = databaseIn(head);
    },
    take(piece) {
      if (piece.kind === "statement") readStatement(contents, piece);
      if (piece.kind === "rows") insert = (piece.first ? 0 : insert) + piece.bytes.length;
      contents.longest = Math.max(contents.longest, piece.kind === "rows" ? insert : piece.bytes.length);
    },
    end: (bytes) => Object.assign(contents, { bytes, rows: scanner.rows }),
  });
}

/** The database that was dumped, where the first lines of the dump say so. */
export function databaseIn(head: Buffer): string | undefined {
  const [, name, exported] =
    /^-- (?:Host: .*? {4}Database: (.+?)|[^`\n]*: `(.+)`)\r?$/m.exec(head.toString("utf8", 0, 4096)) ?? [];
  return name ?? exported?.replaceAll("``", "`");
}
