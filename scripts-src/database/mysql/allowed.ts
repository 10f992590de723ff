/**
 * The statements that a dump may hold: those that mysqldump, mariadb-dump and phpMyAdmin write. Everything else is refused: a statement
 * that no dump program writes can reach files of the server's machine, accounts and other databases.
 */
import type { Failure } from "../../base/errors.ts";
import { cutOff, strange } from "../read-dump.ts";
import { isOneStatement } from "./blocks.ts";
import { unquote } from "./names.ts";
import { anyName, bare, comment, endsAlike, everywhere, type QuoteRules, readings, triggerOf } from "./words.ts";

/** A name that no other follows behind a point: it is in the database at hand. */
const name = String.raw`(?:\`\`|[\w$\x80-\xff]+)(?![\w$\x80-\xff]| ?\.)`;
const account = String.raw`(?:\`\`|''|[\w$]+)(?: ?@ ?(?:\`\`|''|[\w.$%-]+)|\(\))?`;
const optional = "(?: IF (?:NOT )?EXISTS)?";
const definer = `(?:DEFINER ?= ?${account} )?`;
const create = `^CREATE (?:OR REPLACE )?`;
const inDatabase = String.raw`(?:(?:\`\`|[\w$\x80-\xff]+) ?\. ?)?${name}`;
const assignment = [
  String.raw`@[\w$]+ ?:?= ?@@(?:(?:SESSION|GLOBAL|LOCAL) ?\. ?)?\w+`,
  String.raw`(?:@@)?(?:(?:SESSION|LOCAL) ?[. ] ?)?(?!PASSWORD\b)\w+ ?:?= ?(?:-?[\d.]+|''|\w+|@[\w$]+|@@(?:(?:SESSION|GLOBAL) ?\. ?)?\w+)`,
].join("|");
const number = String.raw`-?\d+`;

const patterns = (...sources: string[]): RegExp[] => sources.map((source) => new RegExp(source, "i"));

const loaded = patterns(
  String.raw`${create}(?:TEMPORARY )?TABLE${optional} ${name} ?\((?! ?LIKE\b)(?![\s\S]*\b(?:SELECT|TABLE)\b)`,
  String.raw`^DROP (?:TABLE|VIEW|SEQUENCE|TRIGGER|PROCEDURE|FUNCTION|EVENT|PACKAGE BODY|PACKAGE)${optional} ${name}(?: ?, ?${name})*$`,
  String.raw`^ALTER TABLE ${name}(?![\s\S]*\b(?:RENAME|EXCHANGE|IMPORT|DISCARD|SELECT|UNION|CONVERT(?! TO CHARACTER SET))\b)`,
  String.raw`^ALTER DATABASE \`\` (?:(?:DEFAULT )?(?:CHARACTER SET|CHARSET|COLLATE)[ =]+\w+ ?)+$`,
  `${create}SEQUENCE${optional} ${name}`,
  `^(?:DO|SELECT) SETVAL ?\\( ?${name} ?, ?${number}(?: ?, ?${number}){0,2} ?\\)$`,
  `^CREATE (?:UNIQUE |FULLTEXT |SPATIAL )?INDEX ${name} (?:USING \\w+ )?ON ${name} ?\\(`,
  String.raw`${create}(?:ALGORITHM ?= ?\w+ )?${definer}(?:SQL SECURITY \w+ )?(?:JSON RELATIONAL DUALITY )?VIEW${optional} ${name}`,
  String.raw`${create}${definer}(?:AGGREGATE )?(?:PROCEDURE|FUNCTION|PACKAGE BODY|PACKAGE)${optional} ${name} ?(?:\(|(?:AS|IS|RETURN|COMMENT|SQL)\b)`,
  // which database it names is looked at by those who know the name
  String.raw`${create}${definer}TRIGGER${optional} ${inDatabase} (?:BEFORE|AFTER) [A-Z ]+ ON ${inDatabase} FOR EACH ROW\b`,
  `${create}${definer}EVENT${optional} ${name} ON SCHEDULE\\b`,
  `^ANALYZE TABLE ${name} UPDATE HISTOGRAM ON [\\s\\S]* BUCKETS(?: (?:AUTO|MANUAL) UPDATE)?$`,
  `^TRUNCATE (?:TABLE )?${name}$`,
  `^SET (?:${assignment})(?: ?, ?(?:${assignment}))*$`,
  String.raw`^SET (?:NAMES|CHARACTER SET|CHARSET) (?:''|\w+)(?: COLLATE (?:''|\w+))?$`,
);

