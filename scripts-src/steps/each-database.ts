/** Does the work of a run for several databases, one after the other, and sums up how each ended. */
import { Failure } from "../base/errors.ts";
import { counted } from "../base/text.ts";
import type { DatabaseOutcome, Status } from "../notify/outcome.ts";
import { failureOf } from "../run/last-words.ts";
import type { Job, Result } from "../run/script.ts";
import { type ChosenDatabase, inDatabase } from "./choose-databases.ts";

/** Thrown before a database was logged in to: where only a pattern means it, that is a warning. */
export class Unreachable extends Failure {}

/**
 * One that fails does not stop the others; then a `Failure` (status 1) that names it is thrown at the end. Its output are the paths of
 * those that were done, a line each. The failure of the only one is thrown as it is.
 * With `again`, those that failed are tried a second time when it returns true or others succeeded.
 */
export async function eachDatabase<O extends object>(
  job: Job<O>,
  chosen: readonly ChosenDatabase[],
  act: (one: Job<O>) => Promise<Result>,
  again?: () => Promise<boolean>,
): Promise<Result> {
  const outcomes: DatabaseOutcome[] = [];
  const output: string[] = [];
  job.facts.databases = outcomes;
  const failures: (Failure | undefined)[] = [];
  const attempt = async (database: ChosenDatabase, at: number) => {
    job.stopRequested.throwIfAborted();
    const { outcome, result, failure } = await attemptOne(job, database, act);
    outcomes[at] = outcome;
    if (result?.output) output.push(result.output);
    failures[at] = failure;
    if (failure && chosen.length > 1) logFailure(job, database, failure);
  };
  for (const [at, database] of chosen.entries()) await attempt(database, at);
  const lost = outcomes.filter(({ status }) => status === "failure").length;
  // what one database lacked at first, another may have brought
  const better = again && lost > 0 && ((await again()) || lost < outcomes.length);
  for (const [at, database] of better ? chosen.entries() : []) {
    if (outcomes[at]?.status !== "failure") continue;
    job.log.info(`${database.name} is tried a second time`);
    await attempt(database, at);
  }
  if (chosen.length === 1 && failures[0]) throw failures[0];
  const failed = outcomes.filter(({ status }) => status === "failure");
  const text = { output: output.join("\n") };
  if (failed.length === 0)
    return { summary: `${job.script} done: ${counted(outcomes.length, "database")}`, ...(text.output && text) };
  const names = failed.map(({ database }) => database).join(", ");
  const hints = failures.flatMap((failure, at) => (failure?.hints ?? []).map((hint) => ({ hint, at })));
  const sameHint = [...Map.groupBy(hints, ({ hint }) => hint)];
  throw new Failure(`${failed.length} of ${counted(outcomes.length, "database")} failed: ${names}`, {
    hints: sameHint.map(([hint, all]) => `${all.map(({ at }) => chosen[at]?.name).join(", ")}: ${hint}`),
    ...(text.output && text),
  });
}

function logFailure({ log }: Pick<Job, "log">, { name }: ChosenDatabase, { message, hints }: Failure): void {
  log.error(`${name}: ${message}`);
  for (const hint of hints) log.error(`hint: ${hint}`);
}

async function attemptOne<O extends object>(
  job: Job<O>,
  { name, named, refuses }: ChosenDatabase,
  act: (one: Job<O>) => Promise<Result>,
) {
  const warnings: string[] = [];
  const warn = (message: string) => {
    warnings.push(message);
    job.warn(message.includes(name) ? message : `${name}: ${message}`);
  };
  const one: Job<O> = { ...inDatabase(job, name), facts: {}, warn };
  const started = Date.now();
  const end = (status: Status, message = warnings.join("; ")): DatabaseOutcome => {
    const durationMs = Date.now() - started;
    return { ...one.facts, database: name, status, durationMs, ...(message && { message }) };
  };
  try {
    if (refuses !== undefined && !named) throw new Unreachable(`cannot connect to the database: ${refuses}`);
    const result = await act(one);
    job.log.info(result.summary);
    return { result, outcome: end(warnings.length > 0 ? "warning" : "success") };
  } catch (error) {
    job.signal.throwIfAborted();
    if (error instanceof Unreachable && !named) {
      warn(error.message);
      return { outcome: end("warning") };
    }
    const failure = failureOf(error);
    return { failure, outcome: end("failure", failure.message) };
  }
}
