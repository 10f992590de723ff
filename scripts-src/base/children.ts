/** The programs that we started and that still run. Apart from process.ts, so that a quick script need not load zx. */
export const running = new Set<Bun.Subprocess>();

/** Ends every program of ours that still runs, at once; for the last moment before we exit ourselves. */
export function killAll(): void {
  for (const child of running) killGroup(child, "SIGKILL");
}

/** Sends a signal to a program and to what it started. */
export function killGroup(child: Bun.Subprocess, signal: NodeJS.Signals): void {
  try {
    process.kill(-child.pid, signal);
  } catch {
    // it has ended by itself
  }
}
