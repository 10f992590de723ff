/** What both ways of loading a dump share: over several sessions into a new database, or in one transaction into the present one. */
import { type DumpContents, qualified, copyTable } from "./contents.ts";
import type { Connection } from "./connection.ts";
import { LoadFilter, type LoadRules } from "./filter.ts";
import { messageOf } from "../../base/errors.ts";
import { statementCheck } from "./kinds.ts";
import { type Piece, splitStatements } from "./statements.ts";

export interface Loading {
  /** The way to the database that is filled. */
  connection: Connection;
  contents: DumpContents;
  rules: LoadRules;
  /** Statements that come before the dump's. */
  prelude: readonly string[];
}

/** The rows that each table must have afterwards: tables of extensions that stay keep their own. */
export const expectedRows = ({ contents, rules }: Loading): ReadonlyMap<string, number> =>
  new Map([...contents.rows].filter(([table]) => !rules.keptRelations.has(table)));

/** pg_dump leaves these to the server, a login or a database may have others: NULL in an array is a text then, for example. */
export const asDumped = ["SET array_nulls = on;", "SET quote_all_identifiers = off;"];

/**
 * Bytes of SQL after which what was read is given back. Left alone, the collector lets what a fast server has taken pile up: 180 MB
 * at 1 GB of SQL, where 130 are enough.
 */
const collectAfter = 32 << 20;

/** The pieces of a dump that are loaded. Throws `Failure` on what no pg_dump writes. */
export async function* piecesToLoad(sql: AsyncIterable<Uint8Array>, filter: LoadFilter): AsyncGenerator<Piece> {
  const check = statementCheck();
  let sinceCollected = 0;
  for await (const piece of splitStatements(sql)) {
    check(piece);
    sinceCollected += piece.bytes.length;
    if (sinceCollected > collectAfter) {
      Bun.gc(true);
      sinceCollected = 0;
    }
    const loaded = filter.piece(piece);
    if (loaded) yield loaded;
  }
}

/**
 * Whether a check has refused a row. A function that a check calls can look into a table whose rows come later in the dump, which has its
 * tables in alphabetical order: then all rows of the refused table are loaded once more, behind those of the others.
 */
export const isChecked = (error: unknown): boolean =>
  /violates check constraint|CONTEXT: [^]*function/.test(messageOf(error));

/** Each COPY into one of the tables, with its rows, from another reading of the dump. */
export async function* rowsAgain(
  sql: AsyncIterable<Uint8Array>,
  rules: LoadRules,
  tables: ReadonlySet<string>,
): AsyncGenerator<Piece> {
  let wanted = false;
  for await (const piece of piecesToLoad(sql, new LoadFilter(rules))) {
    if (piece.kind === "statement") wanted = tables.has(copyTable(piece.text) ?? "");
    if (wanted && (piece.kind === "statement" || (piece.kind === "data" && piece.rows))) yield piece;
  }
}

/** Behind the dump, whose names may be in another encoding, come statements of ours. */
export const ourEncoding = "SET client_encoding = 'UTF8';";

const refresh = new RegExp(String.raw`^REFRESH MATERIALIZED VIEW ${qualified}`);

/** The view that a statement refreshes; undefined for every other statement. */
export const refreshedView = (statement: string): string | undefined => refresh.exec(statement)?.[1];

export const viewWithoutRows = (view: string | undefined, why: string | undefined): string =>
  `materialized view ${view} has no rows, its REFRESH failed: ${why}`;
