/** What a load over several sessions has loaded, and what it could not. */
import { messageOf } from "../../base/errors.ts";
import { counted } from "../../base/text.ts";
import type { Loaded } from "../restoring.ts";
import { isChecked, refreshedView, viewWithoutRows } from "./load.ts";
import { newline } from "./words.ts";

/** A statement, or a COPY with rows of one table. */
export interface Unit {
  /** The statement, for messages. */
  text: string;
  sql: readonly (string | Uint8Array)[];
  bytes: number;
  /** The table whose rows it holds. */
  table?: string;
}

/** How the statement begins, for messages. It ends before the first text, which can be a password (CREATE SUBSCRIPTION … CONNECTION '…'). */
export const titleOf = ({ text }: Pick<Unit, "text">): string => /^[^\n']{0,120}/.exec(text)?.[0].trimEnd() ?? "";

/** Rows of one table, with the COPY that takes them. */
export interface CopiedRows {
  statement: string | Uint8Array;
  text: string;
  table: string;
  rows: readonly Uint8Array[];
}

export const copyUnit = ({ statement, text, table, rows }: CopiedRows): Unit => ({
  text,
  table,
  sql: [statement, ...rows, "\\.\n"],
  bytes: rows.reduce((sum, part) => sum + part.length, 0),
});

/** Undefined for a single row. */
function halves({ sql, text, table = "" }: Unit): [Unit, Unit] | undefined {
  const [statement = "", ...parts] = sql;
  const rows = Buffer.concat(parts.slice(0, -1).map((part) => Buffer.from(part)));
  const middle = rows.indexOf(newline, rows.length >> 1) + 1;
  const cut = middle > 0 && middle < rows.length ? middle : rows.indexOf(newline) + 1;
  if (cut === 0 || cut === rows.length) return undefined;
  const unit = (part: Buffer) => copyUnit({ statement, text, table, rows: [part] });
  return [unit(rows.subarray(0, cut)), unit(rows.subarray(cut))];
}

/** What all lanes of one load know. */
export class LoadReport {
  readonly #keepGoing: boolean;
  readonly #rows = new Map<string, number>();
  readonly #warnings: string[] = [];
  readonly #skipped: string[] = [];
  readonly #leftOut: string[] = [];
  /** Rows of each table that could not be loaded, and why the first of them could not. */
  readonly #lostRows = new Map<string, { rows: number; why: string }>();
  #late = new Set<string>();
  /** How many tables were late the last time. */
  #lateBefore = Infinity;
  #postpones = true;

  constructor(keepGoing: boolean) {
    this.#keepGoing = keepGoing;
  }

  /** The server has taken so many rows. */
  loaded(table: string, rows: number): void {
    this.#rows.set(table, (this.#rows.get(table) ?? 0) + rows);
  }

  /** True when all rows of a unit's table are loaded once more, after those of other tables. */
  postpones({ table }: Unit, error: unknown): boolean {
    if (table === undefined || !this.#postpones || !isChecked(error)) return false;
    this.#late.add(table);
    return true;
  }

  /** Rows of the table wait until all others are loaded. */
  isLate(table: string): boolean {
    return this.#late.has(table);
  }

  /**
   * The tables whose time has come. When there are not fewer than before, only the last of them in the dump, which waits for none of the
   * others, and nothing of it is postponed any more: what is wrong is reported.
   */
  takeLate(): ReadonlySet<string> {
    const late = [...this.#late];
    this.#postpones = late.length < this.#lateBefore;
    this.#lateBefore = late.length;
    const tables = new Set(this.#postpones ? late : late.slice(-1));
    this.#late = this.#late.difference(tables);
    for (const table of tables) this.#rows.delete(table);
    return tables;
  }

  /** Cuts a unit in two, so that what is good of it can be saved. */
  halve(unit: Unit): [Unit, Unit] | undefined {
    return this.#keepGoing && unit.table !== undefined ? halves(unit) : undefined;
  }

  /** Last resort for a unit that failed in every way: true when the load goes on without it. */
  skips(unit: Unit, error: unknown): boolean {
    const view = refreshedView(unit.text);
    if (view !== undefined) {
      this.#warnings.push(viewWithoutRows(view, reasonOf(error)));
      this.#leftOut.push(unit.text.trim());
    } else if (this.#keepGoing) this.#skip(unit, error);
    return view !== undefined || this.#keepGoing;
  }

  #skip(unit: Unit, error: unknown): void {
    const { table } = unit;
    if (table === undefined) {
      this.#skipped.push(`${titleOf(unit)}: ${reasonOf(error)}`);
      return;
    }
    const lost = this.#lostRows.get(table);
    this.#lostRows.set(table, { rows: (lost?.rows ?? 0) + 1, why: lost?.why ?? reasonOf(error) });
  }

  /** Tables whose rows came without an answer that counts them. */
  uncounted(tables: Iterable<string>): string[] {
    return [...tables].filter((table) => !this.#rows.has(table) && !this.#lostRows.has(table));
  }

  result(): Loaded {
    // by table: which session was faster says nothing
    const lost = [...this.#lostRows]
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .map(([table, { rows, why }]) => `${counted(rows, "row")} of ${table}, the first: ${why}`);
    return { rows: this.#rows, warnings: this.#warnings, skipped: [...lost, ...this.#skipped], leftOut: this.#leftOut };
  }
}

/** The server's words without what was attempted. */
const reasonOf = (error: unknown): string =>
  messageOf(error)
    .replace(/^.*? failed: /, "")
    .split("\n")[0] ?? "";
