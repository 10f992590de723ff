/** Whether a run would work now: what `schedule` tries at its start, and its health check as long as that failed. */
import { Failure, messageOf } from "../base/errors.ts";
import { checkAll } from "../run/checklist.ts";
import type { Job } from "../run/script.ts";
import { checkLogin, checkPrivileges, checkStorage } from "./dry-run-checks.ts";
import { targetsOf } from "./targets.ts";

/** What was found: a tick or a cross a line; `trouble` has the crosses alone. */
interface Trial {
  lines: string;
  trouble: string | undefined;
}

/** Logs in to the database and writes, reads and deletes an object in S3. Throws only when `signal` is aborted. */
export async function tryOut(job: Job, signal: AbortSignal): Promise<Trial> {
  const run = { ...job, signal };
  try {
    const { targets, refused } = await targetsOf(run);
    const logins = targets.flatMap(({ one, target }) => [checkLogin(one, target), checkPrivileges(target)]);
    const checks = [...refused, ...logins, checkStorage(run, { writes: true })];
    return { lines: await checkAll(checks), trouble: undefined };
  } catch (error) {
    signal.throwIfAborted();
    const lines = error instanceof Failure && error.output !== undefined ? error.output : messageOf(error);
    return { lines, trouble: crossesOf(lines) || lines };
  }
}

/** The lines with a cross, as one: `database …: connection refused; storage …: the secret key …`. */
const crossesOf = (lines: string): string =>
  lines
    .split("\n")
    .flatMap((line) => /^✗ (.*)/.exec(line)?.[1] ?? [])
    .join("; ");
