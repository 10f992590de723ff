/** sql_mode, as far as it changes where a string ends. */

export interface QuoteRules {
  /** A backslash in a string escapes (no NO_BACKSLASH_ESCAPES). */
  readonly backslashes: boolean;
  /** Double quotes hold names (ANSI_QUOTES, or a mode that includes it). */
  readonly ansiQuotes: boolean;
  /** Rules that a dump has put aside in a variable, by its name in lower case. */
  readonly saved: ReadonlyMap<string, Omit<QuoteRules, "saved">>;
}

const assignment = /@(\w+)\s*=\s*@@(?:session\.)?sql_mode|\bsql_mode\s*=\s*(?:'([^']*)'|"([^"]*)"|@(\w+))/gi;

/** The rules after a statement; only SET changes them. */
export function changeModes(rules: QuoteRules, statement: Buffer): QuoteRules {
  if (statement.length > 2_000 || !/^(?:\/\*!\d* *)?SET\s/i.test(statement.toString("latin1", 0, 20))) return rules;
  let { backslashes, ansiQuotes } = rules;
  const saved = new Map(rules.saved);
  for (const [, into, single, double, from] of statement.toString("latin1").matchAll(assignment)) {
    const modes = (single ?? double)?.toUpperCase().split(",");
    const earlier = saved.get(from?.toLowerCase() ?? "");
    if (into !== undefined) saved.set(into.toLowerCase(), { backslashes, ansiQuotes });
    else if (modes) {
      backslashes = !modes.includes("NO_BACKSLASH_ESCAPES");
      ansiQuotes = modes.some((mode) => ansi.has(mode));
    } else {
      backslashes = earlier?.backslashes ?? true;
      ansiQuotes = earlier?.ansiQuotes ?? false;
    }
  }
  return { backslashes, ansiQuotes, saved };
}

const ansi = new Set(["ANSI_QUOTES", "ANSI", "DB2", "MAXDB", "MSSQL", "ORACLE", "POSTGRESQL"]);
