/** restore: check a backup to its last byte, decide how it can be restored, say so, then do it. */
import type { Argv } from "yargs";
import { confirm, isAnyoneThere } from "../run/ask.ts";
import { type Check, checkAll } from "../run/checklist.ts";
import type { Job, Script } from "../run/script.ts";
import { openDatabase } from "../database/open.ts";
import { lookAtFolder } from "../places/folder.ts";
import { backupFolder, nameDatabase } from "../steps/backup-folder.ts";
import { checkBackup } from "../steps/check-backup.ts";
import { inDatabase } from "../steps/choose-databases.ts";
import { checkNotices } from "../steps/check-notices.ts";
import { describeRestore } from "../steps/describe-restore.ts";
import { checkLogin, type Target } from "../steps/dry-run-checks.ts";
import { checkFolderAndLock } from "../steps/lock-folder.ts";
import { openChosen } from "../steps/open-chosen.ts";
import { planRestore } from "../steps/plan-restore.ts";
import { planServer, restoreServer } from "../steps/restore-all.ts";
import { restoreOne } from "../steps/restore-one.ts";
import { parseTime, type RestoreOptions } from "../steps/restore-options.ts";

export const restore: Script<RestoreOptions> = {
  name: "restore",
  summary:
    "Restores the database from a backup: the newest one in BACKUP_DIR or S3, or the one that is named. The backup is\n" +
    "checked to its last byte and loaded into a new database, which takes the place of the present one when its rows are complete.\n" +
    "A restore that fails changes nothing. The present state stays as NAME_before_TIME; the last lines say how to take the restore back.",
  usage:
    "[FILE] [--from-s3] [--database NAME | --all] [--before TIME] [--into NAME [--keep-going] | --in-place] [--replace] [--drop-before] [--undo NAME] [--no-owner] [--unsigned] [--yes] [--dry-run]",
  positionals: "[file]",
  examples: [
    ["restore", "restore the newest backup of the database"],
    ["restore app_2026-01-31_03-00-00.sql.gz", "restore that backup from BACKUP_DIR"],
    ["restore --before 2026-01-31T18:00", "restore the newest backup that was made before that time (UTC)"],
    ["restore /mnt/usb/dump.sql.zst", "restore a file from anywhere, also one made by pg_dump or mysqldump"],
    ["restore --from-s3", "fetch the newest backup of the database from S3 and restore it"],
    ["restore --all --from-s3", "restore a server: roles and databases that are missing"],
    ["restore --into app_look", "restore into another, new database; the present one is not touched"],
    ["restore --no-owner", "restore on a server that lacks the roles or accounts"],
    ["restore --undo app_before_TIME", "MySQL, MariaDB: take that restore back"],
    ["restore --dry-run", "check the backup and compare it with the database; change nothing"],
  ],
  options: (yargs: Argv) =>
    yargs
      .positional("file", {
        type: "string",
        describe: "Name of a backup in BACKUP_DIR (in S3: or its location s3://...), or a path",
      })
      .check(checkUsage)
      .option("from-s3", flag("Fetch the backup from S3"))
      .option("database", { type: "string", requiresArg: true, describe: "Restore the database NAME of the server" })
      .option("all", flag("Restore the server's roles that are missing, and the newest backup of every database"))
      .option("before", {
        type: "string",
        requiresArg: true,
        coerce: (text: string | undefined) => (text === undefined ? undefined : parseTime(text)),
        describe:
          "The newest backup made before TIME: 2026-01-31 or 2026-01-31T18:00, in UTC or with an offset (+02:00)",
      })
      .option("into", {
        type: "string",
        requiresArg: true,
        describe: "Restore into another database NAME, which is created; the present one is not touched",
      })
      .option("keep-going", flag("With --into: go on behind what cannot be loaded, and list it"))
      .option("in-place", flag("Remove everything from the present database, then load; it is backed up first"))
      .option("replace", flag("Restore also a backup that lacks tables or rows which the database has"))
      .option(
        "drop-before",
        flag("Drop NAME_before_TIME, the state before the restore, when the restore has succeeded"),
      )
      .option("undo", {
        type: "string",
        requiresArg: true,
        describe: "MySQL, MariaDB: take a restore back; NAME is the database (app_before_TIME) that it has kept",
      })
      .option("no-owner", flag("Leave out ownership and privileges (MySQL, MariaDB: definers)"))
      .option("no-safety-backup", flag("In place: do not back up the present state first"))
      .option("keep-safety-backup", flag("In place: keep that backup (it is always kept)"))
      .option("swap", flag("Restore beside the present database; this is what happens anyway"))
      .option("unsigned", flag("Restore the named FILE although MANIFEST_KEY is set and it is not signed with it"))
      .option("yes", { alias: "y", ...flag("Do not ask") })
      .option("dry-run", flag("Check everything, change nothing")),
  needs: ({ fromS3 }) => (fromS3 ? ["database", "storage"] : ["database"]),
  conflicts: ({ all, database }, { DB_NAMES }) =>
    DB_NAMES === undefined || all || database !== undefined
      ? []
      : ["DB_NAMES names several databases: add --database NAME, or --all"],
  reports: ({ dryRun }) => !dryRun,

  async act(given) {
    const { options, log, signal } = given;
    const job =
      options.database === undefined ? given : { ...given, settings: inDatabase(given.settings, options.database) };
    if (options.dryRun)
      return { summary: "", output: await checkAll(options.all ? serverChecks(job) : restoreChecks(job)) };
    const agree = async (description: string) =>
      isAnyoneThere() && !options.yes ? confirm(`${description}\n`, signal) : log.info(description);
    if (!options.all) return { summary: await restoreOne(job, agree) };
    const plan = await planServer(job);
    await agree(plan.description);
    return restoreServer(job, plan);
  },
};