/** What is about more than the one database, its transactions and locks; and what Percona's mysqldump asks about RocksDB. */
const leftOut = patterns(
  `^(?:CREATE|DROP) (?:DATABASE|SCHEMA)${optional} ${name}(?: (?:DEFAULT )?(?:CHARACTER SET|CHARSET|COLLATE|ENCRYPTION|COMMENT)[ =]+(?:\\w+|''))*$`,
  `^USE ${name}$`,
  String.raw`^LOCK TABLES? [\s\S]+ (?:WRITE|READ(?: LOCAL)?)$`,
  "^UNLOCK TABLES?$",
  "^(?:COMMIT|BEGIN)(?: WORK)?$",
  "^START TRANSACTION(?: WITH CONSISTENT SNAPSHOT)?$",
  String.raw`^CHANGE (?:MASTER|REPLICATION SOURCE) TO\b`,
  "^(?:START|STOP) (?:SLAVE|REPLICA)$",
  String.raw`^SET (?![\s\S]*\b(?:SQL_MODE|CHARACTER_SET_CLIENT)\b)[\s\S]*\b(?:GTID_PURGED|SQL_LOG_BIN|GTID_SLAVE_POS|AUTOCOMMIT)\b`,
  String.raw`^SELECT COUNT\(\*\) INTO @is_rocksdb_supported FROM\b`,
  String.raw`^SET @\w*(?:rocksdb|bulk_load)\w* ?= ?IF ?\(`,
  String.raw`^(?:PREPARE s FROM @\w+|EXECUTE s|DEALLOCATE PREPARE s)$`,
);

/** What is left of a statement for a server that skips its first `/*!` comments, and then refuses the rest. */
const remainder =
  /^(?:DEFINER|SQL SECURITY|JSON RELATIONAL DUALITY|VIEW|TRIGGER|ALGORITHM|EVENT|PROCEDURE|FUNCTION)\b/i;

const qualified =
  /\bTRIGGER (?:IF NOT EXISTS )?(?:\S+ ?\. ?\S+ (?:BEFORE|AFTER)|\S+ (?:BEFORE|AFTER) [A-Z ]+ ON \S+ ?\.)/i;

/** Whether a statement creates a trigger and names a database with it. */
export const namesDatabase = (text: string, rules: QuoteRules): boolean =>
  /\bTRIGGER\b/i.test(text) &&
  readings(bare(text, rules)).some((reading) => /^CREATE\b/i.test(reading) && qualified.test(reading));

