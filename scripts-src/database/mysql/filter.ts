/** Which statements of a dump a load leaves out or changes. Data passes untouched, whatever it looks like. */
import { definer, otherFrom } from "./contents.ts";
import { asBytes, quoteName } from "./names.ts";
import type { Piece } from "./statements.ts";
import { eitherName, quotedName, string, withoutDatabase } from "./words.ts";

export interface LoadRules {
  /** Name of the database that is loaded. */
  database: string;
  /** Name of the database that was dumped, where the dump says so. */
  dumped: string | undefined;
  noOwner: boolean;
  /** The target is MySQL 8 or later, which refuses modes of sql_mode that earlier ones and MariaDB have. */
  forgetModes: boolean;
  /** Events are created disabled: a copy must not act on the world. */
  asleep: boolean;
}

/** Dump programs write it around programs that are older than the present character set of the database. */
export const alterDatabase = new RegExp(`^(ALTER DATABASE )${eitherName}`);
const setsMode = /^(?:\/\*!\d+ )?SET\b[^;]*\bsql_mode\s*=\s*'/i;
/** What dump programs set for tables and rows. Without the other mode a date that was let in by it (2020-02-31) becomes 0000-00-00 silently. */
const firstMode = /(@OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO)(?=[,'])/;
const forgotten =
  /\b(?:NO_AUTO_CREATE_USER|NO_(?:FIELD|KEY|TABLE)_OPTIONS|DB2|MAXDB|MSSQL|MYSQL323|MYSQL40|ORACLE|POSTGRESQL),?/g;
/** What MariaDB writes with the database's name in front is a group of the patterns; texts and other names are not. */
const sequence = String.raw`\b((?:nextval|lastval|setval)\()(${quotedName})\.`;
const inTable = new RegExp(`${string}|${sequence}|${quotedName}`, "gi");
/** In a view also: tables behind FROM and JOIN, columns with their table, and functions. An alias can have the database's name. */
const inView = new RegExp(
  String.raw`${string}|${sequence}|${otherFrom}|(\b(?:from|join) \(*)(${quotedName})\.(?=${quotedName}(?!\.))|(${quotedName})\.(?=${quotedName}(?:\.${quotedName}|\())|${quotedName}`,
  "gi",
);
/** ARCHIVE refuses rows with a number below AUTO_INCREMENT. It finds the next number itself. */
const archiveNumber = /(?<=^\) ENGINE=ARCHIVE) AUTO_INCREMENT=\d+/m;
const viewBody = /^\/\*!50001 CREATE ALGORITHM=[^]*?\n\/\*!50001 VIEW /;
/** What is longer is data, or changed in its beginning alone. */
const headLength = 1 << 16;

/** How an event begins, up to its state; a quoted name in front of that may say anything. */
const event = String.raw`^((?:/\*!\d+ )?CREATE\b(?:[^'"\x60]|'[^']*'|\x60[^\x60]*\x60)*?\bEVENT\b(?:[^'"\x60]|'[^']*'|\x60[^\x60]*\x60)*?)ON COMPLETION `;
const eventState = new RegExp(String.raw`${event}(?:NOT )?PRESERVE (?:ENABLE|DISABLE(?: ON \w+)?)`);
const notPreserved = new RegExp(`${event}NOT PRESERVE `);

/** The event without NOT PRESERVE, which is the default. MySQL writes these words, and refuses them under sql_mode HIGH_NOT_PRECEDENCE. */
export const plainEvent = (statement: string): string => statement.replace(notPreserved, "$1");

/** SQL that is to be loaded for a piece; undefined when it is left out. Behind a complete one the client's delimiter is `;`. */
export function loadable(piece: Piece, rules: LoadRules): Buffer | undefined {
  if (piece.kind === "rows") return piece.last ? Buffer.concat([piece.bytes, newline]) : piece.bytes;
  // comments between statements would be sent to the server one by one
  if (piece.kind !== "statement" || piece.leftOut || piece.bytes.length === 0) return undefined;
  const head = piece.bytes.toString("latin1", 0, headLength);
  const text = piece.namesDatabase ? withoutDatabase(head, rules.dumped) : head;
  const changed = Buffer.from(change(text, rules), "latin1");
  const rest = piece.bytes.subarray(headLength);
  const { delimiter } = piece;
  return delimiter === ";"
    ? Buffer.concat([changed, rest, ending])
    : Buffer.concat([
        Buffer.from(`DELIMITER ${delimiter}\n`),
        changed,
        rest,
        Buffer.from(`${delimiter}\nDELIMITER ;\n`),
      ]);
}
const ending = Buffer.from(";\n");
const [newline, begin, commit] = [Buffer.from("\n"), Buffer.from("BEGIN;\n"), Buffer.from("\nCOMMIT;\n")];

/** The same for rows of a table with transactions: a long INSERT becomes several in one transaction. */
export function inParts({ bytes, first, last, cut, head }: Extract<Piece, { kind: "rows" }>): Buffer {
  const parts = last || cut === 0 ? [bytes] : [bytes.subarray(0, cut - 1), ending, head, bytes.subarray(cut)];
  return Buffer.concat([...(first && !last ? [begin] : []), ...parts, ...(last ? [first ? newline : commit] : [])]);
}

function change(head: string, { database, dumped, noOwner, forgetModes, asleep }: LoadRules): string {
  if (alterDatabase.test(head))
    return head.replace(alterDatabase, (_, words: string) => words + asBytes(quoteName(database)));
  if (dumped !== undefined && head.startsWith("CREATE TABLE"))
    return head
      .replace(archiveNumber, "")
      .replaceAll(inTable, (token, call?: string, name?: string) =>
        call !== undefined && name === asBytes(quoteName(dumped)) ? `${call}${asBytes(quoteName(database))}.` : token,
      );
  // MariaDB writes the database's name into a view that names other databases, too, or whose definer lacks the rights to its tables
  if (dumped !== undefined && dumped !== database && viewBody.test(head))
    head = head.replaceAll(
      inView,
      (token, call?: string, sequence?: string, from?: string, table?: string, other?: string) =>
        [sequence, table, other].includes(asBytes(quoteName(dumped))) ? (call ?? from ?? "") : token,
    );
  if (firstMode.test(head)) return head.replace(firstMode, "$1,ALLOW_INVALID_DATES");
  if (forgetModes && setsMode.test(head)) return head.replaceAll(forgotten, "").replaceAll(/,(?=')/g, "");
  const plain = asleep ? head.replace(eventState, "$1ON COMPLETION PRESERVE DISABLE") : plainEvent(head);
  return noOwner ? plain.replace(definer, "$1") : plain;
}
