/** One run of a script, and the reports of how it ended. */
import { createHash } from "node:crypto";
import { mkdirSync, rmSync, writeSync } from "node:fs";
import { join, resolve } from "node:path";
import { codeOf, Declined, exitStatus, Failure, messageOf, Stopped } from "../base/errors.ts";
import { type Logger, logTail } from "../base/log.ts";
import { keep, readKept } from "../base/replace-file.ts";
import { redact } from "../base/secrets.ts";
import { counted } from "../base/text.ts";
import { writeMetrics } from "../notify/metrics.ts";
import { notify, pingHealthcheck } from "../notify/notify.ts";
import { type Outcome, outcomeOf, type Status } from "../notify/outcome.ts";
import type { Job, Result, Script } from "./script.ts";
import { hintsOf } from "../base/disk.ts";
import type { Settings } from "../settings/settings.ts";

export type { Outcome };

/** What a run needs of its script. */
type Attempted = Pick<Script, "name" | "reports" | "reportsOnce" | "lastGood" | "afterwards" | "act">;

/**
 * Does the job once and reports how it ended: log, metrics, mail, webhook, health check; its result goes to stdout.
 * Never throws; a notice that fails does not change the outcome.
 */
export async function attempt(
  script: Attempted,
  given: Omit<Job, "warn">,
  check: () => void = () => {},
): Promise<Outcome> {
  const warnings: string[] = [];
  const warn = (message: string) => {
    given.log.warn(message);
    warnings.push(redact(message));
  };
  const job: Job = { ...given, warn };
  const startedAt = new Date();
  const reports = script.reports?.(job.options) ?? true;
  if (reports) await pingHealthcheck(job.settings, "start", job.log);
  const ended = await settle(async () => {
    check();
    return script.act(job);
  }, job.signal);
  const outcome = makeOutcome(script.name, job, startedAt, ended, warnings);
  const showOutput = () => ended.output !== undefined && print(ended.output);
  // a list stands before the line that sums it up; but a stdout that takes nothing must not keep a notice back
  if (!reports) showOutput();
  logEnd(job, outcome, ended);
  if (reports || (script.reportsOnce?.(job.options) && isFirstReport(job, ended)))
    await report(script, job, outcome, ended);
  if (reports) showOutput();
  return outcome;
}

function logEnd({ log, settings, facts }: Job, outcome: Outcome, ended: Result | Failure): void {
  if (ended instanceof Failure) return lastWords(log, ended, settings.LOG_LEVEL);
  if (!ended.summary) return;
  const { status, warnings, startedAt, endedAt } = outcome;
  const count = warnings.length > 0 ? ` (${counted(warnings.length, "warning")}, see above)` : "";
  log.info(ended.summary + count, { ...facts, status, durationMs: Number(endedAt) - Number(startedAt) });
}

/** A run that a person declined is no failure; only the health check, which was pinged at its start, gets its end. */
async function report(script: Attempted, job: Job, outcome: Outcome, ended: Result | Failure): Promise<void> {
  const { settings, log, facts } = job;
  const declined = ended instanceof Declined;
  const failed = ended instanceof Failure && !declined;
  if (!declined) recordMetrics(job, outcome);
  if (failed) {
    const found = await script.lastGood?.(job).catch(() => undefined);
    if (found) facts.lastGood = found;
  }
  outcome.logTail = [...logTail()];
  const message = [outcome.summary, ...outcome.warnings].join("\n");
  const [undelivered] = await Promise.all([
    declined ? [] : notify(outcome, settings, log),
    pingHealthcheck(settings, failed ? "fail" : "success", log, message),
  ]);
  job.sendLater?.(undelivered);
  if (!declined) await script.afterwards?.(job, outcome);
}

/** A metric that cannot be written does not change the outcome. */
function recordMetrics({ settings, home, log }: Job, outcome: Outcome): void {
  if (settings.METRICS_FILE === undefined) return;
  try {
    writeMetrics(resolve(home, settings.METRICS_FILE), outcome);
  } catch (error) {
    log.warn(`cannot write METRICS_FILE ${settings.METRICS_FILE}: ${messageOf(error)}`);
  }
}

/** Who gets an error that nobody awaited: the run that began last, not the scheduler around it. */
const strayListeners: ((error: unknown) => void)[] = [];
const onStray = (error: unknown) => strayListeners.at(-1)?.(error);

