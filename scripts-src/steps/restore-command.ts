/** Commands for people to run. */
import { join, resolve } from "node:path";
import { quote } from "../base/process.ts";
import type { Job } from "../run/script.ts";

/** A command line that calls `restore` with the settings of this run. */
export function restoreCommand({ home, options }: Job, words: readonly string[]): string {
  const { envFile } = options as { envFile?: string };
  const settings = envFile === undefined ? [] : ["--env-file", resolve(envFile)];
  return [join(home, "restore"), ...settings, ...words].map(quote).join(" ");
}
