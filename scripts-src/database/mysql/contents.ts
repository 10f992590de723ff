/** What the statements of a dump say: what it creates, what it needs of the target. */
import type { Contents } from "../database.ts";
import type { Family } from "./clients.ts";
import { features } from "./features.ts";
import { unquote } from "./unquote.ts";
import { type Piece } from "./statements.ts";
import { triggerName, withoutDatabase } from "./triggers.ts";
import { bare } from "./words.ts";

/** What a load needs to know of a dump, beyond what every engine's `Contents` tells. */
export interface DumpContents extends Contents {
  /** Of the server that was dumped. */
  family: Family;
  /** The database that was dumped, where the dump says so. */
  database?: string;
  /** Databases that it changes to (`mysqldump --databases`). */
  databases: Set<string>;
  /** Databases that its tables name (a foreign key, the sequence of a default). */
  qualified: Set<string>;
  views: Set<string>;
  /** Views that name databases, also the dumped one, with those. */
  viewDatabases: Map<string, Set<string>>;
  /** Tables for which it has a place for rows, with rows or without. */
  filled: Set<string>;
  /** "PROCEDURE work", "EVENT cleanup", … */
  programs: Set<string>;
  /** Triggers it creates. */
  triggers: Set<string>;
  /** Accounts in whose name views and programs run: "root@localhost". */
  definers: Set<string>;
  collations: Set<string>;
  /** Storage engines, with a table that uses each. */
  engines: Map<string, string>;
  /** Modes of sql_mode that it sets. */
  modes: Set<string>;
  /** Character set in which the dump is written. */
  names?: string;
  /** What the other family does not understand: "sequences". */
  features: Set<string>;
  /** Bytes of the longest statement. */
  longest: number;
}

export const emptyContents = (): Omit<DumpContents, "family"> => ({
  tables: [],
  bytes: 0,
  databases: new Set(),
  qualified: new Set(),
  views: new Set(),
  viewDatabases: new Map(),
  filled: new Set(),
  programs: new Set(),
  triggers: new Set(),
  definers: new Set(),
  collations: new Set(),
  engines: new Map(),
  modes: new Set(),
  features: new Set(),
  longest: 0,
});

const name = String.raw`(\x60(?:[^\x60]|\x60\x60)*\x60|"(?:[^"]|"")*")`;
const createTable = new RegExp(String.raw`^CREATE TABLE (?:/\*!32312 )?(?:IF NOT EXISTS ?)?(?:\*/ )?${name}`);
const createSequence = new RegExp(String.raw`^CREATE SEQUENCE (?:IF NOT EXISTS )?${name}`);
const createView = new RegExp(String.raw`^/\*!50001 CREATE (?:TABLE|VIEW) (?:IF NOT EXISTS )?${name}`);
/** The clause that says in whose name a view or program runs, before anything else that is quoted. */
export const definer = new RegExp(String.raw`^((?:/\*!\d+ )?CREATE\b[^'"\x60;]*?)DEFINER\s*=\s*${name}(?:@${name})?`);
/** These two after that clause was taken out. */
const createProgram = new RegExp(
  String.raw`^(?:/\*!\d+ )?CREATE\b[^'"\x60;]*\b(PROCEDURE|FUNCTION|EVENT|PACKAGE BODY|PACKAGE) (?:IF NOT EXISTS )?${name}`,
);
const createTrigger = /^(?:\/\*!\d+ )?CREATE\b[^'"`;]*\bTRIGGER\b/i;
/** What leads into a database; any of these is left out of a load. */
const ofDatabase =
  /^(?:\/\*!\d* *)?(?:USE|(?:CREATE|DROP)\s+(?:DATABASE|SCHEMA))\s+(?:(?:\/\*!\d+ *)?IF (?:NOT )?EXISTS(?: *\*\/)?\s*)?(`(?:[^`]|``)*`|"(?:[^"]|"")*"|[\w$\x80-\xff]+)/i;

const disableKeys = new RegExp(String.raw`^/\*!40000 ALTER TABLE ${name} DISABLE KEYS`);
/** The last word on a view; before it a placeholder was created. */
const finalView = new RegExp(String.raw`\bVIEW ${name}(?: \([^)]*\))? AS `, "i");
/** A table or function of a named database. */
const elsewhereInView = new RegExp(String.raw`\b(?:from|join)\s*\(*${name}\.${name}|${name}\.${name}\(`, "gi");

/** FROM in a view that no table follows. */
export const otherFrom = String.raw`\b(?:extract\(\w+|trim\(\w+ \S+) from `;
const notTables = new RegExp(String.raw`'(?:[^'\\]|\\[\s\S]|'')*'|${otherFrom}`, "gi");

const strings = /'(?:[^'\\]|\\[\s\S]|'')*'/g;

