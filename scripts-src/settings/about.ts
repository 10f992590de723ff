/** What people are told of settings: in help and pages, and their values in a log. */
import { aboutSetting, type SettingName, settingNames, type Settings } from "./settings.ts";

/** With its full stop, and in ASCII, so that it can be read with any locale. */
function sentence(text: string): string {
  const ascii = text.replaceAll("…", "...");
  return ascii.endsWith(".") ? ascii : `${ascii}.`;
}

/** What is to be said of a setting, as sentences: its meaning, its values, its default. */
export function sentencesAbout(name: SettingName): string[] {
  const { meaning, values, default: standard } = aboutSetting(name);
  return [meaning, ...(values ? [`Values: ${values}`] : []), ...(standard ? [`Default: ${standard}`] : [])].map(
    sentence,
  );
}

/** No secret by itself, but half of a login. */
const withheld: readonly SettingName[] = ["S3_ACCESS_KEY"];

/** Every setting that has a value, a line each; of a secret only that it is set. */
export function settingsText(settings: Settings): string {
  return settingNames
    .filter((name) => settings[name] !== undefined && String(settings[name]) !== "")
    .map((name) => `${name}=${hides(name) ? "(set, not shown)" : withoutLogin(String(settings[name]))}`)
    .join("\n");
}

const hides = (name: SettingName) => aboutSetting(name).secret === true || withheld.includes(name);
const withoutLogin = (text: string) => text.replace(/(:\/\/)[^/@\s]+@/g, "$1***@");
