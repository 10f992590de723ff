/**
 * What the database user may do, from SHOW GRANTS: with that, both servers list what holds in the session, also by the roles that are
 * active in it. The dump program's session begins with the same roles.
 */

import { besideName } from "./names.ts";

interface Line {
  revoked: boolean;
  words: ReadonlySet<string>;
  /** A pattern; undefined: all databases. */
  database: string | undefined;
  /** Undefined: all tables. */
  table: string | undefined;
}

const quoted = "`((?:[^`]|``)*)`";
const pattern = new RegExp(String.raw`^(GRANT|REVOKE) (.+) ON (?:\*|${quoted})\.(?:\*|${quoted}) (?:TO|FROM) `);

function readLine(line: string): Line[] {
  const [, verb, words = "", database, table] = pattern.exec(line) ?? [];
  if (verb === undefined) return [];
  return [
    {
      revoked: verb === "REVOKE",
      // without those of single columns: "SELECT (`a`, `b`)"
      words: new Set(
        words
          .replaceAll(/\w+ \([^)]*\)/g, "")
          .split(/, */)
          .map((word) => word.trim().toUpperCase()),
      ),
      database: database?.replaceAll("``", "`"),
      table: table?.replaceAll("``", "`"),
    },
  ];
}

export class Grants {
  readonly #text: readonly string[];
  readonly #lines: readonly Line[];
  readonly #database: string;
  /** The user has roles; those that are not active give no privileges. */
  readonly roles: boolean;
  /** Names of databases in GRANT are no patterns (partial_revokes): `_` and `%` mean themselves. */
  readonly literal: boolean;

  /** `text` are the lines of SHOW GRANTS, with names in backticks. */
  constructor(text: readonly string[], database: string, { literal = false } = {}) {
    this.#text = text;
    this.#lines = text.flatMap(readLine);
    this.#database = database;
    this.roles = text.some((line) => line.startsWith("GRANT ") && !/ ON /.test(line));
    this.literal = literal;
  }

  /** What the user may do in databases beside this one. */
  beside(): Grants {
    return new Grants(this.#text, besideName(this.#database, "restoring", new Date()), { literal: this.literal });
  }

  /** Whether the user has one of those privileges on the database itself. */
  has(...anyOf: string[]): boolean {
    return anyOf.some((word) => this.#on(this.#database, undefined, word));
  }

  /** Whether the user has one of them on all databases. */
  hasGlobally(...anyOf: string[]): boolean {
    return anyOf.some((word) => this.#on(undefined, undefined, word));
  }

  /** Whether the user has one of them on that table (of any database), by whatever grant. */
  hasOn(database: string, table: string, ...anyOf: string[]): boolean {
    return anyOf.some((word) => this.#on(database, table, word));
  }

  #on(where: string | undefined, table: string | undefined, word: string): boolean {
    const isAbout = (line: Line) =>
      (line.table === undefined || line.table === table) &&
      (line.database === undefined ||
        (where !== undefined && isLike(where, line.database, this.literal || line.revoked)));
    const about = this.#lines.filter(
      (line) => isAbout(line) && (line.words.has(word) || line.words.has("ALL PRIVILEGES")),
    );
    const taken = about.some((line) => line.revoked);
    return about.some((line) => !line.revoked && !(taken && line.database === undefined));
  }
}

export const grantsQuestion = "SHOW GLOBAL VARIABLES LIKE 'partial_revokes'; SHOW GRANTS";

/** `rows` are the answers to `grantsQuestion`, and others with more than one field. */
export const grantsFrom = (rows: readonly string[][], database: string): Grants =>
  new Grants(
    rows.flatMap((row) => (row.length === 1 ? row : [])),
    database,
    { literal: rows.some(([name, value]) => name === "partial_revokes" && value === "ON") },
  );

/** GRANT's names of databases are patterns: `%` and `_`, escaped by a backslash. */
function isLike(name: string, like: string, literal: boolean): boolean {
  if (literal) return name === like;
  const source = like.replaceAll(/\\?[\s\S]/g, (sign) => {
    if (sign === "%") return ".*";
    if (sign === "_") return ".";
    return RegExp.escape(sign.replace(/^\\/, "") || "\\");
  });
  return new RegExp(`^${source}$`, "s").test(name);
}
