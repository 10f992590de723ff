/** What the statements of a dump say: what it creates, what it needs of the target. */
import type { Contents, DumpReader } from "../database.ts";
import { type DumpForm, readerOf, strange } from "../read-dump.ts";
import type { Family } from "./clients.ts";
import { unquote } from "./names.ts";
import { type Piece, Scanner } from "./statements.ts";
import { anyName, bare, eitherName, quotedName, string, createsTrigger, triggerOf, withoutDatabase } from "./words.ts";

/** What a load needs to know of a dump, beyond what every engine's `Contents` tells. */
export class DumpContents implements Contents {
  serverVersion?: string;
  tables: string[] = [];
  rows = new Map<string, number>();
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
  viewDatabases = new Map<string, string[]>();
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
function readStatement(contents: DumpContents, piece: Piece & { kind: "statement" }): void {
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
  if (createsTrigger(unowned)) contents.triggers.add(triggerOf(unowned).name ?? "");
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
  if (named.length > 0) viewDatabases.set(unquote(view), [...new Set(named)]);
}

const otherKind = "name a backup of this database, or set DATABASE_URL to a database of that kind";

const command = "mysql --binary-mode DATABASE < FILE";
const byHand = `load it by hand into a new, empty database, look at what it holds, then take a backup of that: ${command}`;

const exporters = {
  Adminer: /^-- Adminer [\d.]+ /m,
  HeidiSQL: /^-- HeidiSQL Version:/m,
  Navicat: /^ Navicat .*Data Transfer/m,
  SQLyog: /^SQLyog .* v\d/m,
  "Sequel Ace": /^# Sequel (?:Ace|Pro) SQL dump/m,
  UpdraftPlus: /^# Created by UpdraftPlus/m,
};

export const dumpForm: DumpForm = {
  name: "dump of mysqldump or mariadb-dump",
  head: /^-- (MySQL|MariaDB) dump /m,
  completion: /\n-- Dump completed(?: on [\d -]+[\d:]+)?\r?\n\s*$/,
  also: {
    name: "export of phpMyAdmin",
    head: /^-- phpMyAdmin SQL Dump/m,
    completion: /\n\/\*!40101 SET COLLATION_CONNECTION=@OLD_COLLATION_CONNECTION \*\/;\s*$/,
    hint: `earlier versions of phpMyAdmin never wrote that line: ${byHand}`,
  },
  foreign: [
    [/^-- PostgreSQL database/m, "is a dump of PostgreSQL, not of MySQL or MariaDB", otherKind],
    [
      /^-- Host: .* {4}Database: \r?$/m,
      "is a dump of all databases of a server (--all-databases)",
      "take a dump of the one, or load it with the mysql client",
    ],
    [/^<\?xml/, "is a dump in XML", "dump the database again, without --xml"],
    ...Object.entries(exporters).map(
      ([name, head]) => [head, `is an export of ${name}, which does not say whether it is complete`, byHand] as const,
    ),
  ],
  byHand: command,
};

/** phpMyAdmin writes the words before it in the language of its user. */
const serverVersion = /^-- (?:Server version\t|[^\n]*: (?=.*\n-- [^\n]*PHP))(\d\S*)/m;

/** Reads one dump of mysqldump or mariadb-dump, or an export of phpMyAdmin. */
export function dumpReader(): DumpReader<DumpContents> {
  /** Bytes of the INSERT so far. */
  let insert = 0;
  const scanner = new Scanner();
  const contents = new DumpContents();
  return readerOf({
    form: dumpForm,
    scanner,
    begin(head) {
      const text = head.toString();
      contents.serverVersion = serverVersion.exec(text)?.[1];
      contents.family = /mariadb/i.test(contents.serverVersion ?? text) ? "mariadb" : "mysql";
      contents.database = databaseIn(head);
    },
    take(piece) {
      if (piece.kind === "statement") readStatement(contents, piece);
      if (piece.kind === "rows") insert = (piece.first ? 0 : insert) + piece.bytes.length;
      contents.longest = Math.max(contents.longest, piece.kind === "rows" ? insert : piece.bytes.length);
    },
    end: (bytes) => Object.assign(contents, { bytes, rows: scanner.rows }),
  });
}

/** The database that was dumped, where the first lines of the dump say so. */
export function databaseIn(head: Buffer): string | undefined {
  const [, name, exported] =
    /^-- (?:Host: .*? {4}Database: (.+?)|[^`\n]*: `(.+)`)\r?$/m.exec(head.toString("utf8", 0, 4096)) ?? [];
  return name ?? exported?.replaceAll("``", "`");
}
