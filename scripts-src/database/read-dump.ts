/** Reading a dump to its end: what tells it from other files, and a complete one from one that broke off. */
import { Failure } from "../base/errors.ts";
import { refuseForeign } from "../base/foreign-files.ts";
import { listOf } from "../base/text.ts";
import type { Contents, DumpReader } from "./database.ts";

/** What the dumps of one program have in common. Both ends are read as latin1. */
interface DumpKind {
  /** "dump of mysqldump or mariadb-dump". */
  name: string;
  /** What its first lines hold. */
  head: RegExp;
  /** Its last words. */
  completion: RegExp;
  /** What helps where these are missing, beside another backup. */
  hint?: string;
}

/** The dumps of an engine. */
export interface DumpForm extends DumpKind {
  /** Dumps of another program that are read too. */
  also?: DumpKind;
  /** Other things that people try to restore: how they begin, what they are, and what helps. */
  foreign: readonly (readonly [pattern: RegExp, what: string, hint: string])[];
  /** The command that loads other SQL. */
  byHand: string;
}

/** What no dump program writes; `what` follows "the dump". */
export const strange = (
  what: string,
  hint = "dump programs do not write this: look at the file before you restore it",
): Failure => new Failure(`the dump ${what}`, { hints: [hint] });

export const cutOff = (): Failure =>
  strange("breaks off in the middle of a statement", "the file is cut short: take another backup");

export const wordsBehind = (): Failure =>
  new Failure("the file goes on behind the dump's last line, with words that are no SQL", {
    hints: ["an error of the dump program or of another one: read it, and remove what follows the dump's last line"],
  });

/** Throws a `Failure` when there are such `problems`: a backup that no restore takes is no backup. */
export function refuseBackup(problems: readonly string[]): void {
  const [problem] = problems;
  if (problem === undefined) return;
  throw new Failure(`a restore would refuse this backup: ${problem}`, { hints: ["check DB_DUMP_OPTIONS"] });
}

/** Bytes of a dump that say by which program it was made, and of what server. */
const headLength = 4096;

/** The kind of dump that begins so. Throws a `Failure` when it is none. */
export function kindOf(form: DumpForm, text: Buffer): DumpKind {
  const { name, also, foreign, byHand } = form;
  refuseForeign(text, "the file", { unpacked: true });
  const first = text.toString("latin1", 0, headLength);
  const [, what, hint = ""] = foreign.find(([pattern]) => pattern.test(first)) ?? [];
  if (what !== undefined) throw new Failure(`the file ${what}`, { hints: [hint] });
  if (form.head.test(first)) return form;
  if (also?.head.test(first)) return also;
  throw new Failure(`the file is no ${name}: its first lines do not say so`, {
    hints: [`to load other SQL by hand: ${byHand}`],
  });
}

/** The last bytes of a dump, where its program says that it came to its end. */
export class DumpEnd {
  #tail: Buffer = Buffer.alloc(0);

  add(chunk: Uint8Array): void {
    this.#tail = Buffer.concat([this.#tail, chunk.subarray(-512)]).subarray(-512);
  }

  isComplete({ completion }: DumpKind): boolean {
    return completion.test(this.#tail.toString("latin1"));
  }

  /** Throws a `Failure` when a dump ends in what its program said of an error: somebody wrote both into the file. */
  refuseProgramError(): void {
    const text = this.#tail.toString();
    const [said] = programError.exec(text) ?? [];
    if (said === undefined) return;
    if (/^-- .*dump complete/im.test(text)) throw wordsBehind();
    throw new Failure(`the dump is incomplete: its program failed while it was made: ${said.trim()}`, {
      hints: ["choose another backup; do not write errors into a dump (2>&1), and look at the program's exit status"],
    });
  }
}

/** Anywhere in a line: what is dumped is written in blocks. */
const programError = /(?:pg_dump|mysqldump|mariadb-dump): (?:error|got error|couldn't).*/i;

interface Scanner<Piece> {
  add(chunk: Uint8Array): void;
  /** What is complete; with `last`, everything. */
  pieces(last: boolean): Iterable<Piece>;
}

interface Reading<Piece, C> {
  form: DumpForm;
  scanner: Scanner<Piece>;
  /** Gets the first bytes, which were found to be those of such a dump. */
  begin(head: Buffer): void;
  take(piece: Piece): void;
  /** After the last piece of a complete dump of so many bytes. */
  end(bytes: number): C;
}

/** A reader for one dump. Nothing but a dump of the engine is read as one: its head is looked at first. */
export function readerOf<Piece, C extends Contents>(reading: Reading<Piece, C>): DumpReader<C> {
  const { form, scanner } = reading;
  const tail = new DumpEnd();
  let kind: DumpKind = form;
  let head: Buffer | undefined = Buffer.alloc(0);
  let bytes = 0;
  const read = (chunk: Uint8Array, last: boolean) => {
    scanner.add(chunk);
    for (const piece of scanner.pieces(last)) reading.take(piece);
  };
  const begin = (first: Buffer, last: boolean) => {
    head = undefined;
    kind = kindOf(form, first);
    reading.begin(first.subarray(0, headLength));
    read(first, last);
  };
  return {
    add(chunk) {
      tail.add(chunk);
      bytes += chunk.length;
      if (!head) return read(chunk, false);
      head = Buffer.concat([head, chunk]);
      if (head.length >= headLength) begin(head, false);
    },
    end() {
      if (!tail.isComplete(kind)) tail.refuseProgramError();
      if (head) begin(head, true);
      else read(Buffer.alloc(0), true);
      if (tail.isComplete(kind)) return reading.end(bytes);
      throw new Failure(`the dump is incomplete: the last line of the ${kind.name} is missing`, {
        hints: listOf(
          "the file is cut short, or the dump program was stopped while it was made: choose another backup",
          kind.hint,
        ),
      });
    },
  };
}

/** Feeds `reader` with all of `sql`; what the dump holds. Throws what either of them throws. */
export async function readDump<C extends Contents>(reader: DumpReader<C>, sql: AsyncIterable<Uint8Array>): Promise<C> {
  for await (const chunk of sql) reader.add(chunk);
  return reader.end();
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
