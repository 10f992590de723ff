/**
 * The one place where a setting's name, meaning, default, example and rule are written.
 * Reading, checking, `help`, `example.env.sh` and the table in DOCUMENTATION.md all come from it.
 */
import { bech32 } from "@scure/base";
import { z } from "zod";
import { messageOf } from "../base/errors.ts";
import { parsePatterns } from "./name-patterns.ts";

/** Groups in the order in which a person meets them. */
export const groups = {
  general: "General",
  database: "Database",
  backup: "Backup files",
  retention: "Retention",
  verify: "Proofs",
  security: "Encryption and signatures",
  schedule: "Schedule (container)",
  storage: "S3-compatible storage",
  mail: "Mail",
  notices: "Other notices",
  log: "Log",
} as const;

/** What a person is told of a setting. */
interface About {
  group: keyof typeof groups;
  /** One or two sentences. */
  meaning: string;
  /** A value as it would stand in .env.sh, without quotes. */
  example: string;
  /** What holds when it is not set, in words or as the value itself; absent: nothing. */
  default?: string;
  /** Valid values, where the meaning does not say it all. */
  values?: string;
  /** Never logged, mailed, put on a command line or in a manifest; may be given as NAME_FILE. */
  secret?: true;
}

/**
 * The facts stand beside the rule, which is made when settings are first checked: all the rules take 10 ms, and help needs
 * none. (zod's own `meta` would make a copy of each.)
 */
const about = <T extends z.ZodType>(rule: () => T, facts: About) => ({ rule, facts });

const text = () => z.string();
const anyText = () => text().optional();
const flag = () => z.stringbool({ error: "must be true or false" });
const choice = <const T extends readonly string[]>(...values: T) =>
  z.enum(values, { error: `must be one of ${values.join(", ")}` });
const whole = (min: number, max: number, range = `from ${min} to ${max}`) =>
  z
    .string()
    .regex(/^\d+$/, `must be a whole number ${range}`)
    .transform(Number)
    .refine((n) => n >= min && n <= max, `must be a whole number ${range}`);
const url = (...schemes: string[]) =>
  z
    .string()
    .refine(
      (value) => URL.canParse(value) && schemes.includes(new URL(value).protocol),
      `must be a URL that starts with ${schemes.map((s) => `${s}//`).join(" or ")}`,
    );
/** Several values separated by spaces. */
const listOf = <T extends z.ZodType<unknown, string>>(rule: T) =>
  z
    .string()
    .transform((list) => list.split(/\s+/).filter(Boolean))
    .pipe(z.array(rule));
const addresses = () =>
  z
    .string()
    .transform((list) => list.split(",").flatMap((address) => address.trim() || []))
    .refine(
      (list) => list.length > 0 && list.every((address) => /^[^\s@]+@[^\s@]+$|<[^\s@]+@[^\s@]+>$/.test(address)),
      "must be mail addresses separated by commas",
    );
/** age's public keys of X25519: what every version of `age` knows. */
const recipients = () =>
  z
    .string()
    .refine((value) => !/AGE-SECRET-KEY/i.test(value), "it holds a private key; put the public key (age1…) here")
    .transform((list) => list.split(/[,\s]+/).filter(Boolean))
    .refine(
      (list) => list.length > 0 && list.every(isPublicKey),
      "must be public keys of age (age1 and 58 characters, copied exactly) separated by commas",
    );
/** Every key ends in a checksum: a mistyped one would make backups that nobody can decrypt. */
const isPublicKey = (key: string) => /^age1.{58}$/.test(key) && bech32.decodeUnsafe(key)?.prefix === "age";
/** A shorter one can be guessed from a manifest. */
const shortestKey = 20;
const manifestKeys = () =>
  z
    .string()
    .transform((keys) => keys.split(" "))
    .refine(
      (keys) => keys.length <= 2 && keys.every((key) => key.length >= shortestKey),
      `must be one key, or two separated by one space, of at least ${shortestKey} characters each`,
    );

