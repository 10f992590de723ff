/** Reads a dump from its first line to its last. */
import type { DumpReader } from "../database.ts";
import { type DumpForm, readerOf } from "../read-dump.ts";
import { DumpContents, readPiece } from "./contents.ts";
import { statementCheck } from "./kinds.ts";
import { Scanner } from "./statements.ts";

export const dumpForm: DumpForm = {
  name: "plain dump of pg_dump",
  head: /^-- PostgreSQL database dump$/m,
  // `\unrestrict TOKEN` follows since the minor releases of August 2025
  completion: /\n--\n-- PostgreSQL database dump complete\n--\n\s*(\\unrestrict [A-Za-z0-9]+\s*)?$/,
  foreign: [
    [
      /^(\/\*M?!|-- (MySQL|MariaDB) dump)/,
      "is a dump of MySQL or MariaDB, not of PostgreSQL",
      "name a backup of this database, or set DATABASE_URL to a MySQL or MariaDB database",
    ],
    [
      /^-- PostgreSQL database dump\r$/m,
      "has the line ends of Windows, in the texts of rows and functions too",
      "turn them into those of pg_dump first: sed 's/\\r$//' FILE > dump.sql",
    ],
    [
      /PostgreSQL database cluster dump/,
      "is a dump of a complete cluster (pg_dumpall)",
      "restore it with psql, or take a backup of the one database",
    ],
  ],
  byHand: "psql --single-transaction -v ON_ERROR_STOP=1 -f FILE",
};

/** Reads one plain dump of pg_dump. */
export function dumpReader(): DumpReader<DumpContents> {
  const contents = new DumpContents();
  const scanner = new Scanner();
  const check = statementCheck();
  return readerOf({
    form: dumpForm,
    scanner,
    begin(head) {
      contents.serverVersion = /^-- Dumped from database version (\S+)/m.exec(head.toString("latin1"))?.[1];
    },
    take(piece) {
      check(piece);
      readPiece(contents, piece);
    },
    end(bytes) {
      contents.roles.delete("PUBLIC");
      return Object.assign(contents, { bytes, rows: scanner.rows.counts });
    },
  });
}
