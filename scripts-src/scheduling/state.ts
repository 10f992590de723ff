/** The scheduler's state on disk, for the health check, which is another process. */
import { join } from "node:path";
import { z } from "zod";
import type { Logger } from "../base/log.ts";
import { keep, readKept } from "../base/replace-file.ts";
import { believable, type State } from "./health.ts";

const instant = z.iso.datetime().transform((text) => new Date(text));
const work = z.object({
  since: instant,
  good: instant.optional(),
  running: instant.optional(),
  failure: z.string().optional(),
});
const schema = work.extend({
  proof: work.optional(),
  trouble: z.object({ since: instant, cause: z.string() }).optional(),
});

/** One schedule a database, as with the lock. */
export const stateFile = (folder: string, name: string): string => join(folder, `.${name}.schedule.json`);

/** The state as it was written last, as far as it can be believed; undefined when there is none, or none that can be read. */
export function readState(path: string): State | undefined {
  const now = new Date();
  const state = readKept(path, schema);
  return state && { ...believable(state, now), proof: state.proof && believable(state.proof, now) };
}

/** Returns a function that writes the state as it is then. */
export const stateKeeper = (path: string, state: State, log: Logger) => (): void =>
  keep(path, state, "the state of the schedule, for the health check,", log);
