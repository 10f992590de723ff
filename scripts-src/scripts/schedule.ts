/** schedule: the container's main process. Runs `backup --upload` at every tick of BACKUP_INTERVAL. */
import type { Argv } from "yargs";
import { inBucket } from "../places/bucket.ts";
import { prepareFolder } from "../places/folder.ts";
import { listBackups, newestGood } from "../places/place.ts";
import { backupFolder, lockName, nameDatabase } from "../steps/backup-folder.ts";
import { backupChecks, type BackupOptions, runBackup } from "../steps/run-backup.ts";
import { openDatabase } from "../database/open.ts";
import { overdueSince, type State } from "../scheduling/health.ts";
import { dutiesOf } from "../scheduling/duties.ts";
import { keepTime } from "../scheduling/keep-time.ts";
import { readState, stateFile } from "../scheduling/state.ts";
import { nextTicks, readTicks, type Ticks, timeText } from "../scheduling/ticks.ts";
import { type Check, checkAll } from "../run/checklist.ts";
import { Failure, messageOf } from "../base/errors.ts";
import type { Outcome } from "../notify/outcome.ts";
import { attempt } from "../run/attempt.ts";
import type { Job, Result, Script } from "../run/script.ts";
import type { Settings } from "../settings/settings.ts";
import { settingsText } from "../settings/settings-text.ts";
import { openStorage } from "../storage/open.ts";

interface Options {
  check: boolean;
  dryRun: boolean;
}

export const schedule: Script<Options> = {
  name: "schedule",
  summary: "Runs backup --upload at every tick of BACKUP_INTERVAL, until it is stopped.",
  usage: "[--check] [--dry-run]",
  examples: [
    ["schedule", "keep backing up; what the container does"],
    ["schedule --check", "is the last good backup as recent as BACKUP_INTERVAL wants it? exit status 0 or 1"],
    ["schedule --dry-run", "check all that a run needs; change nothing"],
  ],
  options: (yargs: Argv) =>
    yargs
      .option("check", {
        type: "boolean",
        default: false,
        describe: "Compare the age of the last good backup with BACKUP_INTERVAL; change nothing",
      })
      .option("dry-run", { type: "boolean", default: false, describe: "Check everything, change nothing" }),
  needs: () => ["database", "storage", "schedule"],
  conflicts: (_, settings) => (settings.BACKUP_INTERVAL === undefined ? [] : problemsOf(() => readTicks(settings))),
  reports: () => false,
  graceSeconds: ({ check, dryRun }, settings) => (check || dryRun ? 0 : settings.BACKUP_GRACE_SECONDS),

  async act(job) {
    const { settings, log, asked, signal } = job;
    const database = openDatabase(settings, job);
    nameDatabase(job, database);
    const ticks = readTicks(settings);
    const folder = backupFolder(job);
    if (job.options.dryRun) {
      const checks = backupChecks({ ...job, options: scheduled }, { database }, folder);
      return { summary: "", output: await checkAll([checkTicks(settings, ticks), ...checks]) };
    }
    const path = stateFile(folder, lockName(database));
    if (job.options.check) return check(job, ticks, readState(path));

    log.info(`settings:\n${settingsText(settings)}`);
    log.info(`schedule of ${database.where}`, { database: database.name, server: database.where });
    await prepareFolder(folder);
    const state: State = { since: new Date(), ...readState(path), running: undefined };
    state.good = await newestBackup(job, state.good);
    announce(job, ticks, state);
    const start = new Date(Math.min(Date.now(), Number(state.good ?? state.since)));
    const duties = dutiesOf(job, ticks, { state, path, work: () => backUp(job) });
    await keepTime({ ticks, start, duties }, asked);
    // the run was cut short, by the end of its grace period or by a second signal
    if (signal.aborted) throw signal.reason;
    return { summary: `${messageOf(asked.reason)}; no run is under way` };
  },
};

/** How `backup` is called. */
const scheduled: BackupOptions = { upload: true, dryRun: false };

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
  log.info(`BACKUP_INTERVAL ${settings.BACKUP_INTERVAL}: ${last}; next runs:\n${listTimes(times, zone)}`, {
    interval: settings.BACKUP_INTERVAL,
    timezone: zone,
    lastGood: good?.toISOString(),
    nextRuns: times.map((time) => time.toISOString()),
  });
}

const listTimes = (times: Date[], zone: string) => times.map((time) => timeText(time, zone)).join("\n");

/** Start of the newest committed backup in S3, but for names from the future; when that cannot be asked, as far as is known here. */
async function newestBackup(job: Job, known: Date | undefined): Promise<Date | undefined> {
  const { settings, log, asked } = job;
  try {
    const storage = await openStorage(settings, { log, signal: asked });
    return newestGood(await listBackups(inBucket(storage), job.facts.database))?.backup.time;
  } catch (error) {
    if (!asked.aborted) log.warn(`cannot look for the last backup in S3: ${messageOf(error)}`);
    return known;
  }
}

/** `backup --upload` once; what a person would get on stdout stands in the log. */
function backUp(job: Job): Promise<Outcome> {
  // a signal of its own: nothing of the run may hang on to that of the scheduler, which lives for months
  const signal = AbortSignal.any([job.signal]);
  const run: Job<BackupOptions> = { ...job, script: "backup", options: scheduled, facts: {}, signal };
  return attempt({ name: run.script, act: async () => ({ summary: (await runBackup(run)).summary }) }, run);
}

/** Says whether all is well; throws a `Failure` when a backup is overdue, by the state on disk and by what lies in S3. */
async function check(job: Job, ticks: Ticks, known: State | undefined): Promise<Result> {
  const now = new Date();
  const text = (time: Date) => timeText(time, job.settings.BACKUP_TIMEZONE);
  let state = known;
  if (!state || overdueSince(ticks, state, now)) {
    // a backup taken by hand counts as well
    const good = await newestBackup(job, state?.good);
    const since = state?.since ?? good;
    if (!since)
      throw new Failure("unhealthy: no schedule has run here, and no good backup is known", {
        hints: ["start schedule, or take a backup: backup --upload"],
      });
    state = { ...state, since, good };
  }
  const last = state.good ? `the last good backup began ${text(state.good)}` : "there is no good backup yet";
  const overdue = overdueSince(ticks, state, now);
  const failure = state.failure === undefined ? [] : [`the last run failed: ${state.failure}`];
  if (overdue)
    throw new Failure(`unhealthy: a backup has been due since ${text(overdue)}; ${last}`, { hints: failure });
  return { summary: "", output: [`healthy: ${last}`, ...failure].join("; ") };
}
