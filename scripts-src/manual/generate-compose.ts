/** The settings in docker-compose.yml: those that are not filled in there stand below them, commented out. */
import { sentencesAbout } from "../settings/about.ts";
import { aboutSetting, type SettingName, settingsByGroup } from "../settings/settings.ts";
import { wrap } from "../base/text.ts";

const beginning = /^( *)# All other settings \(generated.*\n/m;
const end = /^ *# End of the settings\.\n/m;

/** The file with its list of settings made anew; what a person wrote around it stays. */
export function composeWithSettings(current: string): string {
  const start = beginning.exec(current);
  const [before = "", after = ""] = current.split(end);
  const last = end.exec(current)?.[0] ?? "";
  const [marker = "", margin = ""] = start ?? [];
  const head = before.slice(0, (start?.index ?? 0) + marker.length);
  const filledIn = (name: SettingName) => new RegExp(`^ *${name}(_FILE)?:`, "m").test(head);
  const lines = settingsByGroup.flatMap(({ names }) => names.filter((name) => !filledIn(name)).flatMap(explain));
  return `${head}${lines.map((line) => `${margin}${line}\n`).join("")}${last}${after}`;
}

/** Examples that fit the image, where those for a machine do not. */
const inImage: Partial<Record<SettingName, string>> = { BACKUP_DIR: "/data/backups" };

function explain(name: SettingName): string[] {
  const { secret } = aboutSetting(name);
  const example = inImage[name] ?? aboutSetting(name).example;
  const setting = secret ? `${name}_FILE: /run/secrets/${name.toLowerCase()}` : `${name}: ${JSON.stringify(example)}`;
  return ["#", ...wrap(sentencesAbout(name).join(" "), 100).map((line) => `# ${line}`), `#${setting}`];
}
