/** Dumps that hold a part of a database by the way they were made. */
import { counted } from "../../base/text.ts";
import type { DumpContents } from "./contents.ts";

/**
 * What a dump lacks, with the numbers; empty when it lacks nothing that it shows by itself. A restore that removes what is there must not
 * take such a dump unasked: `--no-create-info` and `--no-data` are backups of one half.
 */
export function partialReasons({ tables, rows, filled }: DumpContents): string[] {
  const created = new Set(tables);
  const rowsOnly = [...(rows?.keys() ?? [])].filter((table) => !created.has(table));
  const reasons: string[] = [];
  if (rowsOnly.length > 0)
    reasons.push(
      `the dump holds rows of ${counted(rowsOnly.length, "table")} that it does not create (${list(rowsOnly)}), as with ` +
        "--no-create-info: load it by hand into tables that exist (mysql --binary-mode DATABASE < FILE)",
    );
  if (tables.length > 0 && filled.size === 0 && !rows?.size)
    reasons.push(
      `the dump creates ${counted(tables.length, "table")} (${list(tables)}) and holds rows of none, as with --no-data: ` +
        "choose a backup with rows, or load it by hand (mysql --binary-mode DATABASE < FILE)",
    );
  return reasons;
}

const list = (names: readonly string[]): string =>
  names.slice(0, 5).join(", ") + (names.length > 5 ? ` and ${names.length - 5} more` : "");
