/** Dumps that hold a part of a database by the way they were made. */
import { counted, listed } from "../../base/text.ts";
import type { DumpContents } from "./contents.ts";

/** Rows of tables that the dump does not create, as with `--no-create-info`: no database can be made of them. */
export function rowsAlone({ tables, rows }: Pick<DumpContents, "tables" | "rows">): string[] {
  const created = new Set(tables);
  const rowsOnly = [...(rows?.keys() ?? [])].filter((table) => !created.has(table));
  if (rowsOnly.length === 0) return [];
  return [
    `the dump holds rows of ${counted(rowsOnly.length, "table")} that it does not create (${listed(rowsOnly)}), as with ` +
      "--no-create-info: load it by hand into tables that exist (mysql --binary-mode DATABASE < FILE)",
  ];
}

/** Tables without a place for rows, as with `--no-data`: a restore would leave them empty. */
export function tablesAlone({ tables, rows, filled }: Pick<DumpContents, "tables" | "rows" | "filled">): string[] {
  if (tables.length === 0 || filled.size > 0 || rows?.size) return [];
  return [
    `the dump creates ${counted(tables.length, "table")} (${listed(tables)}) and holds rows of none, as with --no-data`,
  ];
}
