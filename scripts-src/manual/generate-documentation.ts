/** The tables in DOCUMENTATION.md that come from scripts and settings; what a person wrote around them stays. */
import type { Script } from "../run/script.ts";
import { aboutSetting, type SettingName, settingsByGroup } from "../settings/settings.ts";
import { providers } from "./providers.ts";

/** What the pages say of the other rooms. */
export interface Described {
  scripts: readonly Pick<Script, "name" | "usage" | "summary">[];
  /** What `help` prints of each script: made beforehand, because yargs takes 10 ms and more to lay out each. */
  usages: Readonly<Record<string, string>>;
  /** Status and meaning. */
  exitStatus: readonly (readonly [status: string, meaning: string])[];
  /** By the metric's name without its prefix. */
  metrics: Readonly<Record<string, string>>;
}

/** By the name in `<!-- generated: NAME -->`. */
const tables: Record<string, (described: Described) => string> = {
  scripts: scriptsTable,
  "exit-status": ({ exitStatus }) => table(["status", "meaning"], exitStatus),
  settings: settingsTables,
  providers: providerBlocks,
  metrics: ({ metrics }) =>
    table(
      ["metric", "meaning"],
      Object.entries(metrics).map(([name, meaning]) => [code(`backup_scripts_${name}`), meaning]),
    ),
};

/** The text with every generated part made anew. Throws when it names one that does not exist. */
export function documentationWithTables(text: string, described: Described): string {
  return text.replace(
    /^(<!-- generated: ([\w-]+) -->\n)[\s\S]*?^(<!-- end -->)$/gm,
    (_, begin: string, name: string, end: string) => {
      const make = tables[name];
      if (make === undefined) throw new Error(`there is no table called ${name}`);
      return `${begin}${make(described)}\n${end}`;
    },
  );
}

const code = (text: string) => `\`${text}\``;
const row = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
const table = (head: readonly string[], rows: readonly (readonly string[])[]) =>
  [row(head), `|${"---|".repeat(head.length)}`, ...rows.map(row)].join("\n");

function scriptsTable({ scripts }: Described): string {
  return table(
    ["script", "purpose"],
    scripts.map(({ name, usage, summary }) => [code(`${name} ${usage}`), summary.replaceAll("\n", " ")]),
  );
}

function settingsTables(): string {
  const head = ["setting", "meaning", "values", "default"];
  return settingsByGroup
    .map(({ title, names }) => `### ${title}\n\n${table(head, names.map(settingRow))}`)
    .join("\n\n");
}

function settingRow(name: SettingName): string[] {
  const { meaning, values = "", default: standard = "", secret } = aboutSetting(name);
  return [`${code(name)}${secret ? " *" : ""}`, meaning, values, standard];
}

function providerBlocks(): string {
  const blocks = providers.map(
    ({ name, note, lines }) =>
      `**${name}.** ${note}\n\n<!-- settings of a provider -->\n\`\`\`sh\n${lines.join("\n")}\n\`\`\``,
  );
  return blocks.join("\n\n");
}
