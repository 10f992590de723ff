/** How every script begins and ends: settings, log, signals, notices, the last word, the exit status. */
import { writeSync } from "node:fs";
import { constants, hostname } from "node:os";
import { dirname, resolve } from "node:path";
import { cleanUp } from "../base/cleanup.ts";
import { parseOptions } from "./command-line.ts";
import { systemHint } from "../base/disk.ts";
import { siteOf } from "../settings/site.ts";
import { missingSettings, type ReadSettings, readSettings } from "../settings/env.ts";
import { codeOf, Declined, exitStatus, Failure, messageOf, Stopped, usageFailure } from "../base/errors.ts";
import { configureLog, type Logger, logTail } from "../base/log.ts";
import { redact } from "../base/secrets.ts";
import { writeMetrics } from "../notify/metrics.ts";
import { notify, pingHealthcheck } from "../notify/notify.ts";
import type { Facts, Outcome } from "../notify/outcome.ts";
import { killAll } from "../base/children.ts";
import type { Job, Result, Script } from "./script.ts";
import type { Settings } from "../settings/settings.ts";
import { version } from "../base/version.ts";

export type { Outcome };

/** Runs a script from its command line to its exit status. Never throws. */
export async function run(script: Script, argv: readonly string[]): Promise<number> {
  let log = configureLog(script.name, { LOG_LEVEL: "info", LOG_FORMAT: "text" });
  try {
    const parsed = await parseOptions(script, argv);
    if ("shown" in parsed) return print(parsed.shown);
    const home = dirname(process.execPath);
    const answer = parsed.wrong ? undefined : await script.answer?.(parsed.options, home);
    if (answer !== undefined) return print(answer);
    const read = readSettings({
      home,
      envFile: parsed.envFile,
      environment: process.env,
    });
    log = configureLog(script.name, read.settings);
    // whoever set a mode that cannot be read wanted to hear of trouble
    if (read.broken.has("EMAIL_NOTIFY_MODE")) read.settings.EMAIL_NOTIFY_MODE = "FAILURE_ONLY";
    const job: Job = {
      script: script.name,
      options: parsed.options,
      settings: read.settings,
      home,
      log,
      ...listenToSignals(log, script.graceSeconds?.(parsed.options, read.settings) ?? 0),
      facts: {},
    };
    const { wrong } = parsed;
    const outcome = wrong
      ? await attempt(refusing(script, wrong), job)
      : await attempt(script, job, () => checkSettings(script, job, read));
    return outcome.exitStatus;
  } catch (error) {
    lastWords(log, failureOf(error), "info");
    return failureOf(error).status;
  }
}

/** What becomes of a script when its command line is wrong. Who typed it at a terminal sees that; else somebody is told. */
const refusing = (script: Script, wrong: Failure): Script => ({
  ...script,
  reports: (options) => !process.stderr.isTTY && (script.reports?.(options) ?? true),
  act: () => Promise.reject(wrong),
});

/**
 * Does the job once and tells everybody how it ended: log, mail, webhook, health check; its result goes to stdout.
 * Never throws; a notice that fails does not change the outcome.
 */
export async function attempt(
  script: Pick<Script, "name" | "reports" | "act">,
  job: Job,
  check: () => void = () => {},
): Promise<Outcome> {
  const { settings, log, facts } = job;
  const startedAt = new Date();
  const reports = script.reports?.(job.options) ?? true;
  if (reports) await pingHealthcheck(settings, "start", log);
  const ended = await settle(async () => {
    check();
    return script.act(job);
  }, job.signal);
  const outcome = makeOutcome(script.name, settings, facts, startedAt, ended);
  if (ended instanceof Failure) lastWords(log, ended, settings.LOG_LEVEL);
  else if (ended.summary)
    log.info(ended.summary, { ...facts, durationMs: Number(outcome.endedAt) - Number(startedAt) });
  const declined = ended instanceof Declined;
  if (reports && !declined) recordMetrics(job, outcome);
  outcome.logTail = [...logTail()];
  if (reports) {
    await Promise.all([
      declined || notify(outcome, settings, log),
      // of what was declined too: it has heard of the start
      pingHealthcheck(settings, ended instanceof Failure && !declined ? "fail" : "success", log, outcome.summary),
    ]);
  }
  if (ended.output !== undefined) print(ended.output);
  return outcome;
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

/** Who hears of an error that nobody awaited: the innermost run, not the scheduler around it. */
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
    // whatever broke because we were told to stop, the reason is that we were told to stop
    return signal.aborted && signal.reason instanceof Stopped ? signal.reason : failureOf(error);
  } finally {
    if (strayListeners.pop() && strayListeners.length === 0)
      process.off("uncaughtException", onStray).off("unhandledRejection", onStray);
  }
}

