/** What must not be left behind when the process ends in the middle: partial files, files with passwords, programs that run. */
const cleanups = new Set<() => void>();

/** Registers a synchronous cleanup for an abrupt end; the returned function takes it back. */
export function atExit(cleanup: () => void): () => void {
  cleanups.add(cleanup);
  return () => void cleanups.delete(cleanup);
}

/** Runs every cleanup that is still registered; one that fails does not keep the others from running. */
export function cleanUp(): void {
  for (const cleanup of cleanups) {
    cleanups.delete(cleanup);
    try {
      cleanup();
    } catch {
      // nobody is left to be told
    }
  }
}
