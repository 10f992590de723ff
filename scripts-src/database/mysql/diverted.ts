/**
 * Where rows would go elsewhere than into the table they name: a view or a MERGE table can stand for a table of another database, and a
 * trigger acts on every row. Dump programs write rows before triggers and views, and none into tables that only stand for others.
 */
import { strange } from "../read-dump.ts";
import type { QuoteRules } from "./sql-mode.ts";
import { triggerTable } from "./triggers.ts";
import { unquote } from "./names.ts";
import { anyName, bare, readings } from "./words.ts";

/** Stands for every table. */
export const everyTable = "*";

const remote = /\bUNION ?=|\bENGINE ?= ?(?:MRG_\w+|MERGE|FEDERATEDX?|SPIDER|CONNECT|OQGRAPH)\b/i;

const tableName = new RegExp(String.raw`\bTABLE\s+(?:(?:/\*!\d+\s*)?IF NOT EXISTS(?:\s*\*/)?\s*)?(${anyName})`, "i");

/** The table into which no rows may come behind that statement; `text` is latin1 and was found to be one that dump programs write. */
export function divertedTable(text: string, rules: QuoteRules): string | undefined {
  if (!/\bCREATE\b/i.test(text)) return undefined;
  const [words = ""] = readings(bare(text, rules));
  const kind = /^CREATE [^(;]*?\b(VIEW|TRIGGER|TABLE|PROCEDURE|FUNCTION|EVENT|PACKAGE|SEQUENCE)\b/i
    .exec(words)?.[1]
    ?.toUpperCase();
  if (kind === "VIEW" && /\b(?:FROM|JOIN)\b/i.test(words)) return everyTable;
  if (kind === "TRIGGER") return triggerTable(text) ?? everyTable;
  if (kind !== "TABLE" || !remote.test(words)) return undefined;
  const name = tableName.exec(text)?.[1];
  return name === undefined ? everyTable : unquote(name);
}

export const tooLate = (table: string) =>
  strange(
    `holds rows of ${table} behind what would lead them elsewhere (a view, a trigger, a MERGE or remote table)`,
    "dump programs write rows before triggers and views: look at the file before you restore it",
  );
