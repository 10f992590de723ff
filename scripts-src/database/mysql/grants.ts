/**
 * What the database user may do, from SHOW GRANTS: with that, both servers list what holds in the session, also by the roles that are
 * active in it. The dump program's session begins with the same roles.
 */

export interface Grants {
  /** Whether the user has one of those privileges on the whole database. */
  has(...anyOf: string[]): boolean;
  /** Whether the user has one of them on the whole server. */
  hasGlobally(...anyOf: string[]): boolean;
  /** Whether the user has one of them on that table (of any database), by whatever grant. */
  hasOn(database: string, table: string, ...anyOf: string[]): boolean;
  /** The user has roles; those that are not active give no privileges. */
  readonly roles: boolean;
  /** Names of databases in GRANT are no patterns (partial_revokes). */
  readonly literal: boolean;
}

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

/** `text` are the lines of SHOW GRANTS, with names in backticks. `literal`: `_` and `%` in names of databases mean themselves. */
export function readGrants(text: readonly string[], database: string, { literal = false } = {}): Grants {
  const lines = text.flatMap(readLine);
  const holds = ({ words }: Line, word: string) => words.has(word) || words.has("ALL PRIVILEGES");
  const on = (where: string | undefined, table: string | undefined, word: string) => {
    const about = lines.filter(
      (line) =>
        (line.table === undefined || line.table === table) &&
        (line.database === undefined || (where !== undefined && isLike(where, line.database, literal || line.revoked))),
    );
    const taken = about.some((line) => line.revoked && holds(line, word));
    return about.some((line) => !line.revoked && holds(line, word) && !(taken && line.database === undefined));
  };
  return {
    has: (...anyOf) => anyOf.some((word) => on(database, undefined, word)),
    hasGlobally: (...anyOf) => anyOf.some((word) => on(undefined, undefined, word)),
    hasOn: (where, table, ...anyOf) => anyOf.some((word) => on(where, table, word)),
    literal,
    roles: text.some((line) => line.startsWith("GRANT ") && !/ ON /.test(line)),
  };
}

export const grantsQuestion = "SHOW GLOBAL VARIABLES LIKE 'partial_revokes'; SHOW GRANTS";

/** `rows` are the answers to `grantsQuestion`, and others with more than one field. */
export const grantsFrom = (rows: readonly string[][], database: string): Grants =>
  readGrants(
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
