/** The settings as a person may see them in a log. */
import { aboutSetting, settingNames, type SettingName, type Settings } from "./settings.ts";

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
