/** The words of a statement, without the texts in it. */
import type { QuoteRules } from "./sql-mode.ts";

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