const oddKey = /^CREATE TABLE\b[^]*?^ *CONSTRAINT (`(?:[^`\n]|``)*`(?!`| FOREIGN | CHECK )[^\n]*?) FOREIGN KEY \(/m;

/** MariaDB writes a backtick in the name of a foreign key as it is: what follows is read as something else. Throws `Failure`. */
function refuseOddKey(text: string): void {
  const key = oddKey.exec(text)?.[1];
  if (key !== undefined)
    throw strange(
      `holds a foreign key with a backtick in its name, ${Buffer.from(key, "latin1").toString()}, that the server cannot read back`,
      "drop the key, and add it with another name (ALTER TABLE … DROP FOREIGN KEY, ADD CONSTRAINT)",
    );
}

const javascript = () =>
  strange(
    "holds a program in JavaScript, or a library of such: a restore cannot read these",
    "keep their source elsewhere, and back up without routines (DB_DUMP_OPTIONS=--skip-routines)",
  );

/** The failure for a statement without an end: it was cut off, or it holds JavaScript, whose marks ($$) only clients since MySQL 9 know. */
export function withoutEnd(text: string): Failure {
  refuseOddKey(text);
  return /^ {4}LANGUAGE JAVASCRIPT$/m.test(text) ? javascript() : cutOff();
}

/** Whether a load runs the statement or leaves it out. Throws `Failure` on one that no dump program writes; `text` is latin1. */
export function judge(text: string, rules: QuoteRules): "load" | "leave out" {
  refuseOddKey(text);
  const words = bare(text, rules);
  const [first = "", ...others] = readings(words);
  if (first === "") return "leave out";
  if (/(?:^|\n)[^\S\n]*delimiter\s/i.test(words) || words.includes("\0") || !endsAlike(text, words))
    throw refused(first);
  if (/^ALTER DATABASE/i.test(first) && !/^ALTER DATABASE [`"]/.test(text)) throw refused(first);
  const verdict = kindOf(first);
  if (verdict === "load" && /^SET\b/i.test(first) && !isPlainSet(words, others)) throw refused(first);
  for (const reading of others)
    if (reading !== "" && !remainder.test(reading) && kindOf(reading) !== verdict) throw refused(reading);
  return verdict;
}

/** Whether every server reads a SET as we do: it says how we read what follows. */
const isPlainSet = (words: string, others: readonly string[]): boolean =>
  !words.includes(comment) &&
  others.every((reading) => reading === "") &&
  (!/\b(?:SQL_MODE|CHARACTER_SET_CLIENT|NAMES|CHARACTER SET|CHARSET)\b/i.test(words) ||
    [...words.matchAll(/\/\*(M?)!(\d*)/g)].every(
      ([, mariadb, version]) => mariadb === "" && Number(version) <= everywhere,
    ));

function kindOf(reading: string): "load" | "leave out" {
  const found = (kind: RegExp) => kind.test(reading);
  if (!isOneStatement(reading)) throw refused(reading);
  if (leftOut.some(found)) return "leave out";
  if (loaded.some(found)) return "load";
  throw refused(reading);
}

/** Of the statement only its words are shown, not its data. */
const refused = (words: string) =>
  /^(?:CREATE|DROP) LIBRARY\b|\bLANGUAGE JAVASCRIPT\b/.test(words)
    ? javascript()
    : strange(
        `holds a statement that dump programs do not write: ${words.slice(0, 100)}`,
        "look at the file: a restore runs only what mysqldump, mariadb-dump and phpMyAdmin write",
      );

/** Stands for every table. */
export const everyTable = "*";

const remote = /\bUNION ?=|\bENGINE ?= ?(?:MRG_\w+|MERGE|FEDERATEDX?|SPIDER|CONNECT|OQGRAPH)\b/i;

const tableName = new RegExp(String.raw`\bTABLE\s+(?:(?:/\*!\d+\s*)?IF NOT EXISTS(?:\s*\*/)?\s*)?(${anyName})`, "i");

/**
 * The table that must get no rows after this statement, because they would be written elsewhere: a view or a MERGE table can stand for a
 * table of another database, and a trigger acts on every row. Dump programs write rows before triggers and views. `text` is latin1, and a
 * statement that dump programs write.
 */
export function divertedTable(text: string, rules: QuoteRules): string | undefined {
  if (!/\bCREATE\b/i.test(text)) return undefined;
  const [words = ""] = readings(bare(text, rules));
  const kind = /^CREATE [^(;]*?\b(VIEW|TRIGGER|TABLE|PROCEDURE|FUNCTION|EVENT|PACKAGE|SEQUENCE)\b/i
    .exec(words)?.[1]
    ?.toUpperCase();
  if (kind === "VIEW" && /\b(?:FROM|JOIN)\b/i.test(words)) return everyTable;
  if (kind === "TRIGGER") return triggerOf(text).table ?? everyTable;
  if (kind !== "TABLE" || !remote.test(words)) return undefined;
  const name = tableName.exec(text)?.[1];
  return name === undefined ? everyTable : unquote(name);
}

export const tooLate = (table: string) =>
  strange(
    `holds rows of ${table} behind what would lead them elsewhere (a view, a trigger, a MERGE or remote table)`,
    "dump programs write rows before triggers and views: look at the file before you restore it",
  );
