/** The chapters of `help`. */
import documentation from "../../backup_scripts/DOCUMENTATION.md" with { type: "text" };
import { columns, painterFor, wrap } from "../base/text.ts";
import { version } from "../base/version.ts";
import { sentencesAbout } from "../settings/about.ts";
import { aboutSetting, type SettingName, settingsByGroup } from "../settings/settings.ts";
import { providers } from "./providers.ts";

/** Usage text by name of the script. */
type Usages = Readonly<Record<string, string>>;

/** Name and text of each chapter, in reading order. `home` is the folder of the executables. */
export function manual(usages: Usages, page: Page, home: string): Record<string, string> {
  // A path that needs quotes, or has a % in it, would make bad examples for cron.
  const place = /^[\w./-]+$/.test(home) ? home : "/opt/backup_scripts";
  return {
    scripts: scriptsChapter(usages, page),
    settings: settingsChapter(page),
    mail: documented(page, "Notices", place),
    cron: documented(page, "Cron", place),
    systemd: documented(page, "A systemd timer", place),
    storage: storageChapter(page),
    disaster: documented(page, "After a disaster", place),
  };
}

const chapter = (page: Page, title: string, ...blocks: string[]) => [page.heading(title), ...blocks].join("\n\n");

/** What is the same in every usage text, its last two parts, is said once. */
function scriptsChapter(usages: Usages, page: Page): string {
  const about = `backup_scripts ${version}: backs up a database, checks that the backup is complete, keeps it locally and in S3-compatible storage, restores it, and notifies people when something goes wrong.`;
  const parts = Object.entries(usages).map(([name, usage]) => ({ name, parts: usage.split("\n\n") }));
  const own = parts.map(
    ({ name, parts }) => `${page.term(name)}\n${page.verbatim(parts.slice(0, -2).join("\n\n"), 2)}`,
  );
  const common = parts[0]?.parts.slice(-2) ?? [];
  return [page.paragraph(about, 0), chapter(page, "Scripts", ...own), ...common].join("\n\n");
}

function settingsChapter(page: Page): string {
  const intro =
    "Settings are read from .env.sh beside the scripts (cp example.env.sh .env.sh && chmod 600 .env.sh) and from the " +
    "environment, which wins. A line is NAME='value', as in /bin/sh. A secret one is never logged, mailed or put on a " +
    "command line; it may be given as NAME_FILE='/path' instead, a file that holds nothing but the value.";
  const sections = settingsByGroup.map(
    ({ title, names }) => `${page.heading(title)}\n\n${names.map((name) => settingEntry(name, page)).join("\n")}`,
  );
  return chapter(page, "Settings", page.paragraph(intro, 2), ...sections);
}

function settingEntry(name: SettingName, page: Page): string {
  const [meaning = "", ...facts] = sentencesAbout(name);
  const lines = [meaning, ...(facts.length > 0 ? [facts.join(" ")] : [])].map((text) => page.paragraph(text, 6));
  return `  ${page.term(name)}${aboutSetting(name).secret ? " (secret)" : ""}\n${lines.join("\n")}`;
}

/** All about one setting. */
export function settingPage(name: SettingName, page: Page): string {
  const { secret, example } = aboutSetting(name);
  const group = settingsByGroup.find(({ names }) => names.includes(name));
  const safely = `Secret: never logged, mailed or put on a command line. Or set ${name}_FILE to the path of a file.`;
  const facts = [...sentencesAbout(name), ...(secret ? [safely] : [])];
  const lines = facts.map((fact) => page.paragraph(fact, 2)).join("\n");
  return `${page.term(name)} (${group?.title})\n\n${lines}\n\n  Example, a line of .env.sh:\n    ${name}='${example}'`;
}

function storageChapter(page: Page): string {
  const entries = providers.map(
    ({ name, note, lines }) =>
      `  ${page.term(name)}\n${page.paragraph(note, 6)}\n${page.verbatim(lines.join("\n"), 6)}`,
  );
  const intro = "Beside S3_BUCKET, S3_ACCESS_KEY and S3_SECRET_KEY, providers of S3-compatible storage need:";
  return chapter(page, "S3-compatible storage", page.paragraph(intro, 2), ...entries);
}

/** A chapter of the documentation, up to the next heading. Its program lies in /opt/backup_scripts. */
function documented(page: Page, title: string, place: string): string {
  const [, text = ""] = documentation.split(new RegExp(`^##+ [\\d.]+ ${title}\n`, "m"));
  const own = text.split(/^##/m)[0]?.replaceAll("/opt/backup_scripts", place) ?? "";
  return chapter(page, title, pageOf(own, page));
}

/** Markdown as plain text; tables in columns. */
const pageOf = (markdown: string, page: Page): string =>
  Bun.markdown
    .render(markdown, {
      paragraph: (text) => `${page.paragraph(text, 2)}\n\n`,
      code: (text) => `${page.verbatim(text.trimEnd(), 4)}\n\n`,
      list: (items) => `${items}\n`,
      listItem: (text, { ordered, start = 1, index }) =>
        ordered
          ? `${page.paragraph(`${start + index}. ${text}`, 2)}\n`
          : `  - ${page.paragraph(text, 4).trimStart()}\n`,
      table: (rows) =>
        `${page.verbatim(
          columns(
            rows
              .trimEnd()
              .split("\n")
              .map((row) => row.split("\t")),
          ).join("\n"),
          4,
        )}\n\n`,
      tr: (cells) => `${cells}\n`,
      th: (cell) => `${cell}\t`,
      td: (cell) => `${cell}\t`,
      html: () => "",
    })
    .trimEnd();

export interface Page {
  heading(text: string): string;
  /** The name of a thing that is explained. */
  term(text: string): string;
  /** Text in full lines, each behind `indent` spaces. */
  paragraph(text: string, indent: number): string;
  /** Lines as they are, for things to be copied. */
  verbatim(text: string, indent: number): string;
}

export function pageFor(out: { isTTY?: boolean; columns?: number }, env: Record<string, string | undefined>): Page {
  const paint = painterFor(out, env);
  const width = out.isTTY === true ? Math.max(40, Math.min(100, out.columns ?? 80)) : 80;
  const indented = (lines: string[], indent: number) =>
    lines.map((line) => (line === "" ? "" : `${" ".repeat(indent)}${line}`)).join("\n");
  return {
    heading: (text) => paint("bold", text.toUpperCase()),
    term: (text) => paint("cyan", text),
    paragraph: (text, indent) => indented(wrap(text, width - indent), indent),
    verbatim: (text, indent) => indented(text.split("\n"), indent),
  };
}
