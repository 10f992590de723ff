/** VERIFY_QUERY: a question of the user's own to the restored copy. */
import type { OpenBackup } from "../archive/read.ts";
import { Failure } from "../base/errors.ts";
import type { Scratch } from "../database/restoring.ts";
import type { Job } from "../run/script.ts";

/** Whether one was asked. Throws a `Failure` when its value is not true. */
export async function askQuery(
  { settings, log }: Job,
  scratch: Pick<Scratch, "ask">,
  { name, manifest }: Pick<OpenBackup, "name" | "manifest">,
): Promise<boolean> {
  const query = queryFor(settings.VERIFY_QUERY, manifest?.database ?? "");
  if (query === undefined) return false;
  const value = await scratch.ask(query);
  if (!/^(t|true|1)$/i.test(value))
    throw new Failure(`VERIFY_QUERY is not true of ${name}: ${query} gives ${value === "" ? "nothing" : value}`, {
      hints: ["the copy is equal to the backup, but its content is not what you expect"],
    });
  log.info(`VERIFY_QUERY is true: ${query}`);
  return true;
}

/** The query for a database: the complete setting, or the query of the first line `PATTERN: QUERY` whose pattern matches. */
function queryFor(setting: string | undefined, database: string): string | undefined {
  const lines = setting?.split("\n").flatMap((line) => line.trim() || []) ?? [];
  const listed = lines.flatMap((line) => /^([^\s:]+):\s+(.+)$/.exec(line)?.slice(1, 3) ?? []);
  if (listed.length < 2 * lines.length) return setting?.trim() || undefined;
  const index = lines.findIndex((_, line) => new Bun.Glob(listed[2 * line] ?? "").match(database));
  return index < 0 ? undefined : listed[2 * index + 1];
}
