/** verify: prove a backup by restoring it and comparing the copy with it, to the last row. */
import type { Argv } from "yargs";
import { checkAll } from "../run/checklist.ts";
import type { Script } from "../run/script.ts";
import { runVerify, verifyChecks, type VerifyOptions } from "../steps/run-verify.ts";
import { writeReport } from "../steps/write-report.ts";

export const verify: Script<VerifyOptions> = {
  name: "verify",
  summary:
    "Proves a backup: restores it into a new database, compares every row and every statement with the backup, drops the copy,\n" +
    "and writes a proof beside the backup. Takes the newest backup that is not proved yet, or the one that is named. The present\n" +
    "database is not touched, and nothing of the copy acts on the world.",
  usage: "[FILE] [--from-s3] [--database NAME | --all] [--dry-run]",
  positionals: "[file]",
  examples: [
    ["verify", "prove the newest backup that is not proved yet"],
    ["verify app_2026-01-31_03-00-00.sql.gz", "prove that backup from BACKUP_DIR"],
    ["verify --from-s3", "fetch the newest unproved backup from S3 and prove it"],
    ["verify --dry-run", "check the server for proofs and read the backup to its end; change nothing"],
  ],
  options: (yargs: Argv) =>
    yargs
      .positional("file", {
        type: "string",
        describe: "Name of a backup in BACKUP_DIR (in S3: or its location s3://...), or a path",
      })
      .check(({ file, fromS3, database, all }) => {
        if ([file, database, all || undefined].filter((one) => one !== undefined).length > 1)
          throw new Error("name a FILE, or a database with --database, or --all of them");
        if (file?.startsWith("s3://") && !fromS3) throw new Error(`${file} lies in S3: add --from-s3`);
        return true;
      })
      .option("from-s3", { type: "boolean", default: false, describe: "Fetch the backup from S3" })
      .option("database", {
        type: "string",
        requiresArg: true,
        describe: "Prove the newest backup of the database NAME",
      })
      .option("all", { type: "boolean", default: false, describe: "Prove a backup of every database of the server" })
      .option("dry-run", { type: "boolean", default: false, describe: "Read the backup to its end; change nothing" }),
  needs: ({ fromS3 }) => (fromS3 ? ["database", "storage"] : ["database"]),
  reports: ({ dryRun }) => !dryRun,
  afterwards: writeReport,
  act: async (job) =>
    job.options.dryRun ? { summary: "", output: await checkAll(await verifyChecks(job)) } : await runVerify(job),
};
