import { aboutSetting, type SettingName } from "./settings.ts";

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
