/**
 * Which statements pg_dump writes. A restore runs no other: what is not on the list could end our transaction, or reach beyond the
 * database: the server's files and programs, its roles, other databases. (Inside of functions, views and defaults SQL can do all
 * that the login may do: a superuser is warned.)
 */
import { strange } from "../read-dump.ts";
import { copyTable } from "./contents.ts";
import type { Piece } from "./statements.ts";

const text = String.raw`E?'(?:[^']|'')*'`;
/** Not of one database. */
const shared = "ROLE|USER(?! MAPPING )|GROUP|DATABASE|TABLESPACE|SYSTEM|PARAMETER";

/** pg_dump 9.6 to 18 write capitals and single spaces, and no comment in a statement. */
const written: readonly RegExp[] = [
  new RegExp(String.raw`^(?:CREATE|ALTER|DROP|COMMENT ON) (?!(?:${shared})\b)[A-Z]`),
  /^(?:REFRESH MATERIALIZED VIEW|SECURITY LABEL (?:FOR .+? )?ON|INSERT INTO) /,
  new RegExp(String.raw`^(?:GRANT|REVOKE) [A-Z][^]*? ON (?!(?:${shared})\b)`),
  /^SET (?:[a-z_]+ = |SESSION AUTHORIZATION )/,
  /^RESET SESSION AUTHORIZATION;$/,
  /^SELECT pg_catalog\.lo(?:write\(\d+, E?'\\{1,2}x[0-9a-f]*'|_close\(\d+|_open\('?\d+'?, -?\d+|_(?:create|unlink)\('?\d+'?)\);$/,
  /^SELECT pg_catalog\.lo_unlink\(oid\) FROM pg_catalog\.pg_largeobject_metadata WHERE oid = '\d+';$/,
  new RegExp(String.raw`^SELECT pg_catalog\.set_config\('search_path', ${text}, false\);$`),
  new RegExp(String.raw`^SELECT pg_catalog\.setval\(${text}, -?\d+, (?:true|false)\);$`),
  /^SELECT \* FROM pg_catalog\.pg_restore_(?:relation|attribute|extended)_stats\(\s/,
  /^;$/,
];

/** Of a statement in several parts only the beginning is known. */
const long =
  /^(?:CREATE|ALTER|COMMENT ON|INSERT INTO|SECURITY LABEL|SELECT \* FROM pg_catalog\.pg_restore_\w+_stats\()/;

/** Statements that people do find in files, and what they would do. */
const reasons: readonly (readonly [RegExp, string])[] = [
  [
    /^(BEGIN|START|COMMIT|END|ROLLBACK|ABORT|SAVEPOINT|RELEASE|PREPARE|SET\s+(SESSION\s+CHARACTERISTICS|TRANSACTION|LOCAL))\b/i,
    "which would begin or end a transaction in the middle of the restore",
  ],
  [
    /^(COPY|LOAD)\b|\blo_(im|ex)port\b|\bpg_read_|\bpg_ls_/i,
    "which can reach files and programs of the database server",
  ],
  [new RegExp(String.raw`^\w+\s+(ON\s+)?(${shared})\b`, "i"), "which changes more than this database"],
];

/** As pg_dump --create begins. */
const ofDatabase = /^(?:CREATE|DROP) DATABASE /;

/** Checks the pieces of one dump, in order: throws a `Failure` at a statement that pg_dump does not write. */
export function statementCheck(): (piece: Piece) => void {
  // pg_dump writes a transaction around the contents of large objects
  let inTransaction = false;
  return (piece) => {
    if (piece.kind === "data") {
      const begins = piece.rows === undefined ? piece.begins : undefined;
      if (begins !== undefined && !(long.test(begins) && isWritten(begins))) refuse(begins);
      return;
    }
    if (piece.kind !== "statement") return;
    const { text } = piece;
    if (text === (inTransaction ? "COMMIT;" : "BEGIN;")) inTransaction = !inTransaction;
    else if (!isWritten(text)) refuse(text);
    else if (inTransaction && !/^(SELECT pg_catalog\.lo|ALTER LARGE)/.test(text))
      refuse(text, "after a BEGIN, where pg_dump writes large objects alone");
  };
}

const isWritten = (text: string): boolean =>
  written.some((pattern) => pattern.test(text)) || copyTable(text) !== undefined;

function refuse(text: string, reason = "which pg_dump does not write"): never {
  const start = text.slice(0, 60).replaceAll(/\s+/g, " ");
  const why = reasons.find(([pattern]) => pattern.test(text))?.[1] ?? reason;
  const hint = ofDatabase.test(text)
    ? "a dump made with pg_dump --create: psql -d postgres -f FILE creates the database that it names and fills it; a restore takes dumps made without --create"
    : "a restore loads what pg_dump writes: look at the file; to load other SQL by hand: psql -f FILE";
  throw strange(`holds the statement ${start}${text.length > 60 ? " …" : ""}, ${why}`, hint);
}