function makeOutcome(
  script: string,
  settings: Settings,
  facts: Facts,
  startedAt: Date,
  ended: Result | Failure,
): Outcome {
  const failure = ended instanceof Failure ? ended : undefined;
  return {
    script,
    status: failure ? "failure" : "success",
    exitStatus: failure?.status ?? exitStatus.done,
    site: siteOf(settings),
    host: hostname(),
    version,
    startedAt,
    endedAt: new Date(),
    facts,
    summary: redact(ended instanceof Failure ? ended.message : ended.summary),
    ...(failure && {
      error: {
        message: redact(failure.message),
        hints: failure.hints.map(redact),
        ...(unexpected(failure) && { stack: redact(stackOf(failure)) }),
      },
    }),
    logTail: [],
  };
}

/** Everything that is wrong with the settings, at once. */
function checkSettings(script: Script, job: Job, read: ReadSettings): void {
  const { options, settings, log } = job;
  for (const note of read.notes) log.info(note);
  for (const warning of read.warnings) log.warn(warning);
  const needs = script.needs(options, settings);
  const missing = needs.length > 0 ? missingSettings(settings, needs, read.broken) : [];
  const problems = [
    ...read.problems,
    ...missing.map((line) => `missing: ${line}`),
    ...(script.conflicts?.(options, settings) ?? []),
  ];
  if (problems.length === 0) return;
  const hints =
    missing.length > 0 && !read.fileExists
      ? [
          `there is no ${read.file}: in its folder, cp example.env.sh .env.sh && chmod 600 .env.sh, then fill it in; or set these in the environment`,
        ]
      : [
          `${missing.length === problems.length ? "fill in" : "correct"} ${read.file} or the environment; ./help SETTING explains a setting`,
        ];
  throw usageFailure(`the settings are not complete or not right:\n${problems.join("\n")}`, ...hints);
}

/**
 * The first signal stops the run in order, or asks it to end by itself within `graceSeconds`, when the next one stops it.
 * One more ends it at once, but partial files still go.
 */
function listenToSignals(log: Logger, graceSeconds: number): Pick<Job, "asked" | "signal"> {
  const [ask, stop] = [new AbortController(), new AbortController()];
  const onSignal = (reason: Stopped) => {
    if (stop.signal.aborted) {
      killAll();
      cleanUp();
      process.exit(reason.status);
    }
    if (graceSeconds > 0 && !ask.signal.aborted) {
      log.warn(`${reason.signalName}: what is under way may end within ${graceSeconds} s; once more stops it`);
      setTimeout(stopNow, graceSeconds * 1000, reason, `not done after ${graceSeconds} s`).unref();
      ask.abort(reason);
    } else stopNow(reason, reason.signalName);
  };
  const stopNow = (reason: Stopped, why: string) => {
    log.warn(`${why}: stopping; once more stops at once`);
    ask.abort(reason);
    stop.abort(reason);
  };
  for (const name of ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => onSignal(new Stopped(name, constants.signals[name])));
  }
  process.on("exit", () => {
    killAll();
    cleanUp();
  });
  return { asked: ask.signal, signal: stop.signal };
}

function failureOf(error: unknown): Failure {
  if (error instanceof Failure) return error;
  const hint = systemHint(error);
  return new Failure(messageOf(error), { cause: error, ...(hint && { hints: [hint] }) });
}

/** No error that we foresaw: where it happened matters. */
const unexpected = (failure: Failure): boolean => failure.cause !== undefined && failure.hints.length === 0;

const stackOf = (failure: Failure): string =>
  (failure.cause instanceof Error ? failure.cause.stack : failure.stack) ?? failure.message;

/** What has been told: a signal that stops a scheduled run stops the scheduler too, for the same reason. */
const told = new WeakSet<Failure>();

function lastWords(log: Logger, failure: Failure, level: Settings["LOG_LEVEL"]): void {
  if (told.has(failure)) return;
  told.add(failure);
  log.error(failure.message, {
    exitStatus: failure.status,
    ...((level === "debug" || unexpected(failure)) && { stack: stackOf(failure) }),
  });
  for (const hint of failure.hints) log.error(`hint: ${hint}`);
}

/** The result alone goes to stdout. */
function print(text: string): number {
  try {
    writeSync(1, `${text}\n`);
  } catch (error) {
    if (codeOf(error) !== "EPIPE") throw error;
  }
  return exitStatus.done;
}
