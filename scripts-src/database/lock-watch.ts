/** Says for which lock a program of ours waits, and whose it is: nobody looks for that at night. */
import type { DatabaseContext } from "./database.ts";

/** How long (ms) another session's lock may be waited for: then a backup or a restore gives up. */
export const lockPatience = 300_000;

/** How often (ms) the server is asked, while nothing moves. */
const interval = 4_000;
/** How often (ms) one wait is reported. */
const reportAgain = 60_000;

export interface LockWatch extends Disposable {
  /** The program makes progress: the server is not asked. */
  moved: () => void;
}

/** Watches until it is disposed of. `ask` resolves to what is waited for, in words. */
export function watchLocks({ log, signal }: DatabaseContext, ask: () => Promise<string[]>): LockWatch {
  let still = false;
  let asking = false;
  const reported = new Map<string, number>();
  const look = async () => {
    const idle = still;
    still = true;
    if (!idle || asking || signal.aborted) return;
    asking = true;
    const waits = await ask().catch(() => []);
    asking = false;
    for (const wait of still ? waits : []) {
      if (Date.now() - (reported.get(wait) ?? 0) < reportAgain) continue;
      reported.set(wait, Date.now());
      log.warn(wait);
    }
  };
  const timer = setInterval(() => void look(), interval);
  return {
    moved: () => void (still = false),
    [Symbol.dispose]: () => clearInterval(timer),
  };
}
