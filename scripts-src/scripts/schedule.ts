/** schedule: the container's main process. Runs `backup --upload` at every tick of BACKUP_INTERVAL, `verify` at those of VERIFY_INTERVAL. */
import { Failure, messageOf } from "../base/errors.ts";
import { openDatabase } from "../database/open.ts";
import type { Outcome } from "../notify/outcome.ts";
import { prepareFolder } from "../places/folder.ts";
import { attempt } from "../run/attempt.ts";
import { type Check, checkAll } from "../run/checklist.ts";
import { forgetReport } from "../run/report-once.ts";
import { flag, type OptionsOf } from "../run/options.ts";
import type { Job, Script } from "../run/script.ts";
import { handlersFor } from "../scheduling/tick-handlers.ts";
import { startOf, type State } from "../scheduling/health.ts";
import { keepTime } from "../scheduling/keep-time.ts";
import { readState, stateFile, stateKeeper } from "../scheduling/state.ts";
import { type Interval, nextTicks, otherZone, readTicks, type Ticks, timeText } from "../scheduling/ticks.ts";
import type { Settings } from "../settings/settings.ts";
import { settingsText } from "../settings/settings-text.ts";
import { backupFolder, lockName, nameDatabase } from "../steps/backup-folder.ts";
import { checkHealth } from "../steps/check-health.ts";
import { lastGood } from "../steps/last-good.ts";
import { newestInBucket } from "../steps/newest-in-bucket.ts";
import { openOutbox, type Outbox } from "../steps/outbox.ts";
import type { BackupOptions } from "../steps/options.ts";
import { backupChecks, runBackup } from "../steps/run-backup.ts";
import { beginProofs, proofChecks, readProofTicks } from "../steps/scheduled-proofs.ts";
import { tryOut } from "../steps/try-out.ts";
import { writeReport } from "../steps/write-report.ts";

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
    intervals.flatMap((name) => (settings[name] === undefined ? [] : problemsOf(() => readTicks(settings, name)))),
  reports: () => false,
  reportsOnce: ({ check, dryRun }) => !check && !dryRun,
  graceSeconds: ({ check, dryRun }, settings) => (check || dryRun ? 0 : settings.BACKUP_GRACE_SECONDS),

  async act(job) {
    const { settings, log, stopRequested, signal } = job;
    const database = openDatabase(settings, job);
    nameDatabase(job, database);
    const ticks = readTicks(settings);
    const proofTicks = readProofTicks(settings);
    const folder = backupFolder(job);
    if (job.options.dryRun) {
      const checks = await backupChecks({ ...job, options: scheduled });
      const all = [checkTicks(settings, ticks), ...checks, ...proofChecks(job, proofTicks)];
      return { summary: "", output: await checkAll(all) };
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
    const handlers = handlersFor(job, ticks, { what: "run", state, save, work });
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

const intervals: readonly Interval[] = ["BACKUP_INTERVAL", "VERIFY_INTERVAL"];

/** How `backup` is called. */
const scheduled: BackupOptions = { upload: true, database: undefined, accept: false, dryRun: false };

const checkTicks = ({ BACKUP_INTERVAL, BACKUP_TIMEZONE }: Settings, ticks: Ticks): Check => ({
  what: `BACKUP_INTERVAL ${BACKUP_INTERVAL}`,
  async look() {
    const times = nextTicks(ticks, new Date(), 3).map((time) => timeText(time, BACKUP_TIMEZONE));
    return `next runs ${times.join(", ")}`;
  },
});

/** What `read` complains of, in one line. */
function problemsOf(read: () => unknown): string[] {
  try {
    read();
    return [];
  } catch (error) {
    return [[messageOf(error), ...(error instanceof Failure ? error.hints : [])].join("; ")];
  }
}

function announce({ settings, log }: Job, ticks: Ticks, { good }: State): void {
  const [zone, now] = [settings.BACKUP_TIMEZONE, new Date()];
  const times = nextTicks(ticks, now, 3);
  const last = good ? `the last good backup began ${timeText(good, zone)}` : "there is no backup in S3 yet";
  const list = times.map((time) => timeText(time, zone)).join("\n");
  log.info(`BACKUP_INTERVAL ${settings.BACKUP_INTERVAL}: ${last}; next runs:\n${list}`, {
    interval: settings.BACKUP_INTERVAL,
    timezone: zone,
    lastGood: good?.toISOString(),
    nextRuns: times.map((time) => time.toISOString()),
  });
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

/** `backup --upload` once; what a person would get on stdout stands in the log. */
function backUp(job: Job, outbox: Outbox): Promise<Outcome> {
  // a signal of its own: nothing of the run may hang on to that of the scheduler, which lives for months
  const signal = AbortSignal.any([job.signal]);
  const run = { ...job, script: "backup", options: scheduled, facts: {}, signal, sendLater: outbox };
  const act = async (given: Job) => ({ summary: (await runBackup({ ...given, options: scheduled })).summary });
  return attempt({ name: run.script, lastGood, afterwards: writeReport, act }, run);
}
