/** Which databases of the server a run is about. */
import { join } from "node:path";
import { z } from "zod";
import { Failure } from "../base/errors.ts";
import { keep, readKept } from "../base/replace-file.ts";
import type { ServerDatabase } from "../database/database.ts";
import { openDatabase } from "../database/open.ts";
import type { Check } from "../run/checklist.ts";
import type { Job } from "../run/script.ts";
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
