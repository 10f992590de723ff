import { until } from "./until.ts";

/** Whether the process runs; one that is dead but not yet buried does not. */
function isRunning(pid: number): boolean {
  const state = Bun.spawnSync(["ps", "-o", "stat=", "-p", String(pid)])
    .stdout.toString()
    .trim();
  return state !== "" && !state.startsWith("Z");
}

/** Waits until the process has ended. */
export const hasEnded = (pid: number): Promise<boolean> => until(`process ${pid} ends`, () => !isRunning(pid));
