/** Reads a dump from its first line to its last. */
import { Failure } from "../../base/errors.ts";
import type { DumpReader } from "../database.ts";
import { checkHead, type DumpContents, emptyContents, endOf, isComplete, readPiece } from "./contents.ts";
import { statementCheck } from "./kinds.ts";
import { Scanner } from "./statements.ts";

const headLength = 4096;

/** Reads one plain dump of pg_dump. */
export function dumpReader(): DumpReader<DumpContents> {
  const contents = emptyContents();
  const scanner = new Scanner();
  let head: Buffer = Buffer.alloc(0);
  let tail: Buffer = Buffer.alloc(0);
  const check = statementCheck();
  const read = (last: boolean) => {
    for (const piece of scanner.pieces(last)) {
      check(piece);
      readPiece(contents, piece);
    }
  };
  const scan = (chunk: Uint8Array) => {
    scanner.add(chunk);
    read(false);
  };
  return {
    add(chunk) {
      tail = endOf(tail, chunk);
      contents.bytes += chunk.length;
      if (head.length >= headLength) return scan(chunk);
      // only what begins as a dump of pg_dump is read as one
      head = Buffer.concat([head, chunk]);
      if (head.length < headLength) return;
      checkHead(head);
      scan(head);
    },
    end() {
      if (head.length < headLength) {
        checkHead(head);
        scan(head);
      }
      read(true);
      if (!isComplete(tail)) throw incomplete();
      contents.serverVersion = /^-- Dumped from database version (\S+)/m.exec(
        head.toString("latin1", 0, headLength),
      )?.[1];
      contents.roles.delete("PUBLIC");
      contents.rows = scanner.rows.counts;
      return contents;
    },
  };
}

const incomplete = () =>
  new Failure("the dump is incomplete: it does not end in pg_dump's last line", {
    hints: ["the file is cut short, or pg_dump was stopped while it was made: choose another backup"],
  });
