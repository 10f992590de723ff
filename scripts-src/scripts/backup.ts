/** backup: dump the database, prove that the dump is complete, keep it. */
import type { Script } from "../run/script.ts";
import { lastGood } from "../steps/last-good.ts";
import { type BackupOptions, backupOptions } from "../steps/options.ts";
import { runBackup } from "../steps/run-backup.ts";
import { writeReport } from "../steps/write-report.ts";

export const backup: Script<BackupOptions> = {
  name: "backup",
  summary: "Dumps each database into a compressed, checked file in BACKUP_DIR and prints its path.",
  usage: "[--upload] [--database NAME...] [--accept] [--dry-run]",
  examples: [
    ["backup", "take a backup"],
    ["backup --upload", "take a backup and send it to S3 in the same pass"],
    ["backup --database shop crm", "take backups of these databases of the server alone"],
    ["backup --accept", "take one that lost much on purpose, as the new normal; retention continues"],
    ["backup --dry-run", "check settings, database, programs, disk and mail; change nothing"],
    ["backup --upload --dry-run", "and S3"],
  ],
  options: backupOptions,
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
