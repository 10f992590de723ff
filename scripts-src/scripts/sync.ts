/** sync: bring S3 up to date with the local backups. */
import { counted } from "../base/text.ts";
import { takeLock } from "../base/lock.ts";
import { type Check, checkAll } from "../run/checklist.ts";
import { flag, type Job, type OptionsOf, type Script } from "../run/script.ts";
import { backupFolder } from "../steps/backup-folder.ts";
import { checkNotices, checkStorage } from "../steps/dry-run-checks.ts";
import { lastGood } from "../steps/last-good.ts";
import { listLocal, type LocalFile, requireFolder } from "../steps/plan-sync.ts";
import { describeSync, sendBackups } from "../steps/send-backups.ts";
import { writeReport } from "../steps/write-report.ts";

const options = { "dry-run": flag("Check everything, print the plan, change nothing") } as const;
type Options = OptionsOf<typeof options>;

export const sync: Script<Options> = {
  name: "sync",
  summary:
    "Uploads every local backup that is missing in S3 or differs in size, with its manifest. With REMOTE_S3_DELETE=true\n" +
    "it also deletes backups from S3 that no longer exist locally and are older than the newest local backup of the same database.\n" +
    "It deletes nothing else.",
  usage: "[--dry-run]",
  examples: [
    ["sync", "send what is missing in S3"],
    ["sync --dry-run", "check folder, S3 and mail; print what would be uploaded and deleted; change nothing"],
    ["REMOTE_S3_DELETE=true sync", "also delete from S3 what no longer exists locally"],
  ],
  options,
  needs: () => ["storage"],
  conflicts: (_, settings) =>
    settings.SYNC_CLIENT === "aws-cli" && settings.S3_URL && settings.S3_FORCE_PATH_STYLE === false
      ? ["S3_FORCE_PATH_STYLE is false: the AWS CLI cannot do that with S3_URL, set SYNC_CLIENT=sdk"]
      : [],
  reports: ({ dryRun }) => !dryRun,
  afterwards: writeReport,
  lastGood,

  async act(job) {
    const folder = backupFolder(job);
    if (job.options.dryRun) return { summary: "", output: await checkAll(syncChecks(job, folder)) };
    await requireFolder(folder);
    // no database's lock has this name: theirs are percent-encoded
    using _lock = takeLock(folder, "%sync", job.script);
    // with await: the lock is held until the end
    return await sendBackups(job, folder);
  },
};

/** What a dry run looks at; the last thing is what would be done. */
function syncChecks(job: Job<Options>, folder: string): Check[] {
  let local: LocalFile[] | undefined;
  return [
    {
      what: `folder ${folder}`,
      async look() {
        await requireFolder(folder);
        local = await listLocal(folder);
        return counted(new Set(local.map(({ named }) => named.backup)).size, "backup");
      },
    },
    checkStorage(job),
    ...checkNotices(job.settings),
    {
      what: `plan (SYNC_CLIENT=${job.settings.SYNC_CLIENT}, REMOTE_S3_DELETE=${job.settings.REMOTE_S3_DELETE})`,
      look: async () => (local ? describeSync(job, folder, local) : { skipped: "none without the folder" }),
    },
  ];
}
