/** VERIFY_QUERY: one query, or one for each of several databases in lines `PATTERN: QUERY`, with patterns as in DB_NAMES. Pure. */
import { chooseNames, type NamePattern, parsePatterns } from "./name-patterns.ts";

interface VerifyQuery {
  patterns: NamePattern[];
  query: string;
}

/** What stands before a query: no query begins so. */
const pattern = /^[ \t]*((?:\\.|[^\s:\\])+):(?=\s)/mu;

/** A query may go on in further lines. Throws an `Error` that says what is wrong with a pattern. */
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
