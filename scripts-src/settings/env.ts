/** Reads the settings: `.env.sh` beside the executable, and the environment, which wins. */
import { resolve } from "node:path";
import { readFileSync, statSync } from "node:fs";
import { isFileOfPlain, isKnown, isOthers, likelyName, settingOf } from "./env-names.ts";
import { contradictions, databaseNames } from "./env-rules.ts";
import { type Environment, type FileSource, fromEnvironment, fromFile, type Given, type Source } from "./env-source.ts";
import { hideSecrets } from "../base/secrets.ts";
import { aboutSetting, type SettingName, settingNames, type Settings, settingsFrom } from "./settings.ts";
import { codeOf, messageOf } from "../base/errors.ts";
import { distrust } from "../base/trust.ts";

export interface ReadSettings {
  /** Every setting that is in order; a broken one has its default, or undefined. */
  settings: Settings;
  /** Why nothing may be attempted: each names the setting, where it stands, cause and remedy, never a secret. */
  problems: string[];
  warnings: string[];
  /** Which settings of the file the environment overrides. */
  notes: string[];
  /** Absolute path of the settings file, whether it exists or not. */
  file: string;
  fileExists: boolean;
  /** Settings that are set, but invalid or unreadable. */
  broken: Set<SettingName>;
}

/** What is read of the settings, still to be checked. */
interface Reading extends Omit<ReadSettings, "settings"> {
  home: string;
  environment: Source;
  inFile: FileSource;
  given: Map<SettingName, Given>;
}

/**
 * Reads `envFile`, or what BACKUP_ENV_FILE names (both from the current folder), or `<home>/.env.sh`, and the
 * environment. Never throws for wrong settings: all problems are collected, so that a mail can still tell of them.
 */
export function readSettings(from: { home: string; envFile?: string; environment: Environment }): ReadSettings {
  const { source: environment, ignored } = fromEnvironment(from.environment);
  const named = from.envFile ?? environment.get("BACKUP_ENV_FILE")?.value;
  const file = named === undefined ? resolve(from.home, ".env.sh") : resolve(named);
  const inFile = fromFile(file, named !== undefined, from.environment);
  const { problems, warnings, exists: fileExists, refused } = inFile;
  warnings.push(...ignored);
  const broken = new Set(refused.filter(isKnown).map(settingOf));
  const given = new Map<SettingName, Given>();
  const result = { problems, warnings, notes: [], file, fileExists, broken };
  const reading = { ...result, home: from.home, environment, inFile, given };
  for (const name of settingNames) choose(name, reading);
  checkNames(reading);
  const settings = checkValues(reading);
  problems.push(...contradictions(settings, given, broken));
  return { ...result, settings };
}

/** Takes a setting from where it counts: from the environment, by its name or NAME_FILE, else from the file. */
function choose(name: SettingName, reading: Reading): void {
  const { environment, inFile, given, broken, problems, notes } = reading;
  const ways: string[] = aboutSetting(name).secret ? [name, `${name}_FILE`] : [name];
  const found = [environment, inFile.source].map((source) => ways.filter((way) => source.has(way)));
  hideSecrets([environment, inFile.source].flatMap((source) => secretsOf(name, source.get(name)?.value)));
  const [outside = [], inside = []] = found;
  const [source, [way, second]] = outside.length > 0 ? [environment, outside] : [inFile.source, inside];
  const value = way === undefined ? undefined : source.get(way);
  if (way === undefined || value === undefined) {
    if (!inFile.readable) broken.add(name);
    return;
  }
  if (outside.length > 0) {
    broken.delete(name);
    for (const over of inside)
      if (inFile.source.get(over)?.value !== environment.get(over)?.value)
        notes.push(`${over} (${inFile.source.get(over)?.where}): overridden by ${way} of the environment`);
  }
  if (second !== undefined && source === environment)
    notes.push(`${second} (environment): overridden by ${way} of the environment`);
  if (second !== undefined && source !== environment) {
    problems.push(`${name} (${value.where}): ${second} is set too; keep one of them`);
    broken.add(name);
  } else if (way === name) given.set(name, value);
  else readSecret(name, value, reading);
}

/** Puts the content of the file that NAME_FILE names in the place of the setting. */
function readSecret(name: SettingName, path: Given, { home, given, broken, problems }: Reading): void {
  const { value = "", refused } = readSecretFile(resolve(home, path.value));
  hideSecrets(secretsOf(name, value));
  if (refused === undefined) return void given.set(name, { value, where: `${name}_FILE, ${path.where}` });
  broken.add(name);
  problems.push(`${name}_FILE (${path.where}): ${refused}`);
}

