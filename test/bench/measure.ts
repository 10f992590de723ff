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
  wanted?: readonly Wanted[];
}

/** How long it may take at most: so many times the sum of others, by their names, or so many seconds where none is named. */
export interface Wanted {
  atMost: number;
  of?: readonly string[];
}

export interface Measured {
  name: string;
  /** Seconds. */
  wall: number;
  cpu: number;
  /** Peak in bytes of the program itself, not of those that it starts. */
  memory: number;
  size: number | undefined;
  wanted: readonly Wanted[];
}

/** Not `maxRSS` of the usage: that one starts with what the parent had when it forked. */
function peakMemory(pid: number): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) * 1024;
  } catch {
    return 0; // it has just ended
  }
}

type Run = Omit<Measured, "name" | "wanted">;

async function once({ command, env, size, prepare, status = 0 }: Contender): Promise<Run> {
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
  const runs = contenders.map((): Run[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, contender] of contenders.entries()) runs[index]?.push(await once(contender));
  }
  return contenders.map(({ name, wanted = [] }, index) => {
    const mine = runs[index] ?? [];
    const of = (key: "wall" | "cpu" | "memory") => median(mine.map((run) => run[key]));
    return { name, wall: of("wall"), cpu: of("cpu"), memory: of("memory"), size: mine[0]?.size, wanted };
  });
}

/** A shell that waits for a pipe to end has less: its memory is of no interest. */
const shellMemory = 1e7;

const mb = (bytes: number) => (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);

const cell = (text: string) => text.replaceAll("|", "\\|");

/** "1.02 ≤ 1.10 × pg_dump \| gzip": what was measured, whether that is as wanted, and what is wanted. */
function compared({ wall, wanted }: Measured, all: readonly Measured[]): string {
  const known = new Set(all.map(({ name }) => name));
  return wanted
    .filter(({ of = [] }) => of.every((name) => known.has(name)))
    .map(({ atMost, of }) => {
      const base = of ? all.filter(({ name }) => of.includes(name)).reduce((sum, one) => sum + one.wall, 0) : 1;
      const ratio = wall / base;
      const digits = of ? 2 : 3;
      const target = `${atMost.toFixed(digits)} ${of ? `× ${of.join(" + ")}` : "s"}`;
      return `${ratio.toFixed(digits)} ${ratio <= atMost ? "≤" : "**>**"} ${target}`;
    })
    .join("; ");
}

/** A Markdown table; every time is also given as a multiple of the first row that `base` names. */
export function table(title: string, measured: readonly Measured[], base: string): string {
  const reference = measured.find(({ name }) => name === base)?.wall ?? NaN;
  const rows = measured.map((one) => {
    const { name, wall, cpu, memory, size } = one;
    const cells = [
      cell(name),
      wall.toFixed(wall < 1 ? 3 : 2),
      (wall / reference).toFixed(2),
      cpu.toFixed(2),
      memory < shellMemory ? "" : mb(memory),
      size === undefined ? "" : mb(size),
      cell(compared(one, measured)),
    ];
    return `| ${cells.join(" | ")} |`;
  });
  return [
    `### ${title}`,
    "",
    `| | wall s | × ${cell(base)} | CPU s | peak MB | size MB | wanted |`,
    "|---|---:|---:|---:|---:|---:|---|",
    ...rows,
    "",
  ].join("\n");
}

/** The same work in two sizes. */
export interface Growth {
  name: string;
  /** How many units of work the smaller and the larger one have. */
  units: readonly [number, number];
  measured: readonly [Measured, Measured];
}

/** A Markdown table: how time for a unit and memory change with size. */
export function growthTable(growths: readonly Growth[]): string {
  const rows = growths.map(({ name, units, measured: [small, large] }) => {
    const ratio = large.wall / units[1] / (small.wall / units[0]);
    const more = (large.memory - small.memory) / 1e6;
    const times = `${small.wall.toFixed(2)} → ${large.wall.toFixed(2)}`;
    const each = `${((large.wall / units[1]) * 1000).toFixed(2)} ms`;
    const verdict = `${ratio <= 1.2 ? "≤" : "**>**"} 1.20, ${more <= 20 ? "≤" : "**>**"} 20 MB`;
    return `| ${name} | ${times} | ${each} | ${ratio.toFixed(2)} | ${mb(small.memory)} → ${mb(large.memory)} | ${verdict} |`;
  });
  return [
    "### Growth",
    "",
    "| | wall s | a unit of the larger | × a unit of the smaller | peak MB | wanted |",
    "|---|---:|---:|---:|---:|---|",
    ...rows,
    "",
  ].join("\n");
}
