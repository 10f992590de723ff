/** backup: dump the database, prove that the dump is complete, keep it. */
import type { Argv } from "yargs";
import type { Script } from "../run/script.ts";
import { lastGood } from "../steps/last-good.ts";
import { type BackupOptions, runBackup } from "../steps/run-backup.ts";
import { writeReport } from "../steps/write-report.ts";

export const backup: Script<BackupOptions> = {
  name: "backup",
  summary: "Dumps each database into a compressed, checked file in BACKUP_DIR and prints its path.",
  usage: "[--upload] [--database NAME...] [--accept] [--dry-run]",
  examples: [
    ["backup", "take a backup"],
    ["backup --upload", "take a backup and send it to S3 in the same pass"],
    ["backup --database shop crm", "take backups of these databases of the server alone"],
    ["backup --accept", "take one that lost much as it should, as the new normal: retention goes on"],
    ["backup --dry-run", "check settings, database, programs, disk and mail; change nothing"],
    ["backup --upload --dry-run", "and S3"],
  ],
  options: (yargs: Argv) =>
    yargs
      .option("upload", { type: "boolean", default: false, describe: "Send the backup to S3 while it is written" })
      .option("database", {
        type: "string",
        array: true,
        requiresArg: true,
        describe: "Only these databases of the server, by their names, instead of what DB_NAMES or DB_NAME says",
      })
      .option("accept", {
        type: "boolean",
        default: false,
        describe: "Make this backup the new normal after one that was suspicious",
      })
      .option("dry-run", { type: "boolean", default: false, describe: "Check everything, change nothing" }),
  needs: ({ upload }) => (upload ? ["database", "storage"] : ["database"]),
  conflicts: ({ upload }, settings) =>
    settings.BACKUP_KEEP_LOCAL || upload
      ? []
      : ["BACKUP_KEEP_LOCAL is false and --upload was not given: the backup would be kept nowhere"],
  reports: ({ dryRun }) => !dryRun,
  afterwards: writeReport,

  lastGood,
  act: runBackup,
};
