/** What the statements of a dump say: what it creates, what it needs of the target. */
import type { Contents } from "../database.ts";
import type { Family } from "./clients.ts";
import { strange } from "../read-dump.ts";
import { unquote } from "./names.ts";
import { type Piece } from "./statements.ts";
import { createsTrigger, triggerName, withoutDatabase } from "./triggers.ts";
import { anyName, bare, eitherName, quotedName, string } from "./words.ts";

/** What a load needs to know of a dump, beyond what every engine's `Contents` tells. */
export class DumpContents implements Contents {
  serverVersion?: string;
  tables: string[] = [];
  rows?: Map<string, number>;
  bytes = 0;
  /** Of the server that was dumped. */
  family: Family = "mysql";
  /** The database that was dumped, where the dump says so. */
  database?: string;
  /** The database that it changes to (`mysqldump --databases`). */
  used?: string;
  /** Databases that its tables name (a foreign key, the sequence of a default). */
  qualified = new Set<string>();
  views = new Set<string>();
  /** Views that name databases, also the dumped one, with those. */
  viewDatabases = new Map<string, Set<string>>();
  /** "PROCEDURE work", "EVENT cleanup", … */
  programs = new Set<string>();
  /** Triggers it creates. */
  triggers = new Set<string>();
  /** Accounts in whose name views and programs run: "root@localhost". */
  definers = new Set<string>();
  /** Storage engines, with a table that uses each. */
  engines = new Map<string, string>();
  /** Tables with constraints that are not enforced: MariaDB would enforce them. */
  unenforced = new Set<string>();
  /** Bytes of the longest statement. */
  longest = 0;
}

const name = `(${eitherName})`;
const createTable = new RegExp(String.raw`^CREATE TABLE (?:/\*!32312 )?(?:IF NOT EXISTS ?)?(?:\*/ )?${name}`);
const createSequence = new RegExp(String.raw`^CREATE SEQUENCE (?:IF NOT EXISTS )?${name}`);
const createView = new RegExp(String.raw`^/\*!50001 CREATE (?:TABLE|VIEW) (?:IF NOT EXISTS )?${name}`);
/** The clause that says in whose name a view or program runs, before anything else that is quoted. */
export const definer = new RegExp(String.raw`^((?:/\*!\d+ )?CREATE\b[^'"\x60;]*?)DEFINER\s*=\s*${name}(?:@${name})?`);
/** After that clause was taken out. */
const createProgram = new RegExp(
  String.raw`^(?:/\*!\d+ )?CREATE\b[^'"\x60;]*\b(PROCEDURE|FUNCTION|EVENT|PACKAGE BODY|PACKAGE) (?:IF NOT EXISTS )?${name}`,
);
/** What leads into a database; any of these is left out of a load. */
const ofDatabase = new RegExp(
  String.raw`^(?:/\*!\d* *)?(?:USE|(?:CREATE|DROP)\s+(?:DATABASE|SCHEMA))\s+(?:(?:/\*!\d+ *)?IF (?:NOT )?EXISTS(?: *\*/)?\s*)?(${anyName})`,
  "i",
);

/** The last word on a view; before it a placeholder was created. */
const finalView = new RegExp(String.raw`\bVIEW ${name}(?: \([^)]*\))? AS `, "i");
/** A table or function of a named database. */
const elsewhereInView = new RegExp(String.raw`\b(?:from|join)\s*\(*${name}\.${name}|${name}\.${name}\(`, "gi");

/** FROM in a view that no table follows. */
export const otherFrom = String.raw`\b(?:extract\(\w+|trim\(\w+ \S+) from `;
const notTables = new RegExp(`${string}|${otherFrom}`, "gi");
/** A database in front of another name; texts are skipped. */
const otherDatabase = new RegExp(String.raw`${string}|(${quotedName})\.(?=\x60)`, "g");

/** Adds what a statement says. */
export function readStatement(contents: DumpContents, piece: Piece & { kind: "statement" }): void {
  // latin1 keeps every byte
  const text = piece.bytes.toString("latin1");
  const used = piece.leftOut ? ofDatabase.exec(text)?.[1] : undefined;
  if (used !== undefined) changeTo(contents, unquote(used));
  if (piece.leftOut || /^DROP /i.test(text)) return;
  const sequence = createSequence.exec(text)?.[1];
  const table = createTable.exec(text)?.[1] ?? sequence;
  if (table) contents.tables.push(unquote(table));
  readView(contents, text);
  const view = createView.exec(text)?.[1];
  if (view) contents.views.add(unquote(view));
  const account = definer.exec(text);
  if (account?.[2]) contents.definers.add(`${unquote(account[2])}@${account[3] ? unquote(account[3]) : ""}`);
  const unowned = text.replace(definer, "$1");
  const [, kind, program] = createProgram.exec(unowned) ?? [];
  if (kind && program) contents.programs.add(`${kind} ${unquote(program)}`);
  if (piece.namesDatabase) withoutDatabase(unowned, contents.database);
  if (createsTrigger(unowned)) contents.triggers.add(triggerName(unowned) ?? "");
  if (table) readTable(contents, unquote(table), text);
}

/** A dump may hold several databases; which one is meant is not known. Throws `Failure`. */
function changeTo(contents: DumpContents, used: string): void {
  const before = contents.used ?? contents.database ?? used;
  if (before !== used)
    throw strange(
      `holds several databases (${before}, ${used} …), a restore takes one`,
      "take a dump of the one, or load it with the mysql client",
    );
  contents.used = used;
}

function readTable({ qualified, engines, unenforced }: DumpContents, table: string, text: string): void {
  const words = bare(text, { backslashes: true, ansiQuotes: false });
  for (const [, database] of text.matchAll(otherDatabase)) if (database) qualified.add(unquote(database));
  const engine = /\bENGINE ?= ?(\w+)/.exec(words)?.[1];
  if (engine) engines.set(engine, table);
  if (/\bNOT ENFORCED\b/.test(words)) unenforced.add(table);
}

function readView({ viewDatabases }: DumpContents, text: string): void {
  const view = finalView.exec(text)?.[1];
  if (view === undefined) return;
  const named = [...text.replaceAll(notTables, "").matchAll(elsewhereInView)].map((found) =>
    unquote(found[1] ?? found[3] ?? ""),
  );
  if (named.length > 0) viewDatabases.set(unquote(view), new Set(named));
}
