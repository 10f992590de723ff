/** Reading a dump to its end. */
import { Failure } from "../base/errors.ts";
import type { Contents, DumpReader } from "./database.ts";

/** Feeds `reader` with all of `sql`; what the dump holds. Throws what either of them throws. */
export async function readDump<C extends Contents>(reader: DumpReader<C>, sql: AsyncIterable<Uint8Array>): Promise<C> {
  for await (const chunk of sql) reader.add(chunk);
  return reader.end();
}

interface Scanner<Piece> {
  add(chunk: Uint8Array): void;
  /** What is complete; with `last`, everything. */
  pieces(last: boolean): Iterable<Piece>;
}

/** The pieces of `source` in order. Throws what either of them throws. */
export async function* piecesOf<Piece>(
  scanner: Scanner<Piece>,
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Piece> {
  for await (const chunk of source) {
    scanner.add(chunk);
    yield* scanner.pieces(false);
  }
  yield* scanner.pieces(true);
}

/** What of a dump tells by which program it was made, and of what server. */
export const headLength = 4096;

/**
 * Passes a dump on to `read` once `begin` has seen its head, which throws where it is no dump of its engine: nothing else is read as one.
 * `last` comes with the last call of `read`.
 */
export function afterHead(begin: (head: Buffer) => void, read: (chunk: Uint8Array, last: boolean) => void) {
  let head: Buffer = Buffer.alloc(0);
  return {
    add(chunk: Uint8Array): void {
      if (head.length >= headLength) return read(chunk, false);
      head = Buffer.concat([head, chunk]);
      if (head.length < headLength) return;
      begin(head);
      read(head, false);
    },
    end(): void {
      if (head.length >= headLength) return read(Buffer.alloc(0), true);
      begin(head);
      read(head, true);
    },
  };
}

const tailLength = 512;

/** The last bytes of a dump, where its program says that it came to its end: those before `chunk`, and `chunk`. */
export const endOf = (tail: Buffer, chunk: Uint8Array): Buffer =>
  Buffer.concat([tail, chunk.subarray(-tailLength)]).subarray(-tailLength);

/** Anywhere in a line: what is dumped is written in blocks. */
const programError = /(?:pg_dump|mysqldump|mariadb-dump): (?:error|got error|couldn't).*/i;

/** Throws a `Failure` when a dump without its last line ends in what its program said of that: somebody wrote both into the file. */
export function refuseProgramError(tail: Buffer): void {
  const text = tail.toString();
  const [said] = programError.exec(text) ?? [];
  if (said === undefined || /^-- .*dump complete/im.test(text)) return;
  throw new Failure(`the dump is incomplete: its program failed while it was made: ${said.trim()}`, {
    hints: ["choose another backup; do not write errors into a dump (2>&1), and look at the program's exit status"],
  });
}
