/** What a dump of mysqldump or mariadb-dump says, in a form in which the dumps of two equal databases are equal. */
import {
  type Comparing,
  digestOf,
  type Fingerprint,
  type FingerprintReader,
  type ReadingOptions,
} from "../fingerprint.ts";
import { definer } from "./contents.ts";
import { quoteName } from "./names.ts";
import { databaseIn } from "./reader.ts";
import { Scanner } from "./statements.ts";

export const comparing: Comparing = {
  reader: (options = {}) => new Reader(options),
  loosen,
  objectOf,
  isOfCopy: () => false,
};

class Reader implements FingerprintReader {
  readonly #scanner: Scanner;
  readonly #print: Fingerprint = { tables: new Map(), values: new Map(), statements: new Map() };
  readonly #original: string | undefined;
  readonly #noOwner: boolean;

  constructor({ first, sinkOf = () => undefined, noOwner = false }: ReadingOptions) {
    this.#original = first?.database;
    this.#noOwner = noOwner;
    this.#scanner = new Scanner((table) => sinkOf(table) ?? digestOf(this.#print.tables, table, []));
  }

  add(chunk: Uint8Array): void {
    this.#scanner.add(chunk);
    this.#read(false);
  }

  end(): Fingerprint {
    this.#read(true);
    return this.#print;
  }

  #read(last: boolean): void {
    for (const piece of this.#scanner.pieces(last)) {
      if (piece.kind === "between") this.#print.database ??= databaseIn(piece.bytes);
      if (piece.kind === "statement" && !piece.leftOut) this.#statement(piece.bytes.toString());
    }
  }

  #statement(text: string): void {
    const { statements } = this.#print;
    const owned = this.#noOwner ? text.replace(definer, "$1") : text;
    const neutral = withoutName(withoutName(asleep(owned), this.#print.database), this.#original);
    statements.set(neutral, (statements.get(neutral) ?? 0) + 1);
  }
}

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

/** MySQL remembers whether a column was declared with its character set or with the collation alone, which implies it. */
function loosen(statement: string): string {
  return statement.replaceAll(/ CHARACTER SET \w+(?= COLLATE)/g, "").replaceAll(/[()\s]+/g, "");
}

const made =
  /^(?:\/\*!\d+ )?CREATE\b(?:[^`(]*?)\b(TABLE|VIEW|SEQUENCE|PROCEDURE|FUNCTION|TRIGGER|EVENT|PACKAGE BODY|PACKAGE) (?:IF NOT EXISTS )?(`(?:[^`]|``)*`)/;

function objectOf(statement: string): string | undefined {
  const [, kind, name] = made.exec(statement.replace(definer, "$1")) ?? [];
  return kind && `${kind} ${name}`;
}