/** Adds what a statement says. */
export function readStatement(contents: Omit<DumpContents, "family">, piece: Piece & { kind: "statement" }): void {
  // latin1 keeps every byte
  const text = piece.bytes.toString("latin1");
  const used = piece.leftOut ? ofDatabase.exec(text)?.[1] : undefined;
  if (used !== undefined) contents.databases.add(unquote(used));
  if (piece.leftOut || /^DROP /i.test(text)) return;
  if (/^(?:\/\*!\d+ )?SET /.test(text)) return readSetting(contents, text);
  const sequence = createSequence.exec(text)?.[1];
  if (sequence) contents.filled.add(unquote(sequence));
  const table = createTable.exec(text)?.[1] ?? sequence;
  if (table) contents.tables.push(unquote(table));
  const keys = disableKeys.exec(text)?.[1];
  if (keys) contents.filled.add(unquote(keys));
  readView(contents, text);
  const view = createView.exec(text)?.[1];
  if (view) contents.views.add(unquote(view));
  const account = definer.exec(text);
  if (account?.[2]) contents.definers.add(`${unquote(account[2])}@${account[3] ? unquote(account[3]) : ""}`);
  const unowned = text.replace(definer, "$1");
  const [, kind, program] = createProgram.exec(unowned) ?? [];
  if (kind && program) contents.programs.add(`${kind} ${unquote(program)}`);
  if (piece.namesDatabase) withoutDatabase(unowned, contents.database);
  if (createTrigger.test(unowned)) contents.triggers.add(triggerName(unowned) ?? "");
  const words = bare(text, { backslashes: true, ansiQuotes: piece.ansiQuotes });
  for (const [, collation = ""] of words.matchAll(/\bCOLLATE[ =](\w+)/gi))
    contents.collations.add(collation.toLowerCase());
  const engine = table && /\bENGINE ?= ?(\w+)/.exec(words)?.[1];
  const elsewhere = table ? text.replaceAll(strings, "").matchAll(/(`(?:[^`]|``)*`)\.`/g) : [];
  for (const [, word = ""] of elsewhere) contents.qualified.add(unquote(word));
  if (engine) contents.engines.set(engine, unquote(table));
  for (const [what, pattern] of features) if (pattern.test(words)) contents.features.add(what);
}

function readSetting(contents: Omit<DumpContents, "family">, text: string): void {
  const modes = /\bsql_mode\s*=\s*'([^']*)'/i.exec(text)?.[1];
  for (const mode of modes?.split(",") ?? []) if (mode) contents.modes.add(mode.toUpperCase());
  contents.names ??= /\bSET NAMES (\w+)/i.exec(text)?.[1]?.toLowerCase();
  const collation = /\bcollation_connection\s*=\s*(\w+)/i.exec(text)?.[1];
  if (collation) contents.collations.add(collation.toLowerCase());
}

const dataOf = /^-- Dumping data for table `((?:[^`]|``)*)`/gm;

/** Dump programs head the place for a table's rows, also of a table without any. */
export function readComment({ filled }: Omit<DumpContents, "family">, bytes: Buffer): void {
  if (bytes.length < 30) return;
  for (const [, table = ""] of bytes.toString("latin1").matchAll(dataOf)) filled.add(unquote(`\`${table}\``));
}

function readView({ viewDatabases }: Omit<DumpContents, "family">, text: string): void {
  const view = finalView.exec(text)?.[1];
  if (view === undefined) return;
  const named = [...text.replaceAll(notTables, "").matchAll(elsewhereInView)].map((found) =>
    unquote(found[1] ?? found[3] ?? ""),
  );
  if (named.length > 0) viewDatabases.set(unquote(view), new Set(named));
}