/** What the work returned or, as a `Failure`, why it did not; an error nobody awaited counts too. */
async function settle(work: () => Promise<Result>, signal: AbortSignal): Promise<Result | Failure> {
  const { promise: stray, reject } = Promise.withResolvers<never>();
  if (strayListeners.push(reject) === 1) process.on("uncaughtException", onStray).on("unhandledRejection", onStray);
  try {
    return await Promise.race([work(), stray]);
  } catch (error) {
    if (error instanceof Declined) return error;
    // an error that follows from the signal is not the reason why the run ended
    return signal.aborted && signal.reason instanceof Stopped ? signal.reason : failureOf(error);
  } finally {
    // a backup and a proof that a schedule runs side by side end in any order
    strayListeners.splice(strayListeners.lastIndexOf(reject), 1);
    if (strayListeners.length === 0) process.off("uncaughtException", onStray).off("unhandledRejection", onStray);
  }
}

function statusOf(failure: Failure | undefined, warnings: readonly string[]): Status {
  if (failure) return "failure";
  return warnings.length > 0 ? "warning" : "success";
}

function makeOutcome(
  script: string,
  { settings, facts }: Job,
  startedAt: Date,
  ended: Result | Failure,
  warnings: readonly string[],
): Outcome {
  const failure = ended instanceof Failure ? ended : undefined;
  return {
    ...outcomeOf(script, settings, startedAt),
    status: statusOf(failure, warnings),
    exitStatus: failure?.status ?? exitStatus.done,
    facts,
    summary: redact(ended instanceof Failure ? ended.message : ended.summary),
    warnings,
    ...(failure && {
      error: {
        message: redact(failure.message),
        hints: failure.hints.map(redact),
        ...(isUnexpected(failure) && { stack: redact(stackOf(failure)) }),
      },
    }),
  };
}

type Place = Pick<Job, "home" | "settings" | "script" | "log">;

const folderOf = ({ home, settings }: Place) => resolve(home, settings.BACKUP_DIR);
const noteOf = (job: Place) => join(folderOf(job), `.${job.script}.reported`);

/**
 * Whether this is a failure that was not reported yet: what a supervisor starts again and again must not send a notice each time. A note in BACKUP_DIR keeps which one was reported last; where it cannot be
 * written, every failure counts as the first.
 */
function isFirstReport(job: Place, ended: Result | Failure): boolean {
  if (!(ended instanceof Failure) || ended instanceof Stopped || ended instanceof Declined) return false;
  const digest = createHash("sha256").update(ended.message).digest("hex");
  if (readKept(noteOf(job), { parse: String }) === digest) return false;
  try {
    mkdirSync(folderOf(job), { recursive: true, mode: 0o700 });
  } catch {
    // the note cannot be kept: reported once too often is better than never
  }
  keep(noteOf(job), digest, "which failure was reported last,", job.log);
  return true;
}

/** All is well again: the next failure is reported, whatever it is. */
export const forgetReport = (job: Place): void => rmSync(noteOf(job), { force: true });

export function failureOf(error: unknown): Failure {
  if (error instanceof Failure) return error;
  return new Failure(messageOf(error), { cause: error, hints: hintsOf(error) });
}

/** An error that nobody foresaw: where it happened matters. */
const isUnexpected = (failure: Failure): boolean => failure.cause !== undefined && failure.hints.length === 0;

const stackOf = (failure: Failure): string =>
  (failure.cause instanceof Error ? failure.cause.stack : failure.stack) ?? failure.message;

/** Failures that were logged already: a signal that stops a scheduled run also stops the scheduler, with the same failure. */
const logged = new WeakSet<Failure>();

export function lastWords(log: Logger, failure: Failure, level: Settings["LOG_LEVEL"]): void {
  if (logged.has(failure)) return;
  logged.add(failure);
  log.error(failure.message, {
    exitStatus: failure.status,
    ...((level === "debug" || isUnexpected(failure)) && { stack: stackOf(failure) }),
  });
  for (const hint of failure.hints) log.error(`hint: ${hint}`);
}

/** How long (ms) to wait for a reader of stdout that takes nothing now. */
const readersPause = 10;

/** Writes a result to stdout, where nothing else is ever written. */
export function print(text: string): number {
  let rest = Buffer.from(`${text}\n`);
  while (rest.length > 0)
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch (error) {
      if (codeOf(error) === "EPIPE") break;
      // another program has made this pipe or terminal non-blocking
      if (codeOf(error) !== "EAGAIN")
        throw new Failure(`the run is over, but its result cannot be written to stdout: ${messageOf(error)}`, {
          hints: ["look at the disk of the file that stdout leads to"],
        });
      Bun.sleepSync(readersPause);
    }
  return exitStatus.done;
}
