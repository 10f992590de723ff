/** Temporary folders that are gone when all tests have run, or when another program than `bun test` ends. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const made = new Set<string>();

/** A new empty folder. */
export function tempDir(name: string): string {
  if (made.size === 0) process.once("exit", removeAllDirs);
  const dir = mkdtempSync(join(tmpdir(), `backup-scripts-${name}-`));
  made.add(dir);
  return dir;
}

/** Removes a folder now; one that a test made read-only as well. */
export function removeDir(dir: string): void {
  rmSync(dir, { recursive: true, force: true, maxRetries: 3 });
  made.delete(dir);
}

/** For the end of `bun test`, which tells nobody of its exit. */
export function removeAllDirs(): void {
  for (const dir of made) removeDir(dir);
}
