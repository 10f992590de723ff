/** The scheduler's state on disk, for the health check, which is another process. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { messageOf } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { replaceFile } from "../base/replace-file.ts";
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
  try {
    const now = new Date();
    const state = believable(schema.parse(JSON.parse(readFileSync(path, "utf8"))), now);
    return { ...state, proof: state.proof && believable(state.proof, now) };
  } catch {
    return undefined;
  }
}

/** Returns a function that writes the state as it is then, in one go. That it cannot be written is logged only. */
export const stateKeeper = (path: string, state: State, log: Logger) => (): void => {
  try {
    replaceFile(path, `${JSON.stringify(state)}\n`, 0o600);
  } catch (error) {
    log.warn(`cannot keep the state of the schedule in ${path}, for the health check: ${messageOf(error)}`);
  }
};
