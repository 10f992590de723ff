/** Measures whole commands side by side: wall time, CPU time, peak memory; medians, every command once in each round. */
import { readFileSync } from "node:fs";

export interface Contender {
  name: string;
  /** Before each round, not measured. */
  prepare?: () => Promise<void>;
  command: string[];
  env?: Record<string, string>;
  /** The exit status that is right; default 0. */
  status?: number;
  /** Bytes of what it made, where that matters. */
  size?: () => number;
}

export interface Measured {
  name: string;
  /** Seconds. */
  wall: number;
  cpu: number;
  /** Peak in bytes of the program itself, not of those that it starts. */
  memory: number;
  size: number | undefined;
}

/** Not `maxRSS` of the usage: that one starts with what the parent had when it forked. */
function peakMemory(pid: number): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024;
  } catch {
    return 0; // it has just ended
  }
}

async function once({ command, env, size, prepare, status = 0 }: Contender): Promise<Omit<Measured, "name">> {
  await prepare?.();
  const began = Bun.nanoseconds();
  const child = Bun.spawn(command, {
    env: { ...process.env, ...env },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  let memory = 0;
  const watch = setInterval(() => (memory = Math.max(memory, peakMemory(child.pid))), 20);
  const stderr = await new Response(child.stderr).text();
  const ended = await child.exited;
  clearInterval(watch);
  if (ended !== status) throw new Error(`${command.join(" ")} failed: ${stderr}`);
  const wall = (Bun.nanoseconds() - began) / 1e9;
  const usage = child.resourceUsage();
  return { wall, cpu: Number(usage?.cpuTime.total ?? 0) / 1e6, memory, size: size?.() };
}

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;

/** Medians of `rounds` rounds; within a round each takes its turn, so that a busy moment hits all alike. */
export async function measure(contenders: readonly Contender[], rounds: number): Promise<Measured[]> {
  const runs = contenders.map((): Omit<Measured, "name">[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, contender] of contenders.entries()) runs[index]?.push(await once(contender));
  }
  return contenders.map(({ name }, index) => {
    const mine = runs[index] ?? [];
    const of = (key: "wall" | "cpu" | "memory") => median(mine.map((run) => run[key]));
    return { name, wall: of("wall"), cpu: of("cpu"), memory: of("memory"), size: mine[0]?.size };
  });
}

/** A shell that waits for a pipe to end has less: its memory is of no interest. */
const shellMemory = 1e7;

const mb = (bytes: number) => (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);

const cell = (text: string) => text.replaceAll("|", "\\|");

/** A Markdown table; every time is also given as a multiple of the first row that `base` names. */
export function table(title: string, measured: readonly Measured[], base: string): string {
  const reference = measured.find(({ name }) => name === base)?.wall ?? NaN;
  const rows = measured.map(
    ({ name, wall, cpu, memory, size }) =>
      `| ${cell(name)} | ${wall.toFixed(wall < 1 ? 3 : 2)} | ${(wall / reference).toFixed(2)} | ${cpu.toFixed(2)} | ${memory < shellMemory ? "" : mb(memory)} | ${size === undefined ? "" : mb(size)} |`,
  );
  return [
    `### ${title}`,
    "",
    `| | wall s | × ${cell(base)} | CPU s | peak MB | size MB |`,
    "|---|---:|---:|---:|---:|---:|",
    ...rows,
    "",
  ].join("\n");
}
