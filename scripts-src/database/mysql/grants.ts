/** What the database user may do, from SHOW GRANTS. */

export interface Grants {
  /**
   * Whether the user has that privilege on the whole database. A role may hold more than is shown: then true.
   */
  has(...anyOf: string[]): boolean;
  /** The same for the whole server. */
  hasGlobally(...anyOf: string[]): boolean;
}

const quoted = "`((?:[^`]|``)*)`";
const grantOn = new RegExp(String.raw`^GRANT (.+) ON (?:\*|${quoted})\.(\*|${quoted}) TO `);

/** `lines` are those of SHOW GRANTS, with names in backticks. */
export function readGrants(lines: readonly string[], database: string): Grants {
  const everywhere = new Set<string>();
  const here = new Set<string>();
  let roles = false;
  for (const line of lines) {
    const [, words = "", pattern, table] = grantOn.exec(line) ?? [];
    if (words === "") roles ||= line.startsWith("GRANT ");
    else if (table === "*" && (pattern === undefined || isLike(database, pattern.replaceAll("``", "`"))))
      for (const word of words.split(", ")) (pattern === undefined ? everywhere : here).add(word.toUpperCase());
  }
  const hasGlobally = (...anyOf: string[]) =>
    roles || everywhere.has("ALL PRIVILEGES") || anyOf.some((word) => everywhere.has(word));
  return {
    hasGlobally,
    has: (...anyOf) => hasGlobally(...anyOf) || here.has("ALL PRIVILEGES") || anyOf.some((word) => here.has(word)),
  };
}

/** GRANT's names of databases are patterns: `%` and `_`, escaped by a backslash. */
function isLike(name: string, pattern: string): boolean {
  const source = pattern.replaceAll(/\\?[\s\S]/g, (sign) => {
    if (sign === "%") return ".*";
    if (sign === "_") return ".";
    return RegExp.escape(sign.replace(/^\\/, "") || "\\");
  });
  return new RegExp(`^${source}$`, "s").test(name);
}
