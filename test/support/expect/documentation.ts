/** What DOCUMENTATION.md says, in pieces. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

export const documentation = readFileSync(resolve(import.meta.dir, "../../../backup_scripts/DOCUMENTATION.md"), "utf8");

export const readme = readFileSync(resolve(import.meta.dir, "../../../README.md"), "utf8");

export interface Block {
  /** "sh", "text", … */
  language: string;
  text: string;
  /** The comment right above it: what it is, or why it is not run. */
  mark: string;
  /** Number of its chapter. */
  chapter: number;
  /** Line of the document. */
  line: number;
}

/** Every fenced block, from top to bottom. */
export const blocks: readonly Block[] = [
  ...documentation.matchAll(/(?:^<!-- (.*) -->\n)?^```(\w*)\n([\s\S]*?)^```$/gm),
].map(({ 1: mark = "", 2: language = "", 3: text = "", index }) => {
  const before = documentation.slice(0, index);
  const chapter = Number([...before.matchAll(/^## (\d+)\. /gm)].at(-1)?.[1] ?? 0);
  return { language, text, mark, chapter, line: before.split("\n").length };
});

/** Rows of the table below a heading or a mark, without its head, as cells. */
export function tableAfter(beginning: string): string[][] {
  const [, rest = ""] = documentation.split(beginning);
  const [table = ""] = /^\|(?:.*\n)+?(?=\n|<!--|$)/m.exec(rest) ?? [];
  const rows = table.split("\n").filter((line) => line.startsWith("|"));
  return rows.slice(2).map((line) =>
    line
      .slice(1, -1)
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim()),
  );
}
