/** Small files that are replaced in one go, and what a run keeps in such for the next. */
import {
  closeSync,
  fchmodSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { codeOf, messageOf } from "./errors.ts";
import type { Logger } from "./log.ts";

/**
 * Gives a file a new content and mode at once: a reader sees the old one or the new one. A symbolic link that somebody put in its place,
 * or in that of the new file, is replaced and never followed. Throws what the file system throws.
 */
export function replaceFile(path: string, text: string, mode: number): void {
  // as an unfinished backup is called: beside backups the next run sweeps it
  const fresh = join(dirname(path), `.${basename(path)}.partial`);
  remove(fresh);
  try {
    write(fresh, text, mode);
    renameSync(fresh, path);
  } catch (error) {
    remove(fresh);
    throw error;
  }
}

/** Not `rmSync`: below something that is no folder, Bun's speaks of a bad address. */
function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw error;
  }
}

function write(path: string, text: string, mode: number): void {
  const handle = openSync(path, "wx", mode);
  try {
    // not `writeSync`: on a disk that is almost full that writes a part, without an error
    writeFileSync(handle, text);
    // whatever the umask is
    fchmodSync(handle, mode);
    // after a power failure a file that was not flushed would be there, and empty
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** What was kept, by `schema`; undefined when there is nothing, or something else. */
export function readKept<T>(path: string, schema: { parse: (value: unknown) => T }): T | undefined {
  try {
    return schema.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return undefined;
  }
}

/** Keeps a value as JSON that only its owner can read. That it cannot be kept is logged only; `what` says then what is missing. */
export function keep(path: string, value: unknown, what: string, log: Logger): void {
  try {
    replaceFile(path, `${JSON.stringify(value)}\n`, 0o600);
  } catch (error) {
    log.warn(`cannot keep ${what} in ${path}: ${messageOf(error)}`);
  }
}