/** Misspelt settings are problems; other names in the settings file earn a warning. */
function checkNames({ environment, inFile, given, broken, problems, warnings }: Reading): void {
  const settled = (name: SettingName) =>
    given.has(name) || broken.has(name) || (databaseNames.includes(name) && databaseNames.some((n) => given.has(n)));
  for (const [name, { where }] of environment) {
    if (isKnown(name) || name === "BACKUP_ENV_FILE") continue;
    const meant = isFileOfPlain(name) ? settingOf(name) : likelyName(name, "environment");
    if (meant === undefined) continue;
    // What was meant is set by other means: then the name may well be another program's.
    (isOthers(name) || settled(settingOf(meant)) ? warnings : problems).push(
      `${name} (${where}): ${misspelt(name, meant)}`,
    );
  }
  for (const [name, { where }] of inFile.source) {
    if (isKnown(name) || inFile.referenced.has(name)) continue;
    const meant = isFileOfPlain(name) ? settingOf(name) : likelyName(name, "file");
    if (meant !== undefined) problems.push(`${name} (${where}): ${misspelt(name, meant)}`);
    // Lines that were refused may be a value over several lines, and this its next one.
    else if (inFile.refused.length === 0) warnings.push(`${name} (${where}): not a setting of this program; ignored`);
  }
}

const misspelt = (name: string, meant: string) =>
  isFileOfPlain(name)
    ? `only secrets are read from files; set ${meant} itself`
    : `there is no such setting; did you mean ${meant}?`;

/** Checks each value by its rule; what does not pass counts as not set. */
function checkValues({ given, broken, problems }: Reading): Settings {
  const texts = Object.fromEntries([...given].map(([name, { value }]) => [name, value]));
  return settingsFrom(texts, (name, message) => {
    broken.add(name);
    const { example } = aboutSetting(name);
    const remedy = message.includes(example) ? message : `${message}, for example ${example}`;
    problems.push(`${name} (${given.get(name)?.where}): ${remedy}`);
  });
}

/** The content of a secret's file without its last line end, or why it cannot be used (then the content is only to be hidden). */
function readSecretFile(file: string): { value?: string; refused?: string } {
  try {
    const content = new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(file));
    const value = content.replace(/\r?\n$/, "");
    // a pipe is no file that another user could change
    const why = statSync(file).isFile() ? distrust(file) : undefined;
    if (why) return { value, refused: `other users can change the file: ${why.cause}; ${why.hint}` };
    if (value === "") return { refused: "the file is empty; write the value into it" };
    // eslint-disable-next-line no-control-regex
    if (/[\0\r\n]/.test(value))
      return { value, refused: "the file has more than one line; leave only the value in it" };
    return { value };
  } catch (error) {
    return { refused: `the file cannot be read: ${explain(file, error)}` };
  }
}

function explain(file: string, error: unknown): string {
  if (codeOf(error) === "EISDIR")
    return `${file} is a folder, not a file. Docker makes one when the file on the host is missing: remove it there, write the file, and start again`;
  return `${messageOf(error)}; name a text file that this user can read`;
}

/** Parts of a secret setting that must not be printed: the value, and the passwords within URLs and connection strings. */
function secretsOf(name: SettingName, value: string | undefined): string[] {
  if (value === undefined || !aboutSetting(name).secret) return [];
  const login = /:\/\/[^:/]*:(.*)@/s.exec(value)?.[1] ?? "";
  const words = [...value.matchAll(/password\s*=\s*(?:'((?:[^'\\]|\\.)*)'|([^\s&]*))/g)].map((m) => m[1] ?? m[2] ?? "");
  // A password that was not encoded ends up as the host or the port in other programs' messages, piece by piece.
  const pieces = [login, ...login.split(/[@:/?#]/), ...words];
  const keys = name === "MANIFEST_KEY" ? value.split(" ") : [];
  const addresses = value.match(/https?:\/\/\S+/g) ?? [];
  return [
    value,
    ...keys,
    ...addresses.flatMap((address) => [address, ...tokensIn(address)]),
    ...pieces,
    ...pieces.map((piece) => piece.replaceAll(/\\(.)/g, "$1")),
    ...pieces.map(percentDecode),
  ];
}

/** Parts of a webhook's address that a server's answer can repeat: the path, pieces of the path that look random, values of the query. */
function tokensIn(address: string): string[] {
  if (!URL.canParse(address)) return [];
  const { pathname, search, searchParams } = new URL(address);
  const pieces = pathname.split("/").filter((piece) => piece.length >= 8 && /\d/.test(piece));
  return [...(pathname === "/" ? [] : [pathname, `${pathname}${search}`]), ...pieces, ...searchParams.values()];
}

function percentDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
