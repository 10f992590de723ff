/** DB_NAMES: names of databases separated by commas; `*` and `?` match, `!` in front leaves out, `\` takes the meaning from what follows. Pure. */

export interface NamePattern {
  leavesOut: boolean;
  /** The name itself, where nothing in it matches. */
  name: string | undefined;
  matches: RegExp;
}

/** Throws an `Error` that says what is wrong. */
export function parsePatterns(text: string): NamePattern[] {
  const patterns: NamePattern[] = [];
  for (const [part] of text.matchAll(/(?:\\.|[^,\\]|\\$)+/gsu)) patterns.push(...parseOne(part));
  if (!patterns.some(({ leavesOut }) => !leavesOut)) throw new Error("names no database: * in front means all others");
  return patterns;
}

function parseOne(part: string): NamePattern[] {
  // a space that a backslash stands before belongs to the name
  const [, not, trimmed = ""] = /^\s*(!?)\s*(.*?(?:\\\s)?)\s*$/su.exec(part) ?? [];
  if (trimmed === "" && !not) return [];
  const signs = [...trimmed.matchAll(/\\(.)|(.)/gsu)];
  if (trimmed === "" || signs.at(-1)?.[0] === "\\")
    throw new Error(trimmed === "" ? "a ! stands without a name" : "it ends in a backslash");
  const isPattern = signs.some(([, , sign]) => sign === "*" || sign === "?");
  const source = signs.map(([, literal, sign = ""]) => {
    if (literal === undefined && (sign === "*" || sign === "?")) return sign === "*" ? ".*" : ".";
    return RegExp.escape(literal ?? sign);
  });
  const name = isPattern ? undefined : signs.map(([, literal, sign]) => literal ?? sign).join("");
  return [{ leavesOut: not === "!", name, matches: new RegExp(`^${source.join("")}$`, "su") }];
}

/** Databases that restores and proofs of ours make beside another: `app_before_2026-01-31_03-00-00`; MySQL, MariaDB: `…_2026_01_31_03_00_00`. */
const isOurs = (name: string) =>
  /_(?:before|restor(?:ing|ed)|verify)_\d{4}([-_])\d\d\1\d\d_\d\d\1\d\d\1\d\d$/.test(name);

export interface ChosenName {
  name: string;
  /** It was named, not matched by a pattern: then it must be there. */
  named: boolean;
}

/** The databases that are wanted, of those that a pattern may match; what is named is wanted whether it is among them or not. */
export function chooseNames(patterns: readonly NamePattern[], matchable: readonly string[]): ChosenName[] {
  const isLeftOut = (name: string) => patterns.some(({ leavesOut, matches }) => leavesOut && matches.test(name));
  const named = new Set(patterns.flatMap(({ leavesOut, name }) => (leavesOut || name === undefined ? [] : [name])));
  const matched = matchable.filter(
    (name) => !isOurs(name) && !named.has(name) && patterns.some((one) => !one.leavesOut && one.matches.test(name)),
  );
  return [
    ...[...named].map((name) => ({ name, named: true })),
    ...matched.map((name) => ({ name, named: false })),
  ].filter(({ name }) => !isLeftOut(name));
}

interface VerifyQuery {
  patterns: NamePattern[];
  query: string;
}

/** The pattern before a query. No query begins like this. */
const pattern = /^[ \t]*((?:\\.|[^\s:\\])+):(?=\s)/mu;

/**
 * VERIFY_QUERY: one query, or one for each of several databases in lines `PATTERN: QUERY`, with patterns as in DB_NAMES. A query may go on
 * in further lines. Throws an `Error` that says what is wrong with a pattern.
 */
export function parseQueries(text: string): VerifyQuery[] {
  const [before = "", ...entries] = text.trim().split(pattern);
  if (before !== "") return [{ patterns: parsePatterns("*"), query: text.trim() }];
  const queries: VerifyQuery[] = [];
  for (let at = 0; at < entries.length; at += 2)
    queries.push({ patterns: parsePatterns(entries[at] ?? ""), query: entries[at + 1]?.trim() ?? "" });
  return queries;
}

/** The first whose pattern matches. */
export const queryFor = (text: string, database: string): string | undefined =>
  parseQueries(text).find(({ patterns }) => chooseNames(patterns, [database]).some(({ name }) => name === database))
    ?.query;
