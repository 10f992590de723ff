/** Whether the settings are enough for what was asked for. */
import { usageFailure } from "../base/errors.ts";
import { missingSettings } from "../settings/env-rules.ts";
import type { ReadSettings } from "../settings/env.ts";
import type { Job, Script } from "./script.ts";

/** Logs what is noteworthy; throws one `Failure` with everything that is wrong or missing. */
export function checkSettings(
  script: Script,
  job: Pick<Job, "options" | "settings" | "log">,
  read: ReadSettings,
): void {
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
