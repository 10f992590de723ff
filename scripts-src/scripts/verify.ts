/** verify: prove a backup by restoring it and comparing the copy with it, to the last row. */
import { checkAll } from "../run/checklist.ts";
import type { Script } from "../run/script.ts";
import { fileArgument, type VerifyOptions, verifyOptions } from "../steps/options.ts";
import { runVerify, verifyChecks } from "../steps/run-verify.ts";
import { writeReport } from "../steps/write-report.ts";

export const verify: Script<VerifyOptions> = {
  name: "verify",
  summary:
    "Proves a backup: restores it into a new database, compares every row and every statement with the backup, drops the copy,\n" +
    "and writes a proof beside the backup. Takes the newest backup that is not proved yet, or the one that is named. The present\n" +
    "database is not touched, and nothing in the copy runs by itself (events, jobs, subscriptions).",
  usage: "[FILE] [--from-s3] [--database NAME | --all] [--dry-run]",
  examples: [
    ["verify", "prove the newest backup that is not proved yet"],
    ["verify app_2026-01-31_03-00-00.sql.gz", "prove that backup from BACKUP_DIR"],
    ["verify --from-s3", "fetch the newest unproved backup from S3 and prove it"],
    ["verify --dry-run", "check the server for proofs and read the backup to its end; change nothing"],
  ],
  argument: fileArgument,
  options: verifyOptions,
  contradiction({ file, fromS3, database, all }) {
    if ([file, database, all || undefined].filter((one) => one !== undefined).length > 1)
      return "choose one: a FILE, --database NAME, or --all";
    return file?.startsWith("s3://") && !fromS3 ? `${file} lies in S3: add --from-s3` : undefined;
  },
  needs: ({ fromS3 }) => (fromS3 ? ["database", "storage"] : ["database"]),
  reports: ({ dryRun }) => !dryRun,
  afterwards: writeReport,
  act: async (job) =>
    job.options.dryRun ? { summary: "", output: await checkAll(await verifyChecks(job)) } : await runVerify(job),
};
