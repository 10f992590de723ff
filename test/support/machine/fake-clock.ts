import { globSync } from "node:fs";

/**
 * Environment of a program whose clock is off ("+1d") or runs faster ("+0 x4"): libfaketime alone. The program `faketime` makes
 * semaphores that outlive a kill, and fails at those that a process of its number has left.
 */
export const fakeClock = (offset: string): Record<string, string> => ({
  LD_PRELOAD: globSync("/usr/lib/*/faketime/libfaketime.so.1")[0] ?? "libfaketime.so.1",
  FAKETIME: offset,
  FAKETIME_DISABLE_SHM: "1",
});
