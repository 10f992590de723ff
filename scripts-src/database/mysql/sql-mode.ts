/** What a SET changes in how the next statements are read: sql_mode and the character set, as far as they say where a string ends. */
import { strange } from "../read-dump.ts";

export interface QuoteRules {
  /** A backslash in a string escapes (no NO_BACKSLASH_ESCAPES). */
  readonly backslashes: boolean;
  /** Double quotes hold names (ANSI_QUOTES, or a mode that includes it). */
  readonly ansiQuotes: boolean;
  /** A backslash or a quote mark can be half a character: the client programs do not know that, the server does. */
  readonly halves: boolean;
  /** What a dump has put aside in a variable: its name in lower case, what it was, and the rules then. */
  readonly saved: ReadonlyMap<string, { what: string; rules: Omit<QuoteRules, "saved"> }>;
}

export const firstRules: QuoteRules = { backslashes: true, ansiQuotes: false, halves: false, saved: new Map() };

const assignment =
  /@([\w$]+)\s*:?=\s*@@(?:session\s*\.\s*)?(\w+)|\b(sql_mode|character_set_client)\s*:?=\s*(?:'([^']*)'|"([^"]*)"|@([\w$]+)|(\S+?)(?=[\s,*]|$))|\b(NAMES|CHARACTER SET|CHARSET)\s+['"]?(\w+)/gi;

/** Character sets in which the second byte of a character can be that of a backslash or a backtick. */
const halvedSets = /^(?:big5|cp932|gbk|gb18030|sjis)$/i;

/** The rules after a statement that is loaded; only SET changes them. Throws `Failure` where they are not certain. */
export function changeModes(rules: QuoteRules, text: string): QuoteRules {
  if (!/^(?:\/\*!\d* *)?SET\s/i.test(text)) return rules;
  let { backslashes, ansiQuotes, halves } = rules;
  const saved = new Map(rules.saved);
  for (const found of text.matchAll(assignment)) {
    const [, into, what, target = "", single, double, from, word, , names] = found;
    const now = { backslashes, ansiQuotes, halves };
    const value = single ?? double;
    const earlier = saved.get(from?.toLowerCase() ?? "");
    if (into !== undefined) saved.set(into.toLowerCase(), { what: what?.toLowerCase() ?? "", rules: now });
    else if (names !== undefined) halves = halvedSets.test(names);
    else if (from !== undefined && earlier?.what !== target.toLowerCase()) throw unclear(text);
    else if (/^character/i.test(target) && /^\d/.test(value ?? word ?? "")) throw unclear(text);
    else if (/^character/i.test(target)) halves = earlier ? earlier.rules.halves : halvedSets.test(value ?? word ?? "");
    else if (earlier) ({ backslashes, ansiQuotes } = earlier.rules);
    else if (value === undefined) throw unclear(text);
    else {
      const modes = value.toUpperCase().split(",");
      backslashes = !modes.includes("NO_BACKSLASH_ESCAPES");
      ansiQuotes = modes.some((mode) => ansi.has(mode));
    }
  }
  return { backslashes, ansiQuotes, halves, saved };
}

const ansi = new Set(["ANSI_QUOTES", "ANSI", "DB2", "MAXDB", "MSSQL", "ORACLE", "POSTGRESQL"]);

const unclear = (text: string) => strange(`sets what cannot be read for certain: ${text.slice(0, 100)}`);

/** With `halves`, what may hold half a character. */
export const unreadable = () =>
  strange(
    "is written in a character set that cannot be read for certain (big5, cp932, gbk, gb18030, sjis)",
    "dump the database again with --default-character-set=utf8mb4",
  );
