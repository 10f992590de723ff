/**
 * Real errors of the system: strace lets a system call fail, and the program sees what the kernel itself would say of a broken
 * disk. It works on the built executables, whose runtime makes its calls without the C library.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Running, type RunOptions, startProgram } from "../support/machine/executables.ts";
import { hasEnded } from "../support/machine/processes.ts";
import { tempDir } from "../support/machine/temp.ts";
import { until } from "../support/machine/until.ts";

/** A machine may forbid it (ptrace). */
export const canTrace: boolean =
  Bun.which("strace") !== null && Bun.spawnSync(["strace", "-o", "/dev/null", "true"]).success;

export interface SystemFault {
  /** A system call, by its name. */
  call: string;
  /** What every such call meets instead of being done, "error=EIO", or before: "delay_enter=60s". */
  meets: string;
  /** Only calls on these paths, or on what was opened by them; none of them need exist. */
  paths: readonly string[];
}

export interface Faulty extends Running {
  /** How many calls have met the fault so far. */
  met(): number;
}

/** Starts a program on a system with that fault. */
export function startFaulty(fault: SystemFault, argv: readonly string[], options?: RunOptions): Faulty {
  const { words, met } = strace(fault);
  // with the filter in the kernel not every call of the program stops: four times as quick
  return { ...startProgram([...words, "--quiet=all", "--seccomp-bpf", ...argv], options), met };
}

/** Brings the fault over a program that already runs; resolves when it is there. It ends with the program. */
export async function breakRunning(fault: SystemFault, pid: number): Promise<Faulty> {
  const { words, met } = strace(fault);
  const running = startProgram([...words, "-p", String(pid)]);
  await until("strace holds the program", () => running.stderr().includes("attached"));
  return { ...running, met };
}

/** Starts a program and ends it by kill -9 when it is about to make the call. Throws when it ends without. */
export async function killAt(fault: Omit<SystemFault, "meets">, argv: readonly string[]): Promise<void> {
  const running = startFaulty({ ...fault, meets: "delay_enter=60s" }, argv);
  const ended = running.done.then(({ stderr }) => Promise.reject(new Error(`${fault.call} was not called: ${stderr}`)));
  await Promise.race([ended, until(`the program calls ${fault.call}`, () => running.met() > 0)]);
  const program = Number.parseInt(readFileSync(`/proc/${running.pid}/task/${running.pid}/children`, "utf8"), 10);
  process.kill(program, "SIGKILL");
  // strace would wait for the end of the delay
  running.kill("SIGKILL");
  await ended.catch(() => hasEnded(program));
}

function strace({ call, meets, paths }: SystemFault): { words: string[]; met: () => number } {
  const file = join(tempDir("strace"), "calls");
  const only = paths.flatMap((path) => ["-P", path]);
  return {
    words: ["strace", "-f", "-o", file, "-e", `trace=${call}`, "-e", `inject=${call}:${meets}`, ...only],
    met: () => (existsSync(file) ? readFileSync(file, "utf8").split(` ${call}(`).length - 1 : 0),
  };
}
