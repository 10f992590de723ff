/** What a supervisor starts again and again must not send a notice each time. */
import { createHash } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { Declined, Failure, Stopped } from "../base/errors.ts";
import { keep, readKept } from "../base/replace-file.ts";
import type { Job, Result } from "./script.ts";

type Place = Pick<Job, "home" | "settings" | "script" | "log">;

const folderOf = ({ home, settings }: Place) => resolve(home, settings.BACKUP_DIR);
const noteOf = (job: Place) => join(folderOf(job), `.${job.script}.reported`);

/**
 * Whether this is a failure that was not reported yet. A note in BACKUP_DIR keeps which one was reported last; where it cannot be
 * written, every failure counts as the first.
 */
export function isFirstReport(job: Place, ended: Result | Failure): boolean {
  if (!(ended instanceof Failure) || ended instanceof Stopped || ended instanceof Declined) return false;
  const digest = createHash("sha256").update(ended.message).digest("hex");
  if (readKept(noteOf(job), { parse: String }) === digest) return false;
  try {
    mkdirSync(folderOf(job), { recursive: true, mode: 0o700 });
  } catch {
    // the note cannot be kept: reported once too often is better than never
  }
  keep(noteOf(job), digest, "which failure was reported last,", job.log);
  return true;
}

/** All is well again: the next failure is reported, whatever it is. */
export const forgetReport = (job: Place): void => rmSync(noteOf(job), { force: true });
