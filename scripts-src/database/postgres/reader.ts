/** Reads a dump from its first line to its last. */
import { Failure } from "../../base/errors.ts";
import type { DumpReader } from "../database.ts";
import { afterHead, endOf, headLength, refuseProgramError } from "../read-dump.ts";
import { checkHead, type DumpContents, emptyContents, isComplete, readPiece } from "./contents.ts";
import { statementCheck } from "./kinds.ts";
import { Scanner } from "./statements.ts";

/** Reads one plain dump of pg_dump. */
export function dumpReader(): DumpReader<DumpContents> {
  const contents = emptyContents();
  const scanner = new Scanner();
  let tail: Buffer = Buffer.alloc(0);
  const check = statementCheck();
  const begin = (head: Buffer) => {
    checkHead(head);
    contents.serverVersion = /^-- Dumped from database version (\S+)/m.exec(
      head.toString("latin1", 0, headLength),
    )?.[1];
  };
  const read = (chunk: Uint8Array, last: boolean) => {
    scanner.add(chunk);
    for (const piece of scanner.pieces(last)) {
      check(piece);
      readPiece(contents, piece);
    }
  };
  const text = afterHead(begin, read);
  return {
    add(chunk) {
      tail = endOf(tail, chunk);
      contents.bytes += chunk.length;
      text.add(chunk);
    },
    end() {
      if (!isComplete(tail)) refuseProgramError(tail);
      text.end();
      if (!isComplete(tail)) throw incomplete();
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
