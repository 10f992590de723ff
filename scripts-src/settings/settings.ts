/**
 * The one place where a setting's name, meaning, default, example and rule are written.
 * Reading, checking, `help`, `example.env.sh` and the table in DOCUMENTATION.md all come from it.
 */
import { hostname } from "node:os";
import { messageOf } from "../base/errors.ts";
import {
  endpoint,
  address,
  addresses,
  databaseType,
  flag,
  listOf,
  manifestKeys,
  oneOf,
  or,
  pathInBucket,
  patterns,
  queries,
  recipients,
  type Rule,
  text,
  timeZone,
  url,
  whole,
} from "./rules.ts";

/** Groups in the order in which a person meets them. */
const groups = {
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
type Group = keyof typeof groups;

/** What is written of a setting. */
interface Setting {
  /** Absent: any text. */
  rule?: Rule<unknown> & { standard?: string | number | boolean };
  /** One or two sentences. */
  meaning: string;
  /** A value as it would stand in .env.sh, without quotes. */
  example: string;
  /** What holds when it is not set, where that is no value; absent: the rule's standard, or nothing. */
  default?: string;
  /** The default in the container image, where that is another one. */
  inImage?: string;
  /** Valid values, where neither the rule nor the meaning says them. */
  values?: string;
  /** Never logged, mailed, put on a command line or in a manifest; may be given as NAME_FILE. */
  secret?: true;
}

type RetentionRule = "RETENTION_DAYS" | "KEEP_LAST" | "KEEP_DAILY" | "KEEP_WEEKLY" | "KEEP_MONTHLY" | "KEEP_YEARLY";
type Retention<Place extends string> = Record<`${Place}_${RetentionRule}`, Setting & { rule: Rule<number> }>;

/** What keeps the backups of one place: days, and numbers with restic's words and meaning. */
function retention<Place extends string>(place: Place, backups: string, after: string, days: string): Retention<Place> {
  const rule = whole(1, 36_500);
  const keep = (what: string, example: string): Setting => ({
    rule,
    meaning: `${what}. Applied to each database after a good ${after}.`,
    example,
  });
  const rules: Record<RetentionRule, Setting> = {
    RETENTION_DAYS: {
      rule,
      meaning: `How many days to keep ${backups}. After a good ${after}, older ones of this database are deleted, unless another rule keeps them.`,
      example: days,
      default: "keep all",
    },
    KEEP_LAST: keep(`Keep this many of the newest ${backups}`, "3"),
    KEEP_DAILY: keep(`Keep the newest of the ${backups} of each day (UTC), for this many days that have one`, "7"),
    KEEP_WEEKLY: keep(
      `Keep the newest of the ${backups} of each week (Monday to Sunday, UTC), for this many weeks that have one`,
      "4",
    ),
    KEEP_MONTHLY: keep(`Keep the newest of the ${backups} of each month, for this many months that have one`, "12"),
    KEEP_YEARLY: keep(`Keep the newest of the ${backups} of each year, for this many years that have one`, "3"),
  };
  return Object.fromEntries(Object.entries(rules).map(([name, one]) => [`${place}_${name}`, one])) as Retention<Place>;
}

const settings = {
  general: {
    SITE_NAME: {
      meaning:
        "The name of this installation in mails and logs. It also says whose a backup is: set it when two servers with databases of the same " +
        "name use one S3_PATH, when a server is cloned, and before a database is moved to another server.",
      example: "shop-production",
      default: "the host name",
    },
    CA_FILE: {
      meaning:
        "File (PEM) with additional certificate authorities to trust for S3, mail and webhooks. A relative path starts at the executables' folder.",
      example: "/etc/ssl/certs/company-ca.pem",
      default: "what AWS_CA_BUNDLE names, if set",
    },
  },
  database: {
    DATABASE_URL: {
      meaning:
        "The database as a URL. Set exactly one of DATABASE_URL, POSTGRES_CONNECTION_STRING and the DB_… settings. Special characters in the password are percent-encoded (@ is %40, # is %23, % is %25).",
      example: "postgres://backup:secret@db.example.com:5432/app?sslmode=require",
      values: "postgres://…, postgresql://… (TLS: ?sslmode=require), mysql://…, mariadb://… (TLS: ?ssl-mode=REQUIRED)",
      secret: true,
    },
    POSTGRES_CONNECTION_STRING: {
      meaning: "The PostgreSQL database as a libpq connection string; every libpq option is passed through.",
      example: "host=db.example.com dbname=app user=backup password=secret sslmode=verify-full",
      values: "a URI (postgres://…) or libpq's keyword form (host=… dbname=…)",
      secret: true,
    },
    DB_TYPE: {
      rule: databaseType,
      meaning: "The kind of database, when it is named in parts.",
      example: "postgresql",
      default: "postgresql",
    },
    DB_HOST: {
      meaning: "Host name or address of the database server, or the Unix socket (a path that starts with /).",
      example: "db.example.com",
      default: "localhost",
    },
    DB_PORT: {
      rule: whole(1, 65_535),
      meaning: "Port of the database server.",
      example: "5432",
      default: "5432 for PostgreSQL, 3306 for MySQL and MariaDB",
    },
    DB_NAME: { meaning: "Name of the database.", example: "app" },
    DB_NAMES: {
      rule: patterns,
      meaning:
        "Several databases of the server, separated by commas. Each is backed up into a file of its own. * and ? match any characters, ! in front " +
        "leaves databases out, and a backslash makes the next character an ordinary one. Patterns never match system databases, templates, " +
        "or databases that restores make. DB_NAME, or the URL's, is then only the database to log in through.",
      example: "*,!scratch_*",
      default: "the one database that DB_NAME or the URL names",
    },
    DB_USER: { meaning: "User to log in as.", example: "backup", default: "the operating system's user" },
    DB_PASSWORD: {
      meaning: "Password of that user, exactly as it is: nothing is encoded.",
      example: "secret",
      secret: true,
    },
    DB_CLIENT_DIR: {
      meaning: "Folder of the database's client programs (pg_dump and psql, or mariadb-dump and mariadb) to use.",
      example: "/usr/lib/postgresql/17/bin",
      default: "the usual places of the operating system, then PATH",
    },
    DB_DUMP_OPTIONS: {
      meaning: "Extra options for the dump program; they are kept in the manifest, so no secrets here.",
      example: "--exclude-table-data=log",
    },
  },
  backup: {
    BACKUP_DIR: {
      rule: or(text, "backups"),
      meaning: "Folder of the backup files. A relative path starts at the executables' folder.",
      example: "/var/backups/app",
      inImage: "/data/backups",
    },
    BACKUP_COMPRESSION: {
      rule: or(oneOf("gzip", "zstd", "none"), "gzip"),
      meaning: "How backup files are compressed.",
      example: "gzip",
    },
    BACKUP_COMPRESSION_LEVEL: {
      rule: whole(1, 19, "1 to 12 for gzip, 1 to 19 for zstd"),
      meaning: "How hard to compress: a higher level is smaller and slower.",
      example: "6",
      default: "5 for gzip, 3 for zstd",
    },
    BACKUP_JOBS: {
      rule: whole(1, 64),
      meaning:
        "How many blocks are compressed at the same time, and over how many connections restore loads (at most 8 when it is " +
        "not set). Lower it to leave CPU and connections to other programs.",
      example: "2",
      default: "the cores available to the program",
    },
    BACKUP_ROLES: {
      rule: flag,
      meaning:
        "Also back up the server's roles (PostgreSQL) or accounts (MySQL, MariaDB), with what they may do, as @roles_TIME.sql.gz. " +
        "restore --all creates those that are missing on a new server.",
      example: "true",
      default: "true with DB_NAMES, else false",
    },
    BACKUP_KEEP_LOCAL: {
      rule: or(flag, true),
      meaning: "false: stream the backup straight to S3 and keep no local file (needs backup --upload or schedule).",
      example: "true",
      inImage: "false",
    },
  },
  retention: {
    ...retention("LOCAL", "local backups", "backup", "14"),
    ...retention("BACKUP", "backups in S3", "upload", "90"),
  },
  verify: {
    VERIFY_DATABASE_URL: {
      meaning:
        "Server on which `verify` restores backups to prove them, as a URL like DATABASE_URL. Databases are created and dropped only there.",
      example: "postgres://verify:secret@scratch.example.com:5432/postgres",
      default: "the server of the database itself",
      secret: true,
    },
    VERIFY_INTERVAL: {
      meaning: "When `schedule` runs `verify`, as a cron expression in BACKUP_TIMEZONE.",
      example: "30 4 * * 0",
      default: "never",
      values: "as BACKUP_INTERVAL",
    },
    VERIFY_QUERY: {
      rule: queries,
      meaning:
        "A query that `verify` runs on the restored copy; its one value must be true. With several databases, write lines PATTERN: QUERY, with patterns as in DB_NAMES.",
      example: "SELECT count(*) > 1000 FROM orders",
    },
  },
  security: {
    AGE_RECIPIENTS: {
      rule: recipients,
      meaning:
        "Public keys to which backups are encrypted, separated by commas. Each of their private keys alone can decrypt the backups. " +
        "`help --new-key` makes a pair. The stock program age decrypts the files too.",
      // no true one: whoever forgets to replace it must not encrypt to a key that nobody has
      example: "age1-the-public-key-that-help-new-key-prints",
      default: "not encrypted",
    },
    AGE_IDENTITY_FILE: {
      meaning:
        "File with the private key, for restore and verify only. Keep it off the machine that only backs up. A relative path " +
        "starts at the executables' folder.",
      example: "/root/backup-key.txt",
    },
    MANIFEST_KEY: {
      rule: manifestKeys,
      meaning:
        "Secret key that signs what backup writes. Once it is set, restore and verify refuse backups that are not signed with it. " +
        "To change it, put the new key in front of the old one, separated by a space: the first signs, both verify.",
      example: "what openssl rand -hex 32 prints",
      default: "not signed",
      secret: true,
    },
  },
  schedule: {
    BACKUP_INTERVAL: {
      meaning: "When `schedule` runs a backup, as a cron expression.",
      example: "0 3 * * *",
      values: "5 or 6 fields (with seconds first), or @hourly, @daily, @weekly, @monthly, @yearly",
    },
    BACKUP_TIMEZONE: {
      rule: or(timeZone, "UTC"),
      meaning: "The time zone in which BACKUP_INTERVAL is read.",
      example: "Europe/Berlin",
    },
    BACKUP_CATCH_UP: {
      rule: or(flag, false),
      meaning: "Whether `schedule` runs a backup at its start when one was missed while it was off.",
      example: "true",
      inImage: "true",
    },
    BACKUP_GRACE_SECONDS: {
      rule: or(whole(0, 86_400), 25),
      meaning:
        "How many seconds `schedule` lets a running backup finish after SIGTERM before it is stopped cleanly. Keep it below the container's stop_grace_period.",
      example: "25",
      inImage: "7",
    },
    METRICS_FILE: {
      meaning: "File to which metrics are written after every run, for Prometheus node_exporter's textfile collector.",
      example: "/var/lib/node_exporter/textfile/backup_scripts.prom",
    },
    REPORT_FILE: {
      meaning:
        "File to which an HTML page is written after every run: 90 days of each database, sizes, proofs, what retention deletes next. Or its location " +
        "in S3, below S3_PATH; keep that bucket private, or the page tells everybody the names of your databases.",
      example: "/var/www/backups/report.html",
      values: "a path, or s3://BUCKET/S3_PATH/report.html",
    },
  },
  storage: {
    S3_URL: {
      rule: endpoint,
      meaning: "Endpoint of the S3-compatible storage. Not needed for AWS.",
      example: "https://s3.example.com",
      default: "AWS",
    },
    S3_BUCKET: { meaning: "Bucket that receives the backups.", example: "my-backups" },
    S3_PATH: {
      rule: or(pathInBucket, ""),
      meaning: "Folder (key prefix) within the bucket.",
      example: "production/app",
      default: "the bucket's top",
    },
    S3_REGION: { rule: or(text, "us-east-1"), meaning: "Region of the bucket.", example: "eu-central-1" },
    S3_ACCESS_KEY: {
      meaning: "Access key. Set both keys, or neither to use AWS's own chain (profile, instance role).",
      example: "AKIAIOSFODNN7EXAMPLE",
      default: "AWS's own credential chain",
    },
    S3_SECRET_KEY: {
      meaning: "Secret key that belongs to S3_ACCESS_KEY.",
      example: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
      secret: true,
    },
    S3_SESSION_TOKEN: {
      meaning: "Session token of temporary credentials.",
      example: "IQoJb3JpZ2luX2VjEXAMPLE",
      secret: true,
    },
    S3_FORCE_PATH_STYLE: {
      rule: flag,
      meaning: "Address the bucket as a path (https://host/bucket) instead of a host (https://bucket.host).",
      example: "true",
      default: "true when S3_URL is set, else false",
    },
    S3_STORAGE_CLASS: {
      meaning: "Storage class of uploaded backups.",
      example: "STANDARD_IA",
      default: "the bucket's default",
    },
    REMOTE_S3_DELETE: {
      rule: or(flag, false),
      meaning: "`sync` also deletes backups from S3 that no longer exist in BACKUP_DIR.",
      example: "false",
    },
    SYNC_CLIENT: {
      rule: or(oneOf("sdk", "aws-cli"), "sdk"),
      meaning: "What `sync` uses: sdk needs nothing installed; aws-cli runs `aws s3 sync`.",
      example: "sdk",
    },
  },
  mail: {
    EMAIL_NOTIFY_MODE: {
      rule: or(oneOf("SUCCESS_AND_FAILURE", "WARNING_AND_FAILURE", "FAILURE_ONLY", "NEVER"), "NEVER"),
      meaning:
        "When to send a mail: after every run, only when something is wrong (recommended), only when a run failed, or never. The webhook obeys it too.",
      example: "WARNING_AND_FAILURE",
    },
    EMAIL_FROM: { rule: address, meaning: "Sender of the mails.", example: "backup@example.com" },
    EMAIL_TO: {
      rule: addresses,
      meaning: "Who receives the mails; several are separated by commas.",
      example: "admin@example.com, oncall@example.com",
    },
    SMTP_HOST: { meaning: "Mail server.", example: "smtp.example.com" },
    SMTP_PORT: { rule: or(whole(1, 65_535), 587), meaning: "Port of the mail server.", example: "587" },
    SMTP_USER: {
      meaning: "User to log in to the mail server as.",
      example: "backup@example.com",
      default: "no login",
    },
    SMTP_PASSWORD: { meaning: "Password of that user.", example: "secret", secret: true },
    SMTP_SECURITY: {
      rule: oneOf("starttls", "tls", "none"),
      meaning: "Encryption: starttls (required, never skipped), tls from the first byte, or none.",
      example: "starttls",
      default: "tls on port 465, else starttls",
    },
  },
  notices: {
    NOTIFY_WEBHOOK_URL: {
      rule: listOf(url),
      meaning:
        "Receives the outcome of a run by POST, when EMAIL_NOTIFY_MODE would send a mail. Several addresses are separated by spaces.",
      example: "https://hooks.slack.com/services/T000/B000/XXXX",
      secret: true,
    },
    NOTIFY_WEBHOOK_FORMAT: {
      rule: listOf(oneOf("json", "slack", "discord", "teams", "ntfy", "telegram", "gotify")),
      meaning:
        "What the webhook receives: the complete outcome (json), or a short message for a chat or push service (Mattermost and Rocket.Chat take slack). For several addresses: one format for all, or one for each, separated by spaces.",
      example: "slack",
      default: "the service that the address belongs to, else json",
    },
    HEALTHCHECK_URL: {
      rule: url,
      meaning:
        "Dead man's switch (healthchecks.io, a push monitor of Uptime Kuma, and similar services): pinged when a run starts, succeeds or fails, by every script that runs with it. Where sync and restore share the settings file, set it for backup alone: HEALTHCHECK_URL_FILE=/path in front of the command in its crontab.",
      example: "https://hc-ping.com/00000000-0000-0000-0000-000000000000",
      secret: true,
    },
  },
  log: {
    LOG_LEVEL: {
      rule: or(oneOf("debug", "info", "warn", "error"), "info"),
      meaning: "The least important lines that are still logged.",
      example: "info",
    },
    LOG_FORMAT: {
      rule: or(oneOf("text", "json"), "text"),
      meaning: "One line of text or one JSON object a line.",
      example: "text",
      inImage: "json",
    },
  },
} satisfies Record<Group, Readonly<Record<string, Setting>>>;

type Declared = MergeOf<(typeof settings)[Group]>;
/** One object type with the members of all. */
type MergeOf<Union> = (Union extends unknown ? (one: Union) => void : never) extends (all: infer All) => void
  ? All
  : never;
export type SettingName = keyof Declared;
type Values = { [Name in SettingName]: Declared[Name] extends { rule: Rule<infer Value> } ? Value : string };
type WithStandard = { [Name in SettingName]: Declared[Name] extends { rule: { standard: unknown } } ? Name : never };

/** Every setting, checked. A setting that was left empty counts as not set. */
export type Settings = Pick<Values, WithStandard[SettingName]> & { [Name in SettingName]?: Values[Name] | undefined };

const declared = Object.assign({}, ...Object.values(settings)) as Readonly<Record<SettingName, Setting>>;

export const settingNames = Object.keys(declared) as readonly SettingName[];

/** The title of each group, and its settings. */
export const settingsByGroup: readonly { title: string; names: readonly SettingName[] }[] = Object.entries(groups).map(
  ([group, title]) => ({ title, names: Object.keys(settings[group as Group]) as SettingName[] }),
);

/** What a person is told of a setting. */
export function aboutSetting(name: SettingName) {
  const { rule, ...facts } = declared[name];
  const { values = rule?.values, default: inWords = rule?.standard, inImage } = facts;
  const elsewhere = inImage === undefined ? "" : ` (${inImage} in the container image)`;
  return { ...facts, values, default: inWords === undefined ? undefined : `${inWords}${elsewhere}` };
}

export const secretNames = settingNames.filter((name) => aboutSetting(name).secret);

/**
 * The settings that these texts mean. `refuse` is told what is wrong with one; that one then counts as not set. Without `refuse` it is
 * thrown.
 */
export function settingsFrom(texts: Readonly<Record<string, string>>, refuse = fail): Settings {
  const values = settingNames.map((name) => {
    const [{ rule }, given] = [declared[name], texts[name]];
    try {
      if (given !== undefined) return [name, rule ? rule.read(given) : given];
    } catch (error) {
      refuse(name, messageOf(error));
    }
    return [name, rule?.standard];
  });
  return Object.fromEntries(values.filter(([, value]) => value !== undefined)) as Settings;
}

function fail(name: SettingName, message: string): void {
  throw new Error(`${name} ${message}`);
}

/** The name of this installation: SITE_NAME, or the host name. */
export const siteOf = ({ SITE_NAME }: Pick<Settings, "SITE_NAME">): string => SITE_NAME ?? hostname();
