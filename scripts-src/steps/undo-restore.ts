/** Takes a restore back: the state that it has kept takes the place of the present one again. */
import { usageFailure } from "../base/errors.ts";
import type { Connected } from "../database/database.ts";
import { confirm, isAnyoneThere } from "../run/ask.ts";
import type { Job } from "../run/script.ts";
import { restoreCommand } from "./restore-command.ts";
import type { RestoreOptions } from "./options.ts";

/** Returns the last word. Throws `Failure`. */
export async function undoRestore(job: Job<RestoreOptions>, database: Connected, before: string): Promise<string> {
  const { log, options, signal } = job;
  if (!database.undo)
    throw usageFailure(
      "--undo: PostgreSQL renames databases itself",
      "run the command that the restore has logged (to take the restore back: …)",
    );
  await using _lock = await database.lock("restore");
  const plan = `${before} takes the place of ${database.where}; the present state is kept as ${database.name}_before_TIME`;
  if (isAnyoneThere() && !options.yes) await confirm(`${plan}\n`, signal);
  else log.info(plan);
  const { before: kept, undo, drop } = await database.undo(before);
  if (kept === undefined) return `undo done: ${database.where} is as it was before the restore`;
  log.info(`to take this back: ${typeof undo === "string" ? undo : restoreCommand(job, undo)}`);
  log.info(`to drop the state before this: ${drop}`);
  return `undo done: ${database.where} is as it was before the restore; the state before this is kept as ${kept}`;
}