const patterns = () =>
  z.string().superRefine((text, context) => {
    try {
      parsePatterns(text);
    } catch (error) {
      context.addIssue({ code: "custom", message: messageOf(error) });
    }
  });

function isTimeZone(name: string): boolean {
  try {
    Intl.DateTimeFormat("en", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

// zod writes a parser for the schema, as JavaScript, before it first parses: 10 ms, for a parser that is used once
z.config({ jitless: true });

const pathInBucket = () =>
  text()
    .refine(
      (path) => !path.includes("://"),
      "must be the path within the bucket alone, such as production/app; the bucket's name stands in S3_BUCKET",
    )
    .transform((path) => path.replace(/^\/+|\/+$/g, ""));

const many = () => whole(1, 36_500).optional();
type RuleName = "RETENTION_DAYS" | "KEEP_LAST" | "KEEP_DAILY" | "KEEP_WEEKLY" | "KEEP_MONTHLY" | "KEEP_YEARLY";
type RetentionRules<Place extends "LOCAL" | "BACKUP"> = {
  [Name in RuleName as `${Place}_${Name}`]: { rule: typeof many; facts: About };
};

/** What keeps the backups of one place: days, and numbers with restic's words and meaning. */
function retention<Place extends "LOCAL" | "BACKUP">(
  place: Place,
  backups: string,
  after: string,
  days: string,
): RetentionRules<Place> {
  const keep = (what: string, example: string) =>
    about(many, {
      group: "retention",
      meaning: `${what}. Applied to each database after a good ${after}.`,
      example,
      values: "1 or more",
    });
  const rules = {
    RETENTION_DAYS: about(many, {
      group: "retention",
      meaning: `How many days to keep ${backups}. After a good ${after}, older ones of this database are deleted, unless another rule keeps them.`,
      example: days,
      default: "keep all",
      values: "1 or more",
    }),
    KEEP_LAST: keep(`Keep this many of the newest ${backups}`, "3"),
    KEEP_DAILY: keep(`Keep the newest of the ${backups} of each day (UTC), for this many days that have one`, "7"),
    KEEP_WEEKLY: keep(
      `Keep the newest of the ${backups} of each week (Monday to Sunday, UTC), for this many weeks that have one`,
      "4",
    ),
    KEEP_MONTHLY: keep(`Keep the newest of the ${backups} of each month, for this many months that have one`, "12"),
    KEEP_YEARLY: keep(`Keep the newest of the ${backups} of each year, for this many years that have one`, "3"),
  };
  return Object.fromEntries(
    Object.entries(rules).map(([name, rule]) => [`${place}_${name}`, rule]),
  ) as unknown as RetentionRules<Place>;
}

const settings = {
  SITE_NAME: about(() => text().optional(), {
    group: "general",
    meaning:
      "The name of this installation in mails and logs. It also says whose a backup is: set it when two servers with databases of the same " +
      "name use one S3_PATH, when a server is cloned, and before a database is moved to another server.",
    example: "shop-production",
    default: "the host name",
  }),
  CA_FILE: about(anyText, {
    group: "general",
    meaning:
      "File (PEM) with additional certificate authorities to trust for S3, mail and webhooks. A relative path starts at the executables' folder.",
    example: "/etc/ssl/certs/company-ca.pem",
    default: "what AWS_CA_BUNDLE names, if set",
  }),

  DATABASE_URL: about(anyText, {
    group: "database",
    meaning:
      "The database as a URL. Set exactly one of DATABASE_URL, POSTGRES_CONNECTION_STRING and the DB_… settings. Special characters in the password are percent-encoded (@ is %40, # is %23, % is %25).",
    example: "postgres://backup:secret@db.example.com:5432/app?sslmode=require",
    values: "postgres://…, postgresql://… (TLS: ?sslmode=require), mysql://…, mariadb://… (TLS: ?ssl-mode=REQUIRED)",
    secret: true,
  }),
  POSTGRES_CONNECTION_STRING: about(anyText, {
    group: "database",
    meaning: "The PostgreSQL database as a libpq connection string; every libpq option is passed through.",
    example: "host=db.example.com dbname=app user=backup password=secret sslmode=verify-full",
    values: "a URI (postgres://…) or libpq's keyword form (host=… dbname=…)",
    secret: true,
  }),
  DB_TYPE: about(
    () =>
      z
        .string()
        .transform((value) => (value === "postgres" ? "postgresql" : value))
        .pipe(choice("postgresql", "mysql", "mariadb"))
        .optional(),
    {
      group: "database",
      meaning: "The kind of database, when it is named in parts.",
      example: "postgresql",
      default: "postgresql",
      values: "postgresql, mysql, mariadb",
    },
  ),
  DB_HOST: about(anyText, {
    group: "database",
    meaning: "Host name or address of the database server, or the Unix socket (a path that starts with /).",
    example: "db.example.com",
    default: "localhost",
  }),
  DB_PORT: about(() => whole(1, 65_535).optional(), {
    group: "database",
    meaning: "Port of the database server.",
    example: "5432",
    default: "5432 for PostgreSQL, 3306 for MySQL and MariaDB",
  }),
  DB_NAME: about(anyText, {
    group: "database",
    meaning: "Name of the database.",
    example: "app",
  }),
  DB_NAMES: about(() => patterns().optional(), {
    group: "database",
    meaning:
      "Several databases of the server, separated by commas. Each is backed up into a file of its own. * and ? match any characters, ! in front " +
      "leaves databases out, and a backslash makes the next character an ordinary one. Patterns never match system databases, templates, " +
      "or databases that restores make. DB_NAME, or the URL's, is then only the database to log in through.",
    example: "*,!scratch_*",
    default: "the one database that DB_NAME or the URL names",
  }),
  DB_USER: about(anyText, {
    group: "database",
    meaning: "User to log in as.",
    example: "backup",
    default: "the operating system's user",
  }),
  DB_PASSWORD: about(anyText, {
    group: "database",
    meaning: "Password of that user, exactly as it is: nothing is encoded.",
    example: "secret",
    secret: true,
  }),
  DB_CLIENT_DIR: about(anyText, {
    group: "database",
    meaning: "Folder of the database's client programs (pg_dump and psql, or mariadb-dump and mariadb) to use.",
    example: "/usr/lib/postgresql/17/bin",
    default: "the usual places of the operating system, then PATH",
  }),
  DB_DUMP_OPTIONS: about(anyText, {
    group: "database",
    meaning: "Extra options for the dump program; they are kept in the manifest, so no secrets here.",
    example: "--exclude-table-data=log",
  }),

  BACKUP_DIR: about(() => text().default("backups"), {
    group: "backup",
    meaning: "Folder of the backup files. A relative path starts at the executables' folder.",
    example: "/var/backups/app",
    default: "backups (/data/backups in the container image)",
  }),
  BACKUP_COMPRESSION: about(() => choice("gzip", "zstd", "none").default("gzip"), {
    group: "backup",
    meaning: "How backup files are compressed.",
    example: "gzip",
    default: "gzip",
    values: "gzip, zstd, none",
  }),
  BACKUP_COMPRESSION_LEVEL: about(() => whole(1, 19, "from 1 to 12 for gzip, from 1 to 19 for zstd").optional(), {
    group: "backup",
    meaning: "How hard to compress: a higher level is smaller and slower.",
    example: "6",
    default: "6 for gzip, 3 for zstd",
    values: "1 to 12 for gzip, 1 to 19 for zstd",
  }),
  BACKUP_JOBS: about(() => whole(1, 64).optional(), {
    group: "backup",
    meaning:
      "How many blocks are compressed at the same time, and over how many connections restore loads (at most 8 when it is " +
      "not set). Lower it to leave CPU and connections to other programs.",
    example: "2",
    default: "the cores available to the program",
    values: "1 to 64",
  }),
  BACKUP_ROLES: about(() => flag().optional(), {
    group: "backup",
    meaning:
      "Also back up the server's roles (PostgreSQL) or accounts (MySQL, MariaDB), with what they may do, as @roles_TIME.sql.gz. " +
      "restore --all creates those that are missing on a new server.",
    example: "true",
    default: "true with DB_NAMES, else false",
    values: "true, false",
  }),
  BACKUP_KEEP_LOCAL: about(() => flag().default(true), {
    group: "backup",
    meaning: "false: stream the backup straight to S3 and keep no local file (needs backup --upload or schedule).",
    example: "true",
    default: "true (false in the container image)",
    values: "true, false",
  }),

  ...retention("LOCAL", "local backups", "backup", "14"),
  ...retention("BACKUP", "backups in S3", "upload", "90"),

  AGE_RECIPIENTS: about(() => recipients().optional(), {
    group: "security",
    meaning:
      "Public keys to which backups are encrypted, separated by commas. Each of their private keys alone can decrypt the backups. " +
      "`help --new-key` makes a pair. The stock program age decrypts the files too.",
    // no true one: whoever forgets to replace it must not encrypt to a key that nobody has
    example: "age1-the-public-key-that-help-new-key-prints",
    default: "not encrypted",
  }),
  AGE_IDENTITY_FILE: about(anyText, {
    group: "security",
    meaning:
      "File with the private key, for restore and verify only. Keep it off the machine that only backs up. A relative path " +
      "starts at the executables' folder.",
    example: "/root/backup-key.txt",
  }),
  MANIFEST_KEY: about(() => manifestKeys().optional(), {
    group: "security",
    meaning:
      "Secret key that signs what backup writes. Once it is set, restore and verify refuse backups that are not signed with it. " +
      "To change it, put the new key in front of the old one, separated by a space: the first signs, both verify.",
    example: "what openssl rand -hex 32 prints",
    default: "not signed",
    values: "20 characters or more",
    secret: true,
  }),

  BACKUP_INTERVAL: about(anyText, {
    group: "schedule",
    meaning: "When `schedule` runs a backup, as a cron expression.",
    example: "0 3 * * *",
    values: "5 or 6 fields (with seconds first), or @hourly, @daily, @weekly, @monthly, @yearly",
  }),
  BACKUP_TIMEZONE: about(
    () => text().refine(isTimeZone, "must be a time zone name such as UTC or Europe/Berlin").default("UTC"),
    {
      group: "schedule",
      meaning: "The time zone in which BACKUP_INTERVAL is read.",
      example: "Europe/Berlin",
      default: "UTC",
      values: "a name of the IANA time zone database",
    },
  ),
  BACKUP_CATCH_UP: about(() => flag().default(false), {
    group: "schedule",
    meaning: "Whether `schedule` runs a backup at its start when one was missed while it was off.",
    example: "true",
    default: "false (true in the container image)",
    values: "true, false",
  }),
  BACKUP_GRACE_SECONDS: about(() => whole(0, 86_400).default(25), {
    group: "schedule",
    meaning:
      "How long `schedule` lets a running backup finish after SIGTERM before it is stopped cleanly. Keep it below the container's stop_grace_period.",
    example: "25",
    default: "25 (7 in the container image, because docker stop waits 10 seconds)",
    values: "seconds, 0 or more",
  }),
  VERIFY_DATABASE_URL: about(anyText, {
    group: "verify",
    meaning:
      "Server on which `verify` restores backups to prove them, as a URL like DATABASE_URL. Databases are created and dropped only there.",
    example: "postgres://verify:secret@scratch.example.com:5432/postgres",
    default: "the server of the database itself",
    secret: true,
  }),
  VERIFY_INTERVAL: about(anyText, {
    group: "verify",
    meaning: "When `schedule` runs `verify`, as a cron expression in BACKUP_TIMEZONE.",
    example: "30 4 * * 0",
    default: "never",
    values: "as BACKUP_INTERVAL",
  }),
  VERIFY_QUERY: about(anyText, {
    group: "verify",
    meaning:
      "A query that `verify` runs on the restored copy; its one value must be true. With several databases, write lines PATTERN: QUERY.",
    example: "SELECT count(*) > 1000 FROM orders",
  }),

  METRICS_FILE: about(anyText, {
    group: "schedule",
    meaning: "File to which metrics are written after every run, for Prometheus node_exporter's textfile collector.",
    example: "/var/lib/node_exporter/textfile/backup_scripts.prom",
  }),
  REPORT_FILE: about(anyText, {
    group: "schedule",
    meaning:
      "File to which an HTML page is written after every run: 90 days of each database, sizes, proofs, what retention deletes next. Or its location " +
      "in S3, below S3_PATH; keep that bucket private, or the page tells everybody the names of your databases.",
    example: "/var/www/backups/report.html",
    values: "a path, or s3://BUCKET/S3_PATH/report.html",
  }),

  S3_URL: about(() => url("http:", "https:").optional(), {
    group: "storage",
    meaning: "Endpoint of the S3-compatible storage. Not needed for AWS.",
    example: "https://s3.example.com",
    default: "AWS",
  }),
  S3_BUCKET: about(anyText, {
    group: "storage",
    meaning: "Bucket that receives the backups.",
    example: "my-backups",
  }),
  S3_PATH: about(() => pathInBucket().default(""), {
    group: "storage",
    meaning: "Folder (key prefix) within the bucket.",
    example: "production/app",
    default: "the bucket's top",
  }),
  S3_REGION: about(() => text().default("us-east-1"), {
    group: "storage",
    meaning: "Region of the bucket.",
    example: "eu-central-1",
    default: "us-east-1",
  }),
  S3_ACCESS_KEY: about(anyText, {
    group: "storage",
    meaning: "Access key. Set both keys, or neither to use AWS's own chain (profile, instance role).",
    example: "AKIAIOSFODNN7EXAMPLE",
    default: "AWS's own credential chain",
  }),
  S3_SECRET_KEY: about(anyText, {
    group: "storage",
    meaning: "Secret key that belongs to S3_ACCESS_KEY.",
    example: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    secret: true,
  }),
  S3_SESSION_TOKEN: about(anyText, {
    group: "storage",
    meaning: "Session token of temporary credentials.",
    example: "IQoJb3JpZ2luX2VjEXAMPLE",
    secret: true,
  }),
  S3_FORCE_PATH_STYLE: about(() => flag().optional(), {
    group: "storage",
    meaning: "Address the bucket as a path (https://host/bucket) instead of a host (https://bucket.host).",
    example: "true",
    default: "true when S3_URL is set, else false",
    values: "true, false",
  }),
  S3_STORAGE_CLASS: about(anyText, {
    group: "storage",
    meaning: "Storage class of uploaded backups.",
    example: "STANDARD_IA",
    default: "the bucket's default",
  }),
  REMOTE_S3_DELETE: about(() => flag().default(false), {
    group: "storage",
    meaning: "`sync` also deletes backups from S3 that no longer exist in BACKUP_DIR.",
    example: "false",
    default: "false",
    values: "true, false",
  }),
  SYNC_CLIENT: about(() => choice("sdk", "aws-cli").default("sdk"), {
    group: "storage",
    meaning: "What `sync` uses: sdk needs nothing installed; aws-cli runs `aws s3 sync`.",
    example: "sdk",
    default: "sdk",
    values: "sdk, aws-cli",
  }),

  EMAIL_NOTIFY_MODE: about(
    () => choice("SUCCESS_AND_FAILURE", "WARNING_AND_FAILURE", "FAILURE_ONLY", "NEVER").default("NEVER"),
    {
      group: "mail",
      meaning:
        "When to send a mail: after every run, only when something is wrong (recommended), only when a run failed, or never. The webhook obeys it too.",
      example: "WARNING_AND_FAILURE",
      default: "NEVER",
      values: "SUCCESS_AND_FAILURE, WARNING_AND_FAILURE, FAILURE_ONLY, NEVER",
    },
  ),
  EMAIL_FROM: about(
    () =>
      addresses()
        .refine((list) => list.length === 1, "must be one mail address")
        .transform((list) => list[0] ?? "")
        .optional(),
    {
      group: "mail",
      meaning: "Sender of the mails.",
      example: "backup@example.com",
    },
  ),
  EMAIL_TO: about(() => addresses().optional(), {
    group: "mail",
    meaning: "Who receives the mails; several are separated by commas.",
    example: "admin@example.com, oncall@example.com",
  }),
  SMTP_HOST: about(anyText, {
    group: "mail",
    meaning: "Mail server.",
    example: "smtp.example.com",
  }),
  SMTP_PORT: about(() => whole(1, 65_535).default(587), {
    group: "mail",
    meaning: "Port of the mail server.",
    example: "587",
    default: "587",
  }),
  SMTP_USER: about(anyText, {
    group: "mail",
    meaning: "User to log in to the mail server as.",
    example: "backup@example.com",
    default: "no login",
  }),
  SMTP_PASSWORD: about(anyText, {
    group: "mail",
    meaning: "Password of that user.",
    example: "secret",
    secret: true,
  }),
  SMTP_SECURITY: about(() => choice("starttls", "tls", "none").optional(), {
    group: "mail",
    meaning: "Encryption: starttls (required, never skipped), tls from the first byte, or none.",
    example: "starttls",
    default: "tls on port 465, else starttls",
    values: "starttls, tls, none",
  }),

  NOTIFY_WEBHOOK_URL: about(() => listOf(url("http:", "https:")).optional(), {
    group: "notices",
    meaning:
      "Receives the outcome of a run by POST, when EMAIL_NOTIFY_MODE would send a mail. Several addresses are separated by spaces.",
    example: "https://hooks.slack.com/services/T000/B000/XXXX",
    secret: true,
  }),
  NOTIFY_WEBHOOK_FORMAT: about(
    () => listOf(choice("json", "slack", "discord", "teams", "ntfy", "telegram", "gotify")).optional(),
    {
      group: "notices",
      meaning:
        "What the webhook receives: the complete outcome (json), or a short message for a chat or push service (Mattermost and Rocket.Chat take slack). For several addresses: one format for all, or one for each, separated by spaces.",
      example: "slack",
      default: "the service that the address belongs to, else json",
      values: "json, slack, discord, teams, ntfy, telegram, gotify",
    },
  ),
  HEALTHCHECK_URL: about(() => url("http:", "https:").optional(), {
    group: "notices",
    meaning:
      "Dead man's switch (healthchecks.io, a push monitor of Uptime Kuma, and similar services): pinged when a run starts, succeeds or fails, by every script that runs with it. Where sync and restore share the settings file, set it for backup alone: HEALTHCHECK_URL_FILE=/path in front of the command in its crontab.",
    example: "https://hc-ping.com/00000000-0000-0000-0000-000000000000",
    secret: true,
  }),

  LOG_LEVEL: about(() => choice("debug", "info", "warn", "error").default("info"), {
    group: "log",
    meaning: "The least important lines that are still logged.",
    example: "info",
    default: "info",
    values: "debug, info, warn, error",
  }),
  LOG_FORMAT: about(() => choice("text", "json").default("text"), {
    group: "log",
    meaning: "One line of text or one JSON object a line.",
    example: "text",
    default: "text (json in the container image)",
    values: "text, json",
  }),
};

type Rules = { [Name in keyof typeof settings]: ReturnType<(typeof settings)[Name]["rule"]> };
export const schema = z.lazy(() =>
  z.object(Object.fromEntries(Object.entries(settings).map(([name, { rule }]) => [name, rule()])) as unknown as Rules),
);

/** Every setting, checked. A setting that was left empty counts as not set. */
export type Settings = z.output<typeof schema>;
export type SettingName = keyof Settings;

export const settingNames = Object.keys(settings) as SettingName[];

/** What a person is told of a setting. */
export const aboutSetting = (name: SettingName): About => settings[name].facts;

export const secretNames = settingNames.filter((name) => aboutSetting(name).secret);
