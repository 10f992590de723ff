/** Reads the words of a statement without the strings in it, by the rules that earlier SETs have made; and the names in a trigger. */
import { strange } from "../read-dump.ts";
import { unquote } from "./names.ts";

/** Sources of patterns: a text, a name in backticks, one in quotes of either kind, any name; of statements that were read as latin1. */
export const string = String.raw`'(?:[^'\\]|\\[\s\S]|'')*'`;
export const quotedName = "`(?:[^`]|``)*`";
export const eitherName = `(?:${quotedName}|"(?:[^"]|"")*")`;
export const anyName = String.raw`(?:${eitherName}|[\w$\x80-\xff]+)`;

/** Comments as the servers see them; what stands in `/*!` comments is SQL. */
const comments = String.raw`\/\*(?!M?!)[\s\S]*?\*\/|#[^\n]*|--(?=[\x00-\x20\x7f]|$)[^\n]*`;
const pattern = (backslashes: boolean, ansiQuotes: boolean): RegExp => {
  const plain = (mark: string) => `${mark}(?:[^${mark}]|${mark}${mark})*${mark}`;
  const text = (mark: string) =>
    backslashes ? String.raw`${mark}(?:[^${mark}\\]|\\[\s\S]|${mark}${mark})*${mark}` : plain(mark);
  return new RegExp(`${text("'")}|${plain("`")}|${ansiQuotes ? plain('"') : text('"')}|${comments}`, "g");
};
const patterns = [pattern(false, false), pattern(false, true), pattern(true, false), pattern(true, true)] as const;

/** Stands where a comment was. */
export const comment = "\x02";
/** Stands behind a text in which a server that skips the `/*!` comment around it would find the end of that. */
const breaking = "\x03";

/** A statement whose strings are '', and whose quoted names are ``; a mark stands for each comment. */
export function bare(
  text: string,
  { backslashes, ansiQuotes }: Pick<QuoteRules, "backslashes" | "ansiQuotes">,
): string {
  const found = patterns[((backslashes ? 2 : 0) + (ansiQuotes ? 1 : 0)) as 0 | 1 | 2 | 3];
  return text.replaceAll(found, (part) => {
    const end = part.includes("*/") ? breaking : "";
    if (part.startsWith("`") || (ansiQuotes && part.startsWith('"'))) return `\`\`${end}`;
    return (part.startsWith("'") || part.startsWith('"') ? "''" : comment) + end;
  });
}

/**
 * Whether all clients and servers find the same ends of comments. Some skip what others read: `/*!` comments of newer versions,
 * MySQL `/*M!` ones (its client, too, which then sees no quotation in them), and MySQL's client reads quotations in hints.
 */
export function endsAlike(text: string, words: string): boolean {
  const skipped = [...words.matchAll(/\/\*(M?)!(\d{5,6})?([\s\S]*?)(?=\*\/|$)/g)];
  const alike = skipped.every(
    ([, mariadb, version = "0", inside = ""]) =>
      (mariadb === "" && Number(version) <= everywhere) ||
      !(inside.includes(breaking) || (mariadb === "M" && /['`;]/.test(inside))),
  );
  return alike && [...text.matchAll(/\/\*\+([\s\S]*?)(?=\*\/|$)/g)].every(([, hint = ""]) => !/['";\\#]|--/.test(hint));
}

/** What every server reads: MariaDB does not read `/*!` comments of later versions. */
export const everywhere = 50_699;

const mark = /\/\*(M?)!(\d{5,6})?|\*\//g;

interface Part {
  text: string;
  /** Of a part that only some servers read: from which version on, and whether MariaDB alone reads it. */
  only?: { mariadb: boolean; version: number };
}

function partsOf(words: string): Part[] {
  const parts: Part[] = [];
  let at = 0;
  let only: Part["only"];
  for (const found of words.matchAll(mark)) {
    parts.push({ text: words.slice(at, found.index), ...(only && { only }) });
    at = found.index + found[0].length;
    only = found[0] === "*/" ? undefined : (only ?? { mariadb: found[1] === "M", version: Number(found[2] ?? 0) });
  }
  return [...parts, { text: words.slice(at), ...(only && { only }) }];
}

/** MariaDB does not read `/*!` comments of these versions, which are MySQL's own. */
const notForMariadb = (version: number) => version > everywhere && version <= 99_999;

/**
 * What servers of every version read of a bare statement, with single spaces: they leave out `/*!` comments of versions newer than
 * themselves. The first one is the statement with all of them.
 */
export function readings(words: string): string[] {
  const tidy = (parts: readonly Part[]) =>
    parts
      .map(({ text }) => text)
      .join(" ")
      .replaceAll(comment, " ")
      .replaceAll(breaking, "")
      .replaceAll(/\s+/g, " ")
      .trim();
  if (!words.includes("!")) return [tidy([{ text: words }])];
  const parts = partsOf(words);
  const versions = new Set([0, ...parts.flatMap(({ only }) => only?.version ?? [])]);
  const found = [...versions].flatMap((newest) => [
    tidy(parts.filter(({ only }) => !only || (!only.mariadb && only.version <= newest))),
    tidy(
      parts.filter(({ only }) => !only || (only.version <= newest && (only.mariadb || !notForMariadb(only.version)))),
    ),
  ]);
  return [...new Set([tidy(parts), ...found])];
}

/** What a SET changes in how the next statements are read: sql_mode and the character set, as far as they say where a string ends. */
export interface QuoteRules {
  /** A backslash in a string escapes (no NO_BACKSLASH_ESCAPES). */
  readonly backslashes: boolean;
  /** Double quotes hold names (ANSI_QUOTES, or a mode that includes it). */
  readonly ansiQuotes: boolean;
  /** A backslash or a quote mark can be half a character: the client programs do not know that, the server does. */
  readonly halves: boolean;
  /** A value that a dump has saved in a variable: its name in lower case, the value, and the rules of that time. */
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

/** The failure for text in which a byte can be half a character (`halves`). */
export const unreadable = () =>
  strange(
    "is written in a character set that cannot be read for certain (big5, cp932, gbk, gb18030, sjis)",
    "dump the database again with --default-character-set=utf8mb4",
  );

/** White space and comments. */
const gap = "(?:\\s|/\\*(?!M?!)[\\s\\S]*?\\*/|--\\s[^\\n]*\\n|#[^\\n]*\\n)";
const inDatabase = `(?:(${anyName})${gap}*\\.${gap}*)?`;
const triggerHead = new RegExp(
  `\\bTRIGGER${gap}+(?:IF${gap}+NOT${gap}+EXISTS${gap}+)?${inDatabase}(${anyName})(${gap}+(?:BEFORE|AFTER)${gap}+[A-Z]+(?:${gap}+OR${gap}+[A-Z]+)*${gap}+ON${gap}+)${inDatabase}(?=(${anyName}))`,
  "i",
);

/** Whether a statement (in latin1, without its definer) creates a trigger. */
export const createsTrigger = (text: string): boolean => /^(?:\/\*!\d+ )?CREATE\b[^'"`;(]*\bTRIGGER\b/i.test(text);

/** The names of the trigger that a statement (in latin1, without its definer) creates, and of its table. */
export function triggerOf(text: string): { name?: string | undefined; table?: string | undefined } {
  const [, , name, , , table] = triggerHead.exec(text) ?? [];
  return { name: name && unquote(name), table: table && unquote(table) };
}

/** The statement without the name of the database that was dumped. Throws `Failure` when it names another one. */
export function withoutDatabase(text: string, database: string | undefined): string {
  const found = triggerHead.exec(text);
  const [all = "", before, trigger = "", between = "", table] = found ?? [];
  const others = [before, table].filter((one) => one !== undefined && unquote(one) !== database);
  if (!found || others.length > 0)
    throw strange(
      `holds a trigger of another database: ${others.join(", ") || text.slice(0, 60)}`,
      "look at the file: a restore touches only its own database",
    );
  return text.replace(all, () => `TRIGGER ${trigger}${between}`);
}
