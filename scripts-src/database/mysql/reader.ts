/** Reads a dump from its first line to its last. */
import type { DumpReader } from "../database.ts";
import { type DumpForm, readerOf } from "../read-dump.ts";
import { DumpContents, readComment, readStatement } from "./contents.ts";
import { Scanner } from "./statements.ts";

const otherKind = "name a backup of this database, or set DATABASE_URL to a database of that kind";

const command = "mysql --binary-mode DATABASE < FILE";
const byHand = `load it by hand into a new, empty database, look at what it holds, then take a backup of that: ${command}`;

export const dumpForm: DumpForm = {
  name: "dump of mysqldump or mariadb-dump",
  head: /^-- (MySQL|MariaDB) dump /m,
  completion: /\n-- Dump completed(?: on [\d -]+[\d:]+)?\r?\n\s*$/,
  foreign: [
    [/^-- PostgreSQL database/m, "is a dump of PostgreSQL, not of MySQL or MariaDB", otherKind],
    [/^<\?xml/, "is a dump in XML", otherKind],
    [/^-- phpMyAdmin SQL Dump/m, "is an export of phpMyAdmin, which does not say whether it is complete", byHand],
    [/^-- Adminer [\d.]+ /m, "is an export of Adminer, which does not say whether it is complete", byHand],
  ],
  byHand: command,
};

/** Reads one dump of mysqldump or mariadb-dump. */
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
      contents.serverVersion = /^-- Server version\t(\S+)/m.exec(text)?.[1];
      contents.family = /mariadb/i.test(contents.serverVersion ?? text) ? "mariadb" : "mysql";
      contents.database = databaseIn(head);
    },
    take(piece) {
      if (piece.kind === "statement") readStatement(contents, piece);
      if (piece.kind === "between") readComment(contents, piece.bytes);
      if (piece.kind === "rows") insert = (piece.first ? 0 : insert) + piece.bytes.length;
      contents.longest = Math.max(contents.longest, piece.kind === "rows" ? insert : piece.bytes.length);
    },
    end: (bytes) => Object.assign(contents, { bytes, rows: scanner.rows }),
  });
}

/** The database that was dumped, where the first lines of the dump say so. */
export const databaseIn = (head: Buffer): string | undefined =>
  /^-- Host: .*? {4}Database: (.+?)\r?$/m.exec(head.toString("utf8", 0, 4096))?.[1];
