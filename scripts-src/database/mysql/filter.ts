/** Which statements of a dump a load leaves out or changes. Data passes untouched, whatever it looks like. */
import { definer } from "./contents.ts";
import type { Piece } from "./statements.ts";
import { withoutDatabase } from "./triggers.ts";

export interface LoadRules {
  /** Name of the target. */
  database: string;
  /** Name of the database that was dumped, where the dump says so. */
  dumped: string | undefined;
  noOwner: boolean;
  /** The target is MySQL 8 or later, which refuses modes of sql_mode that earlier ones and MariaDB have. */
  forgetModes: boolean;
}

const alterDatabase = /^(ALTER DATABASE )(?:`(?:[^`]|``)*`|"(?:[^"]|"")*")/;
const setsMode = /^(?:\/\*!\d+ )?SET\b[^;]*\bsql_mode\s*=\s*'/i;
const forgotten =
  /\b(?:NO_AUTO_CREATE_USER|NO_(?:FIELD|KEY|TABLE)_OPTIONS|DB2|MAXDB|MSSQL|MYSQL323|MYSQL40|ORACLE|POSTGRESQL),?/g;
/** MariaDB writes the database's name with the sequence that a column takes its default from. */
const ownSequence = /\b(?:nextval|lastval|setval)\((`(?:[^`]|``)*`)(?=\.)/gi;
/** What is longer is data, or changed in its beginning alone. */
const headLength = 1 << 16;

/** The bytes of a piece as they are to be loaded; undefined when it is left out. */
export function loadable(piece: Piece, rules: LoadRules): Uint8Array | undefined {
  if (piece.kind === "rows") return piece.last ? Buffer.concat([piece.bytes, Buffer.from("\n")]) : piece.bytes;
  // a line of its own, whatever came before
  if (piece.kind === "delimiter") return Buffer.concat([Buffer.from("\n"), piece.bytes]);
  // comments between statements would be sent to the server one by one
  if (piece.kind === "between" || piece.bytes.length === 0) return undefined;
  if (piece.leftOut) return undefined;
  const head = piece.bytes.toString("latin1", 0, headLength);
  const changed = change(piece.namesDatabase ? withoutDatabase(head, rules.dumped) : head, rules);
  const rest = piece.bytes.subarray(headLength);
  const ending = Buffer.from(`${piece.delimiter}\n`, "latin1");
  return Buffer.concat([
    changed === head ? piece.bytes.subarray(0, headLength) : Buffer.from(changed, "latin1"),
    rest,
    ending,
  ]);
}

/** A name as it stands in a statement that was read as latin1. */
const quoted = (name: string): string => Buffer.from(`\`${name.replaceAll("`", "``")}\``).toString("latin1");

function change(head: string, { database, dumped, noOwner, forgetModes }: LoadRules): string {
  if (alterDatabase.test(head)) return head.replace(alterDatabase, (_, words: string) => words + quoted(database));
  if (dumped !== undefined && head.startsWith("CREATE TABLE"))
    return head.replaceAll(ownSequence, (call, name: string) =>
      name === quoted(dumped) ? call.replace(name, () => quoted(database)) : call,
    );
  if (forgetModes && setsMode.test(head)) return head.replaceAll(forgotten, "").replaceAll(/,(?=')/g, "");
  return noOwner ? head.replace(definer, "$1") : head;
}
