/** What a person can ask of backup, restore and verify, and the command lines that ask it. */
import { join, resolve } from "node:path";
import { quote } from "../base/process.ts";
import { flag, type Job, type OptionsOf, value } from "../run/script.ts";

const file = { file: value("Name of a backup in BACKUP_DIR (in S3: or its location s3://...), or a path") };

export const backupOptions = {
  upload: flag("Send the backup to S3 while it is written"),
  database: {
    ...value("Only these databases of the server, by their names, instead of what DB_NAMES or DB_NAME says"),
    array: true,
  },
  accept: flag("Take this backup as the new normal, although much is missing in it"),
  "dry-run": flag("Check everything, change nothing"),
} as const;
export type BackupOptions = OptionsOf<typeof backupOptions>;

export const verifyOptions = {
  "from-s3": flag("Fetch the backup from S3"),
  database: value("Prove the newest backup of the database NAME"),
  all: flag("Prove a backup of every database of the server"),
  "dry-run": flag("Read the backup to its end; change nothing"),
} as const;
export type VerifyOptions = OptionsOf<typeof file & typeof verifyOptions>;

export const restoreOptions = {
  "from-s3": flag("Fetch the backup from S3"),
  database: value("Restore the database NAME of the server"),
  all: flag("Restore the server's roles that are missing, and the newest backup of every database"),
  before: {
    ...value("The newest backup made before TIME: 2026-01-31 or 2026-01-31T18:00, in UTC or with an offset (+02:00)"),
    coerce: (text: string | undefined) => (text === undefined ? undefined : parseTime(text)),
  },
  into: value("Restore into another database NAME, which is created; the present one is not touched"),
  "keep-going": flag("PostgreSQL, with --into: continue after what cannot be loaded, and list it"),
  "in-place": flag("Remove everything from the present database, then load; it is backed up first"),
  replace: flag("Restore the backup even if it lacks tables or rows that the database has"),
  "drop-before": flag("Drop NAME_before_TIME, the state before the restore, when the restore has succeeded"),
  undo: value("MySQL, MariaDB: take a restore back; NAME is the database (app_before_TIME) that it has kept"),
  "no-owner": flag("Leave out ownership and privileges (MySQL, MariaDB: definers)"),
  "no-safety-backup": flag("In place: do not back up the present state first"),
  "keep-safety-backup": flag("Accepted, and without effect: that backup is always kept"),
  swap: flag("Accepted, and without effect: a restore is beside the present database anyway"),
  unsigned: flag("Restore the named FILE although MANIFEST_KEY is set and it is not signed with it"),
  yes: { ...flag("Do not ask"), alias: "y" },
  "dry-run": flag("Check everything, change nothing"),
} as const;
export type RestoreOptions = OptionsOf<typeof file & typeof restoreOptions>;

/** The argument of restore and verify. */
export const fileArgument = file;

/** `2026-01-31` or `2026-01-31T18:00`, in UTC or with an offset. Throws an `Error` that yargs reports as wrong usage. */
export function parseTime(text: string): Date {
  const found = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?))?(Z|[+-]\d\d:?\d\d)?$/.exec(text);
  const [, day = "", clock = "00:00", offset = "Z"] = found ?? [];
  const time = new Date(`${day}T${clock}${offset}`);
  // the 30th of February would be taken for the 2nd of March
  const isDay = !Number.isNaN(Date.parse(day)) && new Date(day).toISOString().startsWith(day);
  if (isDay && !Number.isNaN(time.getTime())) return time;
  throw new Error(`${text} is not a time: write 2026-01-31 or 2026-01-31T18:00, in UTC or with an offset (+02:00)`);
}

/** What contradicts itself in a restore's options, as a sentence. */
export function contradictionIn(words: RestoreOptions): string | undefined {
  const { all, database, file: name, fromS3, before, into, inPlace, dropBefore, unsigned, undo } = words;
  const rules: readonly (readonly [boolean, string])[] = [
    [into !== undefined && inPlace, "--into and --in-place contradict each other"],
    [
      all && [database, name, into, undo].some((one) => one !== undefined),
      "--all restores every database: leave out --database, --into, --undo and FILE",
    ],
    [into === "", "--into: name a database"],
    [
      undo !== undefined && [name, before, into, inPlace, dropBefore, words.dryRun].some(Boolean),
      "--undo NAME takes a restore back and needs no other option",
    ],
    [into !== undefined && dropBefore, "--into replaces nothing: --drop-before has no meaning"],
    [words.swap && inPlace, "--swap and --in-place contradict each other"],
    [dropBefore && inPlace, "--in-place keeps no database: --drop-before has no meaning"],
    [before !== undefined && name !== undefined, "--before chooses a backup: do not name a FILE too"],
    [
      words.keepGoing && into === undefined,
      "--keep-going needs --into NAME: only complete backups are restored into the present database",
    ],
    [
      words.noSafetyBackup && words.keepSafetyBackup,
      "--keep-safety-backup and --no-safety-backup contradict each other",
    ],
    [unsigned && name === undefined, "--unsigned: name the backup that is to be restored unsigned"],
    [name?.startsWith("s3://") === true && !fromS3, `${name} lies in S3: add --from-s3`],
  ];
  return rules.find(([breaks]) => breaks)?.[1];
}

/** A command line that calls `restore` with the settings of this run, for the database of this run. */
export function restoreCommand({ home, options, settings }: Job, words: readonly string[]): string {
  const { envFile } = options as { envFile?: string };
  const { DB_NAMES, DB_NAME } = settings;
  const isNamed = DB_NAMES === undefined || DB_NAME === undefined || words.includes("--database");
  return [
    join(home, "restore"),
    ...(envFile === undefined ? [] : ["--env-file", resolve(envFile)]),
    ...(isNamed ? [] : ["--database", DB_NAME]),
    ...words,
  ]
    .map(quote)
    .join(" ");
}
