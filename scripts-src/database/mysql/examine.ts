/** Reads a dump from its first line to its last. */
import { Failure } from "../../base/errors.ts";
import { refuseForeign } from "../../base/foreign-files.ts";
import type { DumpReader } from "../database.ts";
import { afterHead, endOf, headLength, refuseProgramError } from "../read-dump.ts";
import { type DumpContents, emptyContents, readComment, readStatement } from "./contents.ts";
import { Scanner } from "./statements.ts";

/** The programs' last words. */
const completion = /\n-- Dump completed(?: on [\d -]+[\d:]+)?\r?\n\s*$/;

/** Whether the end of a dump's text proves that the dump program came to its end. */
export const isComplete = (tail: Buffer): boolean => completion.test(tail.toString("latin1"));

/** Reads one dump of mysqldump or mariadb-dump. */
export function dumpReader(): DumpReader<DumpContents> {
  let tail: Buffer = Buffer.alloc(0);
  let bytes = 0;
  /** Bytes of the INSERT so far. */
  let insert = 0;
  const scanner = new Scanner();
  const contents: DumpContents = { ...emptyContents(), family: "mysql" };
  const begin = (head: Buffer) => {
    checkHead(head);
    Object.assign(contents, readHead(head.toString("utf8", 0, headLength)));
  };
  const read = (chunk: Uint8Array, last: boolean) => {
    scanner.add(chunk);
    for (const piece of scanner.pieces(last)) {
      if (piece.kind === "statement") readStatement(contents, piece);
      if (piece.kind === "between") readComment(contents, piece.bytes);
      if (piece.kind === "rows") insert = (piece.first ? 0 : insert) + piece.bytes.length;
      contents.longest = Math.max(contents.longest, piece.kind === "rows" ? insert : piece.bytes.length);
    }
  };
  const text = afterHead(begin, read);
  return {
    add(chunk) {
      tail = endOf(tail, chunk);
      bytes += chunk.length;
      text.add(chunk);
    },
    end() {
      if (!isComplete(tail)) refuseProgramError(tail);
      text.end();
      if (!isComplete(tail)) {
        throw new Failure("the dump is incomplete: it does not end in the last line of mysqldump or mariadb-dump", {
          hints: ["the file is cut short, or the dump program was stopped while it was made: choose another backup"],
        });
      }
      return { ...contents, bytes, rows: scanner.rows };
    },
  };
}

function readHead(head: string): Pick<DumpContents, "family" | "database" | "serverVersion"> {
  const serverVersion = /^-- Server version\t(\S+)/m.exec(head)?.[1];
  return {
    family: /mariadb/i.test(serverVersion ?? head) ? "mariadb" : "mysql",
    database: /^-- Host: .*? {4}Database: (.+?)\r?$/m.exec(head)?.[1],
    serverVersion,
  };
}

/** Other things that people try to restore, by how they begin. */
const foreign: readonly (readonly [RegExp, string])[] = [
  [/^-- PostgreSQL database/m, "is a dump of PostgreSQL, not of MySQL or MariaDB"],
  [/^<\?xml/, "is a dump in XML"],
];

function checkHead(head: Buffer): void {
  refuseForeign(head, "the file", { unpacked: true });
  const text = head.toString("latin1", 0, headLength);
  const other = foreign.find(([pattern]) => pattern.test(text));
  if (other) {
    throw new Failure(`the file ${other[1]}`, {
      hints: ["name a backup of this database, or set DATABASE_URL to a database of that kind"],
    });
  }
  if (!/^-- (MySQL|MariaDB) dump /m.test(text)) {
    throw new Failure("the file is no dump of mysqldump or mariadb-dump: its first lines do not say so", {
      hints: ["to load other SQL by hand: mysql --binary-mode DATABASE < FILE"],
    });
  }
}
