/** What dry runs look at: each of the databases that a run would be about. */
import { openDatabase } from "../database/open.ts";
import type { Check } from "../run/checklist.ts";
import type { Job } from "../run/script.ts";
import { nameDatabase } from "./backup-folder.ts";
import { chooseDatabases, inDatabase } from "./choose-databases.ts";
import type { Target } from "./dry-run-checks.ts";

/** The databases, each with a job about it alone; `refused` has those that a run would pass over. Throws `Failure`. */
export async function targetsOf(
  job: Job,
  wanted?: readonly string[],
): Promise<{ targets: { one: Job; target: Target }[]; refused: Check[] }> {
  const chosen = await chooseDatabases(job, wanted);
  if (!chosen) {
    const database = openDatabase(job.settings, job);
    nameDatabase(job, database);
    return { targets: [{ one: job, target: { database } }], refused: [] };
  }
  const isRefused = ({ named, refuses }: (typeof chosen)[number]) => !named && refuses !== undefined;
  const jobs = chosen
    .filter((one) => !isRefused(one))
    .map(({ name }) => ({ ...job, settings: inDatabase(job.settings, name) }));
  return {
    targets: jobs.map((one) => ({ one, target: { database: openDatabase(one.settings, one) } })),
    refused: chosen.filter(isRefused).map(({ name, refuses }) => ({
      what: `database ${name}`,
      look: async () => ({ warning: `it would be passed over: ${refuses}`, hints: [] }),
    })),
  };
}
