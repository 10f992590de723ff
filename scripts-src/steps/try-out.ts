/** Whether a run would work now: what `schedule` tries at its start, and its health check as long as that failed. */
import { Failure, messageOf } from "../base/errors.ts";
import { openDatabase } from "../database/open.ts";
import { checkAll } from "../run/checklist.ts";
import type { Job } from "../run/script.ts";
import { checkLogin, checkPrivileges, checkStorage, type Target } from "./dry-run-checks.ts";

/** What was found: a tick or a cross a line; `trouble` has the crosses alone. */
export interface Trial {
  lines: string;
  trouble: string | undefined;
}

/** Logs in to the database and writes, reads and deletes an object in S3. Throws only when `signal` is aborted. */
export async function tryOut(job: Job, signal: AbortSignal): Promise<Trial> {
  const run = { ...job, signal };
  const target: Target = { database: openDatabase(job.settings, run) };
  const checks = [checkLogin(run, target), checkPrivileges(target), checkStorage(run, { writes: true })];
  try {
    return { lines: await checkAll(checks), trouble: undefined };
  } catch (error) {
    signal.throwIfAborted();
    const lines = error instanceof Failure && error.output !== undefined ? error.output : messageOf(error);
    return { lines, trouble: crossesOf(lines) };
  }
}

/** The lines with a cross, as one: `database …: connection refused; storage …: the secret key …`. */
const crossesOf = (lines: string): string =>
  lines
    .split("\n")
    .flatMap((line) => /^✗ (.*)/.exec(line)?.[1] ?? [])
    .join("; ");