const flag = (describe: string) => ({ type: "boolean", default: false, describe }) as const;

/** Throws what yargs tells as wrong usage. */
function checkUsage(words: Record<string, unknown>): true {
  const {
    all,
    database,
    file,
    fromS3,
    before,
    into,
    inPlace,
    swap,
    keepGoing,
    dropBefore,
    noSafetyBackup,
    keepSafetyBackup,
    unsigned,
    undo,
    dryRun,
  } = words;
  const wrong = [
    [into !== undefined && inPlace, "--into and --in-place contradict each other"],
    [
      all && [database, file, into, undo].some((one) => one !== undefined),
      "--all restores every database: it goes with neither --database, --into, --undo nor a FILE",
    ],
    [into === "", "--into: name a database"],
    [
      undo !== undefined && [file, before, into, inPlace, dropBefore, dryRun].some(Boolean),
      "--undo NAME takes a restore back and needs no other option",
    ],
    [into !== undefined && dropBefore, "--into replaces nothing: --drop-before has no meaning"],
    [swap && inPlace, "--swap and --in-place contradict each other"],
    [dropBefore && inPlace, "--in-place keeps no database: --drop-before has no meaning"],
    [before !== undefined && file !== undefined, "--before chooses a backup: do not name a FILE too"],
    [
      keepGoing && into === undefined,
      "--keep-going needs --into NAME: the present database gets complete backups alone",
    ],
    [noSafetyBackup && keepSafetyBackup, "--keep-safety-backup and --no-safety-backup contradict each other"],
    [unsigned && file === undefined, "--unsigned: name the backup that is to be restored unsigned"],
    [typeof file === "string" && file.startsWith("s3://") && !fromS3, `${String(file)} lies in S3: add --from-s3`],
  ] as const;
  const found = wrong.find(([is]) => is);
  if (found) throw new Error(found[1]);
  return true;
}

/** What a dry run looks at. */
function restoreChecks(job: Job<RestoreOptions>): Check[] {
  const database = openDatabase(job.settings, job);
  nameDatabase(job, database);
  const target: Target = { database };
  const folder = backupFolder(job);
  return [
    checkLogin(job, target, { mayBeMissing: true }),
    checkFolderAndLock(database, folder),
    { what: "backup", look: async () => checkChosen(job, target, folder) },
    ...checkNotices(job.settings),
  ];
}

async function checkChosen(job: Job<RestoreOptions>, target: Target, folder: string): Promise<string> {
  const { options } = job;
  const { connected } = target;
  // BACKUP_DIR is not made for it
  const place = options.fromS3 ? (await lookAtFolder(folder)).nearest : folder;
  await using file = await openChosen(job, target, place);
  const contents = await checkBackup(job, target, file);
  const good = `${file.name} is complete and intact`;
  if (!connected) return `${good}; not compared with the database`;
  return `${good}; ${describeRestore(await planRestore(job, connected, file, contents), options)}`;
}

const serverChecks = (job: Job<RestoreOptions>): Check[] => [
  { what: "plan", look: async () => (await planServer(job)).description },
  ...checkNotices(job.settings),
];
