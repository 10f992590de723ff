/** How every script begins and ends: command line, settings, log, signals, exit status. */
import { dirname, resolve } from "node:path";
import { constants } from "node:os";
import { alwaysCheck, trustAlso } from "../base/authorities.ts";
import { type Failure, Stopped, usageFailure } from "../base/errors.ts";
import { configureLog, type Logger } from "../base/log.ts";
import { missingSettings } from "../settings/env-rules.ts";
import { type ReadSettings, readSettings } from "../settings/env.ts";
import { attempt, failureOf, lastWords, print } from "./attempt.ts";
import { parseOptions } from "./command-line.ts";
import type { Job, Script } from "./script.ts";
import { cleanUp } from "../base/cleanup.ts";

/** Runs a script from its command line to its exit status. Never throws. */
export async function run(script: Script, argv: readonly string[]): Promise<number> {
  let log = configureLog(script.name, { LOG_LEVEL: "info", LOG_FORMAT: "text" });
  try {
    const parsed = await parseOptions(script, argv);
    if ("shown" in parsed) return print(parsed.shown);
    const home = dirname(process.execPath);
    const answer = parsed.wrong ? undefined : await script.answer?.(parsed.options, home);
    if (answer !== undefined) return print(answer);
    const ignored = alwaysCheck();
    const read = readSettings({ home, envFile: parsed.envFile, environment: process.env });
    log = configureLog(script.name, read.settings);
    if (ignored) log.warn("NODE_TLS_REJECT_UNAUTHORIZED=0 has no effect; name your own authority in CA_FILE");
    // a mode that cannot be read was set by somebody who wants notices
    if (read.fileExists && read.broken.has("EMAIL_NOTIFY_MODE")) read.settings.EMAIL_NOTIFY_MODE = "FAILURE_ONLY";
    const job: Omit<Job, "warn"> = {
      script: script.name,
      options: parsed.options,
      settings: read.settings,
      home,
      log,
      ...listenToSignals(log, script.graceSeconds?.(parsed.options, read.settings) ?? 0),
      facts: {},
    };
    const wrong = parsed.wrong ?? addAuthorities(read, home);
    const outcome = wrong
      ? await attempt(refusing(script, wrong), job)
      : await attempt(script, job, () => checkSettings(script, job, read));
    return outcome.exitStatus;
  } catch (error) {
    lastWords(log, failureOf(error), "info");
    return failureOf(error).status;
  }
}

/** A script whose command line or CA_FILE is wrong. A person at a terminal sees that; otherwise a notice is sent. */
const refusing = (script: Script, wrong: Failure): Script => ({
  ...script,
  reports: (options) => !process.stderr.isTTY && (script.reports?.(options) ?? true),
  act: () => Promise.reject(wrong),
});

/** Trusts what CA_FILE names, or AWS_CA_BUNDLE, the AWS CLI's own name for it. Returns why that cannot be. */
function addAuthorities({ settings }: ReadSettings, home: string): Failure | undefined {
  const file = settings.CA_FILE ?? process.env["AWS_CA_BUNDLE"];
  try {
    if (!file) return undefined;
    const path = resolve(home, file);
    trustAlso(path);
    // for the AWS CLI too, which knows no other way
    process.env["AWS_CA_BUNDLE"] = path;
    return undefined;
  } catch (error) {
    return failureOf(error);
  }
}

/** Logs what is noteworthy; throws one `Failure` with everything that is wrong or missing. */
function checkSettings(script: Script, job: Pick<Job, "options" | "settings" | "log">, read: ReadSettings): void {
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
  const onlyMissing = missing.length === problems.length;
  throw usageFailure(
    `the settings are incomplete or wrong:\n${problems.join("\n")}`,
    hintFor(read, missing.length > 0, onlyMissing),
  );
}

/** In a container nobody looks for a settings file. */
const inContainer = () => process.env["BACKUP_SCRIPTS_IMAGE"] !== undefined;

function hintFor({ file, fileExists }: ReadSettings, missing: boolean, onlyMissing: boolean): string {
  const verb = onlyMissing ? "set" : "correct";
  if (!fileExists && inContainer())
    return `${verb} them in the container's environment (docker-compose.yml: environment; Kubernetes: env); help SETTING explains a setting`;
  if (!fileExists && missing)
    return `there is no ${file}: in its folder, run cp example.env.sh .env.sh && chmod 600 .env.sh, then fill it in; or set these in the environment`;
  if (!fileExists)
    return "name a file that exists, or set what you need in the environment; ./help SETTING explains a setting";
  return `${onlyMissing ? "fill in" : "correct"} ${file} or the environment; ./help SETTING explains a setting`;
}

/**
 * The first signal stops the run in order, or lets it end by itself within `graceSeconds`; then the next signal stops it.
 * One more ends the process at once, but partial files are still removed.
 */
function listenToSignals(log: Logger, graceSeconds: number): Pick<Job, "stopRequested" | "signal"> {
  const [ask, stop] = [new AbortController(), new AbortController()];
  const onSignal = (reason: Stopped) => {
    if (stop.signal.aborted) process.exit(reason.status);
    if (graceSeconds > 0 && !ask.signal.aborted) {
      log.warn(
        `${reason.signalName}: no new run starts; a run that is active has ${graceSeconds} s to finish; send the signal again to stop it now`,
      );
      setTimeout(stopNow, graceSeconds * 1000, reason, `not done after ${graceSeconds} s`).unref();
      ask.abort(reason);
    } else stopNow(reason, reason.signalName);
  };
  const stopNow = (reason: Stopped, why: string) => {
    log.warn(`${why}: stopping; send the signal again to end at once`);
    ask.abort(reason);
    stop.abort(reason);
  };
  for (const name of ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP"] as const) {
    process.on(name, () => onSignal(new Stopped(name, constants.signals[name])));
  }
  process.on("exit", cleanUp);
  return { stopRequested: ask.signal, signal: stop.signal };
}
