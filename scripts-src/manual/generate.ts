/** Files that are made from the settings schema; build.ts writes them and `bun run check` finds them out of date. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { wrap } from "../base/text.ts";
import { sentencesAbout } from "../settings/about.ts";
import { aboutSetting, type SettingName, settingsByGroup } from "../settings/settings.ts";
import { providers } from "./providers.ts";
import type { Script } from "../run/script.ts";

/** Path from the project's root, and content. */
export const generatedFiles = (described: Described): Record<string, string> => ({
  "backup_scripts/example.env.sh": exampleEnv(),
  "backup_scripts/DOCUMENTATION.md": documentationWithTables(current("backup_scripts/DOCUMENTATION.md"), described),
  "docker-compose.yml": composeWithSettings(current("docker-compose.yml")),
  "scripts-src/manual/usage.json": `${JSON.stringify(described.usages, null, 2)}\n`,
});

const current = (path: string) => readFileSync(join(import.meta.dir, "../..", path), "utf8");

const width = 100;

/** What a first installation has to fill in, by what needs it; `or` stands commented out beside it. */
const required: readonly { title: string; names: readonly SettingName[]; or?: readonly SettingName[] }[] = [
  {
    title: "Required: the database (in parts, or as a URL or connection string instead)",
    names: ["DB_TYPE", "DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD"],
    or: ["DATABASE_URL", "POSTGRES_CONNECTION_STRING"],
  },
  {
    title: "Required for sync, backup --upload and schedule: S3-compatible storage",
    names: ["S3_BUCKET", "S3_ACCESS_KEY", "S3_SECRET_KEY"],
    or: ["S3_URL", "S3_REGION", "S3_PATH"],
  },
  {
    title: "Required for mail, unless the mode is NEVER",
    names: ["EMAIL_NOTIFY_MODE", "EMAIL_FROM", "EMAIL_TO", "SMTP_HOST", "SMTP_PORT", "SMTP_USER", "SMTP_PASSWORD"],
  },
];

const intro = `\
# Settings of backup_scripts.
#
#   cp example.env.sh .env.sh && chmod 600 .env.sh
#
# Then fill in what is required, and remove the # in front of any other setting that you want to change.
#
# - Every line is NAME='value', as in /bin/sh: no spaces around =, a comment has a space before its #.
# - A value that contains a ' goes into double quotes. It must then contain no $ \` \\ or ".
# - An empty value counts as not set. A variable of the same name in the environment wins.
# - A secret may stand in a file of its own instead: write NAME_FILE='/path' in place of NAME='value'.
#
# ./help explains every setting, ./help NAME one of them. This file is generated: write your changes into .env.sh.
`;

/** `example.env.sh`: every setting with its meaning, those that have to be filled in first. */
export function exampleEnv(): string {
  const first = new Set(required.flatMap(({ names, or = [] }) => [...names, ...or]));
  const others = settingsByGroup.map(({ title, names }) => ({
    title: `Optional: ${lowerFirst(title)}`,
    blocks: names.filter((name) => !first.has(name)).map(toUncomment),
  }));
  const sections = [
    ...required.map(({ title, names, or = [] }) => ({
      title,
      blocks: [...names.map(toFillIn), ...or.map(toUncomment)],
    })),
    ...others.filter(({ blocks }) => blocks.length > 0),
    { title: "What providers of S3-compatible storage need", blocks: providers.map(providerBlock) },
  ];
  return `${intro}\n${sections.map(section).join("\n")}`;
}

const lowerFirst = (title: string) => (/^[A-Z][a-z]/.test(title) ? title.replace(/^./, (c) => c.toLowerCase()) : title);

const section = ({ title, blocks }: { title: string; blocks: string[] }) =>
  `# ${"-".repeat(width - 2)}\n# ${title}\n# ${"-".repeat(width - 2)}\n\n${blocks.join("\n")}`;

const comment = (text: string) =>
  wrap(text, width - 2)
    .map((line) => `# ${line}\n`)
    .join("");

function explain(name: SettingName): string {
  const secret = aboutSetting(name).secret ? [`Secret: or ${name}_FILE.`] : [];
  return comment([...sentencesAbout(name), ...secret].join(" "));
}

/** Empty, so that what nobody filled in is reported as missing; a default that is a value stands there already. */
function toFillIn(name: SettingName): string {
  const { default: standard, values } = aboutSetting(name);
  const value = standard !== undefined && values?.split(", ").includes(standard) ? standard : "";
  return `${explain(name)}${name}='${value}'\n`;
}

const toUncomment = (name: SettingName) => `${explain(name)}#${name}='${aboutSetting(name).example}'\n`;

const providerBlock = ({ name, note, lines }: (typeof providers)[number]) =>
  `${comment(`${name}. ${note}`)}${lines.map((line) => `#${line}\n`).join("")}`;

const otherSettings = /^( *)(# All other settings \(generated.*\n)[^]*?^( *# End of the settings\.\n)/m;

/** The file with its list of settings made anew; what a person wrote around it stays. */
const composeWithSettings = (current: string): string =>
  current.replace(otherSettings, (_, margin: string, begin: string, end: string, at: number) => {
    const filledIn = (name: SettingName) => new RegExp(`^ *${name}(_FILE)?:`, "m").test(current.slice(0, at));
    const lines = settingsByGroup.flatMap(({ names }) => names.filter((name) => !filledIn(name)).flatMap(composeEntry));
    return `${margin}${begin}${lines.map((line) => `${margin}${line}\n`).join("")}${end}`;
  });

/** Examples that fit the image, where those for a machine do not. */
const inImage: Partial<Record<SettingName, string>> = { BACKUP_DIR: "/data/backups" };

function composeEntry(name: SettingName): string[] {
  const { secret } = aboutSetting(name);
  const example = inImage[name] ?? aboutSetting(name).example;
  const setting = secret ? `${name}_FILE: /run/secrets/${name.toLowerCase()}` : `${name}: ${JSON.stringify(example)}`;
  return ["#", ...wrap(sentencesAbout(name).join(" "), 100).map((line) => `# ${line}`), `#${setting}`];
}

/** Facts of other rooms that the pages show. */
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
function documentationWithTables(text: string, described: Described): string {
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
