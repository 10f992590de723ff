/** The tables in DOCUMENTATION.md that come from scripts and settings; what a person wrote around them stays. */
import { scripts } from "../scripts/scripts.ts";
import { exitStatusMeanings } from "../run/command-line.ts";
import { metricMeanings } from "../notify/metrics.ts";
import { aboutSetting, groups, type SettingName, settingNames } from "../settings/settings.ts";
import { providers } from "./providers.ts";

/** By the name in `<!-- generated: NAME -->`. */
const tables: Record<string, () => string | Promise<string>> = {
  scripts: scriptsTable,
  "exit-status": () => table(["status", "meaning"], exitStatusMeanings),
  settings: settingsTables,
  providers: providerBlocks,
  metrics: () =>
    table(
      ["metric", "meaning"],
      Object.entries(metricMeanings).map(([name, meaning]) => [code(`backup_scripts_${name}`), meaning]),
    ),
};

/** The text with every generated part made anew. Throws when it names one that there is not. */
export async function documentationWithTables(text: string): Promise<string> {
  const made = new Map(
    await Promise.all(Object.entries(tables).map(async ([name, make]) => [name, await make()] as const)),
  );
  return text.replace(
    /^(<!-- generated: ([\w-]+) -->\n)[\s\S]*?^(<!-- end -->)$/gm,
    (_, begin: string, name: string, end: string) => {
      const content = made.get(name);
      if (content === undefined) throw new Error(`there is no table called ${name}`);
      return `${begin}${content}\n${end}`;
    },
  );
}

const code = (text: string) => `\`${text}\``;
const row = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
const table = (head: readonly string[], rows: readonly (readonly string[])[]) =>
  [row(head), `|${"---|".repeat(head.length)}`, ...rows.map(row)].join("\n");

async function scriptsTable(): Promise<string> {
  const all = await Promise.all(Object.values(scripts).map((load) => load()));
  return table(
    ["script", "purpose"],
    all.map(({ name, usage, summary }) => [code(`${name} ${usage}`), summary.replaceAll("\n", " ")]),
  );
}

function settingsTables(): string {
  const parts = Object.entries(groups).map(([group, title]) => {
    const names = settingNames.filter((name) => aboutSetting(name).group === group);
    return `### ${title}\n\n${table(["setting", "meaning", "values", "default"], names.map(settingRow))}`;
  });
  return parts.join("\n\n");
}

function settingRow(name: SettingName): string[] {
  const { meaning, values = "", default: standard = "", secret } = aboutSetting(name);
  return [`${code(name)}${secret ? " *" : ""}`, meaning, values, standard];
}

function providerBlocks(): string {
  const blocks = providers.map(({ name, note, settings }) => {
    const lines = Object.entries(settings).map(([setting, value]) => `${setting}='${value}'`);
    return `**${name}.** ${note}\n\n<!-- settings of a provider -->\n\`\`\`sh\n${lines.join("\n")}\n\`\`\``;
  });
  return blocks.join("\n\n");
}
