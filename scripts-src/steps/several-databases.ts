/** Which databases of the server a run is about; its work for each of them, one after the other, and how each ended. */
import { join } from "node:path";
import { z } from "zod";
import { Failure } from "../base/errors.ts";
import { keep, readKept } from "../base/replace-file.ts";
import { counted } from "../base/text.ts";
import type { ServerDatabase } from "../database/database.ts";
import { openDatabase } from "../database/open.ts";
import type { DatabaseOutcome, Status } from "../notify/outcome.ts";
import type { Check } from "../run/checklist.ts";
import { failureOf } from "../run/attempt.ts";
import type { Job, Result } from "../run/script.ts";
import { chooseNames, type ChosenName, type NamePattern, parsePatterns } from "../settings/name-patterns.ts";
import { databaseOf } from "./backup-folder.ts";
import type { Target } from "./dry-run-checks.ts";
import { identityOf } from "./identity.ts";

export interface ChosenDatabase extends ChosenName {
  /** Why the user cannot connect to it. */
  refuses?: string;
}

/** The job about this database of the server. */
export const inDatabase = <J extends Job>(job: J, name: string): J => ({
  ...job,
  // from here on DB_NAME counts, whatever a URL names
  settings: { ...job.settings, DB_NAME: name, DB_NAMES: job.settings.DB_NAMES ?? "*" },
});

/** `wanted` by name, else what DB_NAMES says; undefined: the one that the settings name. Throws `Failure`. */
export async function chooseDatabases(
  job: Job,
  wanted: readonly string[] | undefined,
  folder?: string,
): Promise<ChosenDatabase[] | undefined> {
  if (wanted) return [...new Set(wanted)].map((name) => ({ name, named: true }));
  const { DB_NAMES } = job.settings;
  if (DB_NAMES === undefined) return undefined;
  const patterns = parsePatterns(DB_NAMES);
  const connected = await openDatabase(job.settings, job).connect({ mayBeMissing: true });
  const all = await connected.databases();
  const chosen = chooseNames(patterns, matchable(all));
  if (folder !== undefined)
    warnOfChange(job, patterns, all, join(folder, ".databases.json"), identityOf(job.settings, connected).server);
  if (chosen.length > 0)
    return chosen.map((one) => ({ ...one, ...all.find(({ name, refuses }) => refuses && name === one.name) }));
  throw new Failure(`DB_NAMES ${DB_NAMES} matches no database of ${connected.where}`, {
    hints: [`the server has ${matchable(all).join(", ") || "no databases but its own"}`],
  });
}

const matchable = (all: readonly ServerDatabase[]) => all.filter(({ isSystem }) => !isSystem).map(({ name }) => name);

const known = z.record(z.string(), z.array(z.string()));

/** Warns of databases that DB_NAMES matches and that the server has only now, or no longer; keeps the names for the next run. */
function warnOfChange(
  job: Job,
  patterns: readonly NamePattern[],
  all: readonly ServerDatabase[],
  path: string,
  server: string,
): void {
  const now = matchable(all);
  const before = readKept(path, known) ?? {};
  const then = before[server] ?? now;
  const matched = (names: readonly string[], others: readonly string[]) =>
    chooseNames(patterns, names).filter(({ name }) => names.includes(name) && !others.includes(name));
  for (const { name } of matched(now, then)) job.warn(`the database ${name} is new on the server`);
  for (const { name } of matched(then, now))
    job.warn(
      `the database ${name} no longer exists on the server; its backups are kept, nothing more is deleted of them`,
    );
  keep(path, { ...before, [server]: now }, "the names of the databases", job.log);
}

/** The databases, each with a job about it alone; `refused` has those that a run would pass over. Throws `Failure`. */
export async function targetsOf(
  job: Job,
  wanted?: readonly string[],
): Promise<{ targets: { one: Job; target: Target }[]; refused: Check[] }> {
  const chosen = await chooseDatabases(job, wanted);
  if (!chosen) {
    const database = databaseOf(job);
    return { targets: [{ one: job, target: { database } }], refused: [] };
  }
  const isRefused = ({ named, refuses }: (typeof chosen)[number]) => !named && refuses !== undefined;
  const jobs = chosen.filter((one) => !isRefused(one)).map(({ name }) => inDatabase(job, name));
  return {
    targets: jobs.map((one) => ({
      one,
      target: { database: openDatabase(one.settings, one), isOneOfMany: jobs.length > 1 },
    })),
    refused: chosen.filter(isRefused).map(({ name, refuses }) => ({
      what: `database ${name}`,
      look: async () => ({ warning: `it would be passed over: ${refuses}`, hints: [] }),
    })),
  };
}

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
