/** What a dump of mysqldump or mariadb-dump says, in a form in which the dumps of two equal databases are equal. */
import { type Comparing, digestOf, type Fingerprint, type ReadingOptions } from "../fingerprint.ts";
import { piecesOf } from "../read-dump.ts";
import type { RowSink } from "../row-digest.ts";
import { databaseIn, definer } from "./contents.ts";
import { alterDatabase } from "./filter.ts";
import { quoteName } from "./names.ts";
import { Scanner } from "./statements.ts";

export const comparing: Comparing = {
  read,
  series: /\d+\.\d+/,
  loosen,
  respellsRows: true,
  objectOf,
};

async function read(
  sql: AsyncIterable<Uint8Array>,
  { first, sinkOf = () => undefined, noOwner = false, loosely = false }: ReadingOptions = {},
): Promise<Fingerprint> {
  const print: Fingerprint = { tables: new Map(), values: new Map(), statements: new Map() };
  const scanner = new Scanner((table) => {
    const sink = sinkOf(table) ?? digestOf(print.tables, table, []);
    return loosely ? withPlainNumbers(sink) : sink;
  });
  for await (const piece of piecesOf(scanner, sql)) {
    if (piece.kind === "between") print.database ??= databaseIn(piece.bytes);
    if (piece.kind !== "statement" || piece.leftOut) continue;
    const text = piece.bytes.toString();
    if (aroundRows.test(text)) continue;
    const owned = (noOwner ? text.replace(definer, "$1") : text).replace(alterDatabase, "$1");
    const neutral = withoutName(withoutName(asleep(owned), print.database), first?.database);
    print.statements.set(neutral, (print.statements.get(neutral) ?? 0) + 1);
  }
  return print;
}

/** A number in a JSON array or object, between the spaces that MySQL writes. */
const jsonNumber = /(?<=[:,] |\[)-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?=[,}\]])/g;
/** How many digits of a decimal number a DOUBLE always keeps. */
const doubleDigits = 15;

/** MySQL's JSON can hold a DECIMAL, 1.10. A dump has no word for its type, so that it comes back as a DOUBLE, 1.1. */
function withPlainNumbers(sink: RowSink): RowSink {
  const plain = (number: string) => {
    const digits = number
      .replace(/e.*/, "")
      .replaceAll(/^-?0*\.?0*|\./g, "")
      .replace(/0+$/, "");
    return digits.length > doubleDigits ? number : String(Number(number));
  };
  return {
    add(bytes, from, to) {
      const text = Buffer.from(bytes.subarray(from, to)).toString("latin1");
      const row = Buffer.from(text.replaceAll(jsonNumber, plain), "latin1");
      sink.add(row, 0, row.length);
    },
  };
}

/** Stands around the rows of a table, also where there are none. The copy of a table whose rows were left out has it. */
const aroundRows = /^\/\*!40000 ALTER TABLE `(?:[^`]|``)*` (?:DISABLE|ENABLE) KEYS \*\/$/;

/**
 * Without the name of the database in front of other names: servers write it in places, authors too. A copy has a name of its own and
 * may hold the original's (which can be a table's or an alias as well), so there both are taken out.
 */
function withoutName(text: string, database: string | undefined): string {
  return database === undefined ? text : text.replaceAll(`${quoteName(database)}.`, "");
}

/** A copy's events are kept from running: whether and how long they run is not compared. */
function asleep(text: string): string {
  if (!/^(?:\/\*!\d+ )?CREATE\b[^;]{0,300}?\bEVENT `/.test(text)) return text;
  return text
    .replace(/\bON COMPLETION (?:NOT )?PRESERVE\b ?/, "")
    .replace(/\b(?:ENABLE|DISABLE(?: ON (?:SLAVE|REPLICA))?)\b ?(?=COMMENT|DO)/, "");
}

/** MariaDB writes the options of a table that its engine does not know into a comment, which a load ignores. */
const ignoredOptions = /(?<=^\) ENGINE=.*)\/\*(?!!)[^*]*\*\//gm;
/** A key in a table's definition. */
const key = /^ +(?:UNIQUE |FULLTEXT |SPATIAL )?KEY .*?,?$/gm;

/**
 * MySQL remembers whether a column was declared with its character set or with the collation alone, which implies it. CREATE TABLE puts
 * keys in an order of its own (unique ones without NULL first); ALTER TABLE leaves them where they are. It also takes a default away from
 * a column that may be NULL, which no CREATE TABLE can say.
 */
function loosen(statement: string): string {
  const keys = statement.match(key) ?? [];
  const sorted = [statement.replaceAll(key, ""), ...keys.map((line) => line.replace(/,$/, "")).toSorted()].join("\n");
  return sorted
    .replaceAll(ignoredOptions, "")
    .replaceAll(/ CHARACTER SET \w+(?= COLLATE)| DEFAULT NULL\b/g, "")
    .replaceAll(/[()\s]+|,$/gm, "");
}

const made =
  /^(?:\/\*!\d+ )?CREATE\b(?:[^`(]*?)\b(TABLE|VIEW|SEQUENCE|PROCEDURE|FUNCTION|TRIGGER|EVENT|PACKAGE BODY|PACKAGE) (?:IF NOT EXISTS )?(`(?:[^`]|``)*`)/;

function objectOf(statement: string): string | undefined {
  const [, kind, name] = made.exec(statement.replace(definer, "$1")) ?? [];
  return kind && `${kind} ${name}`;
}
