/** Counts the rows of each table while a dump passes by. */
import { name, qualified, unquoteQualified } from "./contents.ts";

const columns = String.raw`\((?:${name}, )*${name}\)`;
const copy = new RegExp(String.raw`^COPY ${qualified} ?(?: ${columns})? FROM stdin;$`);
const insert = new RegExp(
  String.raw`^INSERT INTO ${qualified}(?<columns> ${columns})? (?:OVERRIDING (?:SYSTEM|USER) VALUE )?(?:DEFAULT )?VALUES`,
);

/** The table of a COPY as pg_dump writes it, `schema.table`; undefined for every other statement. */
export function copyTable(text: string): string | undefined {
  const table = text.startsWith("COPY ") ? copy.exec(text)?.[1] : undefined;
  return table === undefined ? undefined : unquoteQualified(table);
}

/** Longer than what stands before the values, even with 1,600 columns. */
const longestHead = 262_144;

export class RowCounts {
  readonly counts = new Map<string, number>();
  #table: string | undefined;
  /** The beginning that the last INSERT had: the next one is mostly alike. */
  #head = Buffer.alloc(0);
  #columnLists = 0;

  /** The rows that come next are those of a COPY into `table`. */
  copy(table: string): void {
    this.#table = table;
    this.#head = Buffer.alloc(0);
  }

  add(rows: number): void {
    if (rows > 0 && this.#table !== undefined) this.counts.set(this.#table, (this.counts.get(this.#table) ?? 0) + rows);
  }

  /** The rows that come next are those of the INSERT that begins at `at`. */
  insert(text: Buffer, at: number, decoder: TextDecoder): void {
    const { length } = this.#head;
    if (length > 0 && text.length >= at + length && text.compare(this.#head, 0, length, at, at + length) === 0) return;
    const near = text.toString("latin1", at, at + 4096);
    const found = insert.exec(near.includes("VALUES") ? near : text.toString("latin1", at, at + longestHead));
    const table = decoder.decode(Buffer.from(found?.[1] ?? "", "latin1"));
    this.#table = table === "" ? undefined : unquoteQualified(table);
    this.#head = Buffer.from(found?.[0] ?? "", "latin1");
    this.#columnLists = found?.groups?.columns === undefined ? 0 : 1;
  }

  /** That INSERT has ended; `groups` are its outermost parentheses. */
  inserted(groups: number): void {
    this.add(Math.max(groups - this.#columnLists, 1));
  }
}
