/** schedule: the container's main process. Runs `backup --upload` at every tick of BACKUP_INTERVAL, `verify` at those of VERIFY_INTERVAL. */
import { hintsOf } from "../base/disk.ts";
import { messageOf } from "../base/errors.ts";
import { prepareFolder } from "../places/folder.ts";
import { checkAll } from "../run/checklist.ts";
import { flag, type Job, type OptionsOf, type Script } from "../run/script.ts";
import { readState, startOf, type State, stateFile, stateKeeper } from "../scheduling/health.ts";
import { handlersFor, keepTime } from "../scheduling/keep-time.ts";
import { lastText, nextText, nextTicks, otherZone, readTicks, type Ticks } from "../scheduling/ticks.ts";
import { settingsText } from "../settings/about.ts";
import { backupFolder, databaseOf, lockName } from "../steps/backup-folder.ts";
import { newestInBucket } from "../steps/last-good.ts";
import { backupChecks } from "../steps/run-backup.ts";
import { backUp, backupOptions, beginProofs, checkHealth, proofChecks, tryOut } from "../steps/scheduled-runs.ts";
import { openOutbox } from "../notify/notify.ts";
import { forgetReport } from "../run/attempt.ts";

const options = {
  check: flag(
    "Compare the age of the last good backup with BACKUP_INTERVAL, of the last proof with VERIFY_INTERVAL; change nothing",
  ),
  "dry-run": flag("Check everything, change nothing"),
} as const;

export const schedule: Script<OptionsOf<typeof options>> = {
  name: "schedule",
  summary:
    "Runs backup --upload at every tick of BACKUP_INTERVAL, and verify at every tick of VERIFY_INTERVAL, until it is stopped.",
  usage: "[--check] [--dry-run]",
  examples: [
    ["schedule", "keep backing up; what the container does"],
    ["schedule --check", "are the last good backup and the last proof as recent as they should be? exit status 0 or 1"],
    ["schedule --dry-run", "check everything a run needs; change nothing"],
  ],
  options,
  needs: () => ["database", "storage", "schedule"],
  conflicts: (_, settings) =>
    (["BACKUP_INTERVAL", "VERIFY_INTERVAL"] as const).flatMap((name) =>
      settings[name] === undefined ? [] : problemsOf(() => readTicks(settings, name)),
    ),
  reports: () => false,
  reportsOnce: ({ check, dryRun }) => !check && !dryRun,
  graceSeconds: ({ check, dryRun }, settings) => (check || dryRun ? 0 : settings.BACKUP_GRACE_SECONDS),

  async act(job) {
    const { settings, log, stopRequested, signal } = job;
    const database = databaseOf(job);
    const ticks = readTicks(settings);
    const proofTicks = settings.VERIFY_INTERVAL === undefined ? undefined : readTicks(settings, "VERIFY_INTERVAL");
    const folder = backupFolder(job);
    if (job.options.dryRun) {
      const runs = { what: ticks.name, look: async () => nextText(ticks) };
      const checks = await backupChecks({ ...job, options: backupOptions });
      const proofs = proofTicks ? proofChecks(job, proofTicks) : [];
      return { summary: "", output: await checkAll([runs, ...checks, ...proofs]) };
    }
    const path = stateFile(folder, lockName(database));
    if (job.options.check) return checkHealth(job, { ticks, proofTicks }, readState(path));

    log.info(`settings:\n${settingsText(settings)}`);
    log.info(`schedule of ${database.where}`, { database: database.name, server: database.where });
    await prepareFolder(folder);
    forgetReport(job);
    const state: State = { since: new Date(), ...readState(path), running: undefined, trouble: undefined };
    const save = stateKeeper(path, state, log);
    state.good = await newestInBucket(job, state.good);
    announce(job, ticks, state);
    void tryAtStart(job, state, save);
    const outbox = openOutbox(log, stopRequested);
    const work = () => backUp(job, outbox).finally(() => (state.trouble = undefined));
    const proofs = proofTicks && (await beginProofs(job, proofTicks, { state, save, outbox }));
    const handlers = handlersFor(job, ticks, { state, save, work });
    // a proof that takes hours must not delay a backup
    await Promise.all([
      keepTime({ ticks, start: startOf(state), handlers }, stopRequested),
      proofs && keepTime(proofs, stopRequested),
    ]);
    // the run was cut short, by the end of its grace period or by a second signal
    if (signal.aborted) throw signal.reason;
    return { summary: `${messageOf(stopRequested.reason)}; no run is active` };
  },
};

/** What `read` complains of, in one line. */
function problemsOf(read: () => unknown): string[] {
  try {
    read();
    return [];
  } catch (error) {
    return [[messageOf(error), ...hintsOf(error)].join("; ")];
  }
}

function announce({ settings, log }: Job, ticks: Ticks, { good }: State): void {
  log.info(`${ticks.name}: ${lastText(ticks, good)}; ${nextText(ticks, "lines")}`, {
    interval: settings.BACKUP_INTERVAL,
    timezone: settings.BACKUP_TIMEZONE,
    lastGood: good?.toISOString(),
    nextRuns: nextTicks(ticks, new Date(), 3).map((time) => time.toISOString()),
  });
  const zone = settings.BACKUP_TIMEZONE;
  const other = otherZone(process.env["TZ"], zone);
  if (other)
    log.warn(`TZ is ${other}, but BACKUP_INTERVAL is read in BACKUP_TIMEZONE, which is ${zone}; set both to the same`);
}

/** Finds out now what would make the first run fail. The schedule does not wait for the result, and continues whatever it is. */
async function tryAtStart(job: Job, state: State, save: () => void): Promise<void> {
  const { log, stopRequested } = job;
  try {
    const { lines, trouble } = await tryOut(job, stopRequested);
    if (!trouble) return log.info(`checked what a run needs:\n${lines}`);
    state.trouble = { since: new Date(), cause: trouble };
    save();
    log.error(`a run would fail now; the schedule continues:\n${lines}`);
  } catch (error) {
    if (!stopRequested.aborted) log.error(`cannot check what a run needs: ${messageOf(error)}`);
  }
}
