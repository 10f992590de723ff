/** What a session of a load is given at a time. */
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
export function halves({ sql, text, table = "" }: Unit): [Unit, Unit] | undefined {
  const [statement = "", ...parts] = sql;
  const rows = Buffer.concat(parts.slice(0, -1).map((part) => Buffer.from(part)));
  const middle = rows.indexOf(newline, rows.length >> 1) + 1;
  const cut = middle > 0 && middle < rows.length ? middle : rows.indexOf(newline) + 1;
  if (cut === 0 || cut === rows.length) return undefined;
  const unit = (part: Buffer) => copyUnit({ statement, text, table, rows: [part] });
  return [unit(rows.subarray(0, cut)), unit(rows.subarray(cut))];
}
