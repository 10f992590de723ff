/** Measures whole commands side by side: wall time, CPU time, peak memory; medians, every command once in each round. */

export interface Contender {
  name: string;
  /** Before each round, not measured. */
  prepare?: () => Promise<void>;
  command: string[];
  env?: Record<string, string>;
  /** Bytes of what it made, where that matters. */
  size?: () => number;
}

export interface Measured {
  name: string;
  /** Seconds. */
  wall: number;
  cpu: number;
  /** Bytes of the largest process among those started. */
  memory: number;
  size: number | undefined;
}

async function once({ command, env, size, prepare }: Contender): Promise<Omit<Measured, "name">> {
  await prepare?.();
  const began = Bun.nanoseconds();
  const child = Bun.spawn(command, {
    env: { ...process.env, ...env },
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  const stderr = await new Response(child.stderr).text();
  if ((await child.exited) !== 0) throw new Error(`${command.join(" ")} failed: ${stderr}`);
  const wall = (Bun.nanoseconds() - began) / 1e9;
  const usage = child.resourceUsage();
  return { wall, cpu: Number(usage?.cpuTime.total ?? 0) / 1e6, memory: usage?.maxRSS ?? 0, size: size?.() };
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

const mb = (bytes: number) => (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);

const cell = (text: string) => text.replaceAll("|", "\\|");

/** A Markdown table; every time is also given as a multiple of the first row that `base` names. */
export function table(title: string, measured: readonly Measured[], base: string): string {
  const reference = measured.find(({ name }) => name === base)?.wall ?? NaN;
  const rows = measured.map(
    ({ name, wall, cpu, memory, size }) =>
      `| ${cell(name)} | ${wall.toFixed(2)} | ${(wall / reference).toFixed(2)} | ${cpu.toFixed(2)} | ${mb(memory)} | ${size === undefined ? "" : mb(size)} |`,
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
