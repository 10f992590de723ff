/** Rules about several settings at once: what contradicts itself, what is missing. */
import type { Source } from "./env-source.ts";
import { aboutSetting, type SettingName, type Settings } from "./settings.ts";

/** What a script cannot do without; missing settings of all its needs are listed at once. */
export type Need = "database" | "storage" | "schedule";

const parts = ["DB_TYPE", "DB_HOST", "DB_PORT", "DB_NAME", "DB_USER", "DB_PASSWORD"] as const;
const waysToDatabase: readonly (readonly SettingName[])[] = [["DATABASE_URL"], ["POSTGRES_CONNECTION_STRING"], parts];

/** Every setting that names the database. */
export const databaseNames: readonly SettingName[] = waysToDatabase.flat();

const pairs = [
  ["S3_ACCESS_KEY", "S3_SECRET_KEY", "neither, to use AWS's own chain (profile, instance role)"],
  ["SMTP_USER", "SMTP_PASSWORD", "neither, to send without a login"],
] as const;
const highestLevel = { gzip: 12, zstd: 19, none: Infinity };
const schemes = ["postgres://", "postgresql://", "mysql://", "mariadb://"];

/** Problems of settings that are in order one by one; `given` tells where each was found. */
export function contradictions(settings: Settings, given: Source, broken: ReadonlySet<SettingName>): string[] {
  const place = (name: string) => `${name} (${given.get(name)?.where ?? "not set"})`;
  const problems: string[] = [];
  const ways = waysToDatabase
    .map((way) => way.filter((name) => given.has(name)))
    // DB_TYPE alone stands in many a copy of example.env.sh and names nothing.
    .filter((way) => way.some((name) => name !== "DB_TYPE"));
  if (ways.length > 1)
    problems.push(
      `${ways.flat().map(place).join(", ")}: the database is named in more than one way; keep one of DATABASE_URL, POSTGRES_CONNECTION_STRING and the DB_* settings`,
    );
  for (const name of ["DATABASE_URL", "VERIFY_DATABASE_URL"] as const)
    if (!schemes.some((scheme) => (settings[name] ?? scheme).startsWith(scheme)))
      problems.push(`${place(name)}: the kind of database is unknown; begin it with ${schemes.join(", ")}`);
  for (const [one, other, alternative] of pairs)
    if (given.has(one) !== given.has(other) && !broken.has(one) && !broken.has(other)) {
      const [set, unset] = given.has(one) ? [one, other] : [other, one];
      problems.push(`${place(set)}: set without ${unset}; set both, or ${alternative}`);
    }
  const { BACKUP_COMPRESSION: compression, BACKUP_COMPRESSION_LEVEL: level = 0 } = settings;
  if (level > highestLevel[compression])
    problems.push(
      `${place("BACKUP_COMPRESSION_LEVEL")}: too high for ${compression}; set it to 1 to ${highestLevel[compression]}`,
    );
  const below = `s3://${[settings.S3_BUCKET, settings.S3_PATH].filter(Boolean).join("/")}/`;
  if (settings.REPORT_FILE?.startsWith("s3://") && !(settings.S3_BUCKET && settings.REPORT_FILE.startsWith(below)))
    problems.push(
      `${place("REPORT_FILE")}: it must lie below S3_PATH; ${settings.S3_BUCKET ? `begin it with ${below}` : "set S3_BUCKET"}`,
    );
  return problems;
}

/** What is missing for `needs` (and for mail, when some is to be sent), a line each: the setting and what it is for. */
export function missingSettings(
  settings: Settings,
  needs: readonly Need[],
  broken: ReadonlySet<SettingName> = new Set(),
): string[] {
  const needed: SettingName[] = [];
  if (needs.includes("storage")) needed.push("S3_BUCKET");
  if (needs.includes("schedule")) needed.push("BACKUP_INTERVAL");
  const { EMAIL_FROM, EMAIL_TO, SMTP_HOST, NOTIFY_WEBHOOK_URL } = settings;
  // The notify mode serves the webhook too; with one, a person may well want no mail at all.
  const webhookOnly = NOTIFY_WEBHOOK_URL && !EMAIL_FROM && !EMAIL_TO && !SMTP_HOST;
  if (settings.EMAIL_NOTIFY_MODE !== "NEVER" && !webhookOnly) needed.push("EMAIL_FROM", "EMAIL_TO", "SMTP_HOST");
  const missing = needed.filter((name) => settings[name] === undefined && !broken.has(name)).map(describe);
  return needs.includes("database") ? [...missingDatabase(settings, broken), ...missing] : missing;
}

const describe = (name: SettingName) => `${name}: ${aboutSetting(name).meaning}`;

function missingDatabase(settings: Settings, broken: ReadonlySet<SettingName>): string[] {
  if (settings.DATABASE_URL || settings.POSTGRES_CONNECTION_STRING || settings.DB_NAME || settings.DB_NAMES) return [];
  if (databaseNames.some((name) => broken.has(name))) return [];
  if (parts.some((name) => name !== "DB_TYPE" && settings[name] !== undefined)) return [describe("DB_NAME")];
  return [
    "DATABASE_URL, or POSTGRES_CONNECTION_STRING, or DB_NAME with DB_HOST, DB_USER and DB_PASSWORD: the database to work with",
  ];
}
