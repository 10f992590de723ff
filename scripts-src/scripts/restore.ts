/** restore: check a backup to its last byte, decide how it can be restored, say so, then do it. */
import { basename } from "node:path";
import { parseBackupName, serverRoles } from "../archive/name.ts";
import type { Settings } from "../settings/settings.ts";
import { Failure } from "../base/errors.ts";
import { confirm, isAnyoneThere } from "../run/ask.ts";
import { type Check, checkAll } from "../run/checklist.ts";
import type { Job, Script } from "../run/script.ts";
import { backupFolder, checkFolderAndLock, databaseOf } from "../steps/backup-folder.ts";
import { inDatabase } from "../steps/several-databases.ts";
import { checkLogin, checkNotices, type Target } from "../steps/dry-run-checks.ts";
import { checkBackup, openChosen } from "../steps/open-chosen.ts";
import { contradictionIn, fileArgument, type RestoreOptions, restoreOptions } from "../steps/options.ts";
import { describeRestore, planRestore, refuseTaken } from "../steps/plan-restore.ts";
import { planServer, restoreServer } from "../steps/restore-all.ts";
import { restoreOne } from "../steps/restore-one.ts";

export const restore: Script<RestoreOptions> = {
  name: "restore",
  summary:
    "Restores the database from a backup: the newest one in BACKUP_DIR or S3, or the one that is named. The backup is\n" +
    "checked to its last byte and loaded into a new database, which takes the place of the present one when its rows are complete.\n" +
    "A restore that fails changes nothing. The present state stays as NAME_before_TIME; the last lines say how to take the restore back.",
  usage:
    "[FILE] [--from-s3] [--database NAME | --all] [--before TIME] [--into NAME [--keep-going] | --in-place] [--replace] [--drop-before] [--undo NAME] [--no-owner] [--unsigned] [--yes] [--dry-run]",
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
  argument: fileArgument,
  options: restoreOptions,
  contradiction: contradictionIn,
  needs: ({ fromS3 }) => (fromS3 ? ["database", "storage"] : ["database"]),
  conflicts: (options, settings) =>
    settings.DB_NAMES === undefined || options.all || databaseMeant(options, settings) !== undefined
      ? []
      : ["DB_NAMES names several databases: add --database NAME, or --all"],
  reports: ({ dryRun }) => !dryRun,

  async act(given) {
    const { options, log, signal } = given;
    const database = databaseMeant(options, given.settings);
    const job = database === undefined ? given : inDatabase(given, database);
    if (options.dryRun)
      return { summary: "", output: await checkAll(options.all ? serverChecks(job) : restoreChecks(job)) };
    const agree = async (description: string) =>
      isAnyoneThere() && !options.yes ? confirm(description, signal) : log.info(description);
    if (!options.all) return { summary: await restoreOne(job, agree) };
    const plan = await planServer(job);
    await agree(plan.description);
    return restoreServer(job, plan);
  },
};

/** With DB_NAMES: the database of the backup, or of the kept state, that was named. Undefined: the settings name the database. */
function databaseMeant({ database, file = "", undo = "" }: RestoreOptions, { DB_NAMES }: Settings): string | undefined {
  if (database !== undefined || DB_NAMES === undefined) return database;
  const name = parseBackupName(basename(file))?.database ?? /^(.+)_before_\d/.exec(undo)?.[1];
  return name === serverRoles ? undefined : name;
}

/** What a dry run looks at. */
function restoreChecks(job: Job<RestoreOptions>): Check[] {
  const database = databaseOf(job);
  const target: Target = { database };
  return [
    checkLogin(job, target, { mayBeMissing: true }),
    checkFolderAndLock(database, backupFolder(job)),
    { what: "backup", look: async () => checkChosen(job, target) },
    ...checkNotices(job.settings),
  ];
}

async function checkChosen(job: Job<RestoreOptions>, target: Target): Promise<string> {
  const { options } = job;
  const { connected } = target;
  if (connected) await refuseTaken(connected, options);
  await using file = await openChosen(job, target);
  const contents = await checkBackup(job, target, file);
  const good = `${file.name} is complete and intact`;
  if (!connected) return `${good}; not compared with the database`;
  return `${good}; ${describeRestore(await planRestore(job, connected, file, contents), options)}`;
}

const serverChecks = (job: Job<RestoreOptions>): Check[] => [
  {
    what: "plan",
    async look() {
      const { description, hints } = await planServer(job);
      if (hints) throw new Failure(description, { hints });
      return description;
    },
  },
  ...checkNotices(job.settings),
];
