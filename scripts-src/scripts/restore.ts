/** restore: check a backup to its last byte, decide how it can be restored, say so, then do it. */
import type { Argv } from "yargs";
import { confirm, isAnyoneThere } from "../run/ask.ts";
import { type Check, checkAll } from "../run/checklist.ts";
import type { Job, Script } from "../run/script.ts";
import { openDatabase } from "../database/open.ts";
import { inFolder, lookAtFolder } from "../places/folder.ts";
import { backupFolder, nameDatabase } from "../steps/backup-folder.ts";
import { carryOut } from "../steps/carry-out-restore.ts";
import { checkBackup } from "../steps/check-backup.ts";
import { checkNotices } from "../steps/check-notices.ts";
import { describeRestore } from "../steps/describe-restore.ts";
import { checkLogin, type Target } from "../steps/dry-run-checks.ts";
import { checkFolderAndLock, lockFolder } from "../steps/lock-folder.ts";
import { openChosen } from "../steps/open-chosen.ts";
import { planRestore } from "../steps/plan-restore.ts";
import { parseTime, type RestoreOptions } from "../steps/restore-options.ts";
import { undoRestore } from "../steps/undo-restore.ts";

export const restore: Script<RestoreOptions> = {
  name: "restore",
  summary:
    "Restores the database from a backup: the newest one in BACKUP_DIR or S3, or the one that is named. The backup is\n" +
    "checked to its last byte and loaded into a new database, which takes the place of the present one when its rows are complete.\n" +
    "A restore that fails changes nothing. The present state stays as NAME_before_TIME; the last lines say how to take the restore back.",
  usage:
    "[FILE] [--from-s3] [--before TIME] [--into NAME [--keep-going] | --in-place] [--replace] [--drop-before] [--undo NAME] [--no-owner] [--unsigned] [--yes] [--dry-run]",
  positionals: "[file]",
  examples: [
    ["restore", "restore the newest backup of the database"],
    ["restore app_2026-01-31_03-00-00.sql.gz", "restore that backup from BACKUP_DIR"],
    ["restore --before 2026-01-31T18:00", "restore the newest backup that was made before that time (UTC)"],
    ["restore /mnt/usb/dump.sql.zst", "restore a file from anywhere, also one made by pg_dump or mysqldump"],
    ["restore --from-s3", "fetch the newest backup of the database from S3 and restore it"],
    ["restore --into app_look", "restore into another, new database; the present one is not touched"],
    ["restore --no-owner", "restore on a server that lacks the roles or accounts"],
    ["restore --undo app_before_2026-01-31_18-00-00", "MySQL, MariaDB: take that restore back"],
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
  reports: ({ dryRun }) => !dryRun,

  async act(job) {
    const { options, log, signal } = job;
    const database = openDatabase(job.settings, job);
    nameDatabase(job, database);
    const folder = backupFolder(job);
    if (options.dryRun) return { summary: "", output: await checkAll(restoreChecks(job, { database }, folder)) };
    using lock = await lockFolder(job, database, folder);
    if (lock) await inFolder(folder).sweep(database.name);

    const connected = await database.connect({ mayBeMissing: true });
    if (options.undo !== undefined) return { summary: await undoRestore(job, connected, options.undo) };
    const target = { database, connected };
    await using file = await openChosen(job, target, folder);
    const contents = await checkBackup(job, target, file);
    await using _serverLock = await connected.lock("restore");
    const planned = await planRestore(job, connected, file, contents);
    const description = describeRestore(planned, options);
    if (isAnyoneThere() && !options.yes) await confirm(`${description}\n`, signal);
    else log.info(description);
    return { summary: await carryOut(job, planned) };
  },
};

const flag = (describe: string) => ({ type: "boolean", default: false, describe }) as const;

/** Throws what yargs tells as wrong usage. */
function checkUsage(words: Record<string, unknown>): true {
  const {
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
const restoreChecks = (job: Job<RestoreOptions>, target: Target, folder: string): Check[] => [
  checkLogin(job, target, { mayBeMissing: true }),
  checkFolderAndLock(target.database, folder),
  {
    what: "backup",
    async look() {
      const { options } = job;
      const { connected } = target;
      // BACKUP_DIR is not made for it
      const place = options.fromS3 ? (await lookAtFolder(folder)).nearest : folder;
      await using file = await openChosen(job, target, place);
      const contents = await checkBackup(job, target, file);
      const good = `${file.name} is complete and intact`;
      if (!connected) return `${good}; not compared with the database`;
      return `${good}; ${describeRestore(await planRestore(job, connected, file, contents), options)}`;
    },
  },
  ...checkNotices(job.settings),
];
