/** What a process takes of the machine, from Linux's /proc. */
import { readdirSync, readFileSync } from "node:fs";

export interface Usage {
  /** Memory now, and the most that it ever was (MiB). */
  megabytes: number;
  peakMegabytes: number;
  /** Open files, sockets and pipes. */
  open: number;
  /** Processes that it started and that have not been buried. */
  children: number;
}

/** Undefined once the process has ended. */
export function usageOf(pid: number): Usage | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const megabytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0) / 1024;
    return {
      megabytes: megabytes("VmRSS"),
      peakMegabytes: megabytes("VmHWM"),
      open: readdirSync(`/proc/${pid}/fd`).length,
      children: childrenOf(pid).length,
    };
  } catch {
    return undefined;
  }
}

/** Processes that any of its threads started. Throws once the process has ended. */
export const childrenOf = (pid: number): number[] =>
  readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
    readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").split(" ").filter(Boolean).map(Number),
  );

/** The most of everything that a process takes at a time. Looks every 10 ms until `done`. */
export async function mostUsed(pid: number, done: Promise<unknown>): Promise<Usage> {
  const most: Usage = { megabytes: 0, peakMegabytes: 0, open: 0, children: 0 };
  const timer = setInterval(() => {
    const now = usageOf(pid);
    for (const key of Object.keys(most) as (keyof Usage)[]) most[key] = Math.max(most[key], now?.[key] ?? 0);
  }, 10);
  try {
    await done;
  } finally {
    clearInterval(timer);
  }
  return most;
}

/** For a line that tells what was measured. */
export const usageText = ({ peakMegabytes, open, children }: Usage): string =>
  `${peakMegabytes.toFixed(0)} MB, ${open} open, ${children} children`;
