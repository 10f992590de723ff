/** Small files that are replaced in one go. */
import { closeSync, fchmodSync, openSync, renameSync, unlinkSync, writeFileSync } from "node:fs";
import { codeOf } from "./errors.ts";

/**
 * Gives a file a new content and mode at once: a reader sees the old one or the new one. A symbolic link that somebody put in its place,
 * or in that of the new file, is replaced and never followed. Throws what the file system throws.
 */
export function replaceFile(path: string, text: string, mode: number): void {
  const fresh = `${path}.new`;
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
  } finally {
    closeSync(handle);
  }
}
