/** Small files that are replaced in one go. */
import { closeSync, fchmodSync, openSync, renameSync, rmSync, writeSync } from "node:fs";

/**
 * Gives a file a new content and mode at once: a reader sees the old one or the new one. A symbolic link that somebody put in its place,
 * or in that of the new file, is replaced and never followed. Throws what the file system throws.
 */
export function replaceFile(path: string, text: string, mode: number): void {
  const fresh = `${path}.new`;
  rmSync(fresh, { force: true });
  try {
    write(fresh, text, mode);
    renameSync(fresh, path);
  } catch (error) {
    rmSync(fresh, { force: true });
    throw error;
  }
}

function write(path: string, text: string, mode: number): void {
  const handle = openSync(path, "wx", mode);
  try {
    writeSync(handle, text);
    // whatever the umask is
    fchmodSync(handle, mode);
  } finally {
    closeSync(handle);
  }
}
