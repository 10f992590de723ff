/** Which names are settings, and which look like a misspelt one. */
import { distance } from "fastest-levenshtein";
import { secretNames, type SettingName, settingNames } from "./settings.ts";

const names: ReadonlySet<string> = new Set(settingNames);
const known = [...settingNames, ...secretNames.map((name) => `${name}_FILE`)];
const knownSet: ReadonlySet<string> = new Set(known);

/** A setting, or the NAME_FILE of a secret one. */
export const isKnown = (name: string) => knownSet.has(name);

/** The setting that a known name sets: `S3_SECRET_KEY_FILE` sets `S3_SECRET_KEY`. */
export const settingOf = (name: string) => (names.has(name) ? name : name.replace(/_FILE$/, "")) as SettingName;

/** A setting that is no secret and so has no NAME_FILE. */
export function isFileOfPlain(name: string): boolean {
  return !knownSet.has(name) && name.endsWith("_FILE") && names.has(name.slice(0, -5));
}

/** Names of other programs that lie close to ours: in the environment they earn a warning, no refusal. */
const othersNames = new Set(["DATABASE_URI", "S3_URI", "MAIL_FROM", "MAIL_TO", "LOGLEVEL", "LOGFORMAT", "DB_HOSTS"]);
export const isOthers = (name: string) => othersNames.has(name);

/**
 * The known name that an unknown one was probably meant to be. A settings file holds little else, so there it takes
 * less; an environment is full of the names of others (DB_PATH is not DB_PORT, DB_PASS belongs to some other program).
 */
export function likelyName(name: string, place: "file" | "environment"): string | undefined {
  const written = place === "file" ? name.toUpperCase() : name;
  const most = place === "file" ? Math.max(2, name.length / 5) : 2;
  const [best] = known
    .filter((candidate) => Math.abs(candidate.length - written.length) <= most && digits(candidate) === digits(written))
    .map((candidate) => ({ candidate, far: distance(written, candidate) }))
    .filter(({ candidate, far }) => far <= most && (place === "file" || isSlip(written, candidate, far)))
    .toSorted((a, b) => a.far - b.far);
  if (best !== undefined || place === "environment" || !written.includes("_")) return best?.candidate;
  return known.find((candidate) => candidate.startsWith(written));
}

/** One wrong letter in a short name, two in a long one, or two letters swapped, which is one slip but two edits. */
const isSlip = (written: string, name: string, far: number) =>
  far <= (name.length < 10 ? 1 : 2) || letters(written) === letters(name);
const letters = (name: string) => name.split("").toSorted().join("");
/** DB2_HOST and S3_HOST are no slips of DB_HOST. */
const digits = (name: string) => name.replace(/\D/g, "");
