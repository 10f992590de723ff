/**
 * Our compression and decompression beside the usual programs, on generated SQL: wall time, CPU time, peak memory, size.
 *   bun test/bench/compress.ts [MB] [ROUNDS]
 * Prints a Markdown table of medians; every program takes its turn in every round, so that a busy moment hits all alike.
 */
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { compress } from "../../scripts-src/archive/compress.ts";
import { openBackup } from "../../scripts-src/archive/read.ts";

interface Run {
  seconds: number;
  cpu: number;
  /** Peak memory in MB. */
  memory: number;
  /** Size of the result in MB. */
  size: number;
}

interface Contender {
  name: string;
  command: string[];
  input: string;
  output: string;
}

/** Half ids, numbers, e-mail addresses and prose, half JSON of requests with values that come again. */
function generate(path: string, bytes: number): void {
  let seed = 7;
  const random = (n: number) => (seed = (seed * 48_271) % 2_147_483_647) % n;
  const words = "lorem ipsum dolor sit amet order invoice shipped pending street berlin paris".split(" ");
  const word = () => words[random(words.length)];
  const row = (id: number) =>
    id % 2 === 0
      ? `${id}\t${random(2e6)}\t${word()}.${word()}${random(1e5)}@example.com\t${Array.from({ length: 3 + random(20) }, word).join(" ")}\t${random(1e7) / 100}\n`
      : `${id}\t2026-11-22 10:${random(60)}:${random(60)}+00\t{"url": "/api/v1/${word()}/${random(3000)}", "status": ${200 + 204 * random(2)}, "session": "${Bun.hash(String(random(2e5))).toString(16)}"}\n`;
  const file = openSync(path, "w", 0o600);
  for (let written = 0, id = 0; written < bytes;) {
    const text = Array.from({ length: 5000 }, () => row(id++)).join("");
    written += writeSync(file, text);
  }
  closeSync(file);
}

/** In MB. Not `maxRSS` of the usage: that one starts with what the parent had when it forked. */
function peakMemory(pid: number): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? 0) / 1e3;
  } catch {
    return 0; // it has just ended
  }
}

async function run({ command, input, output }: Contender): Promise<Run> {
  const began = Bun.nanoseconds();
  const child = Bun.spawn(command, { stdin: Bun.file(input), stdout: Bun.file(output), stderr: "inherit" });
  let memory = 0;
  const watch = setInterval(() => (memory = Math.max(memory, peakMemory(child.pid))), 20);
  const status = await child.exited;
  clearInterval(watch);
  if (status !== 0) throw new Error(`${command.join(" ")} failed`);
  const seconds = (Bun.nanoseconds() - began) / 1e9;
  const cpu = Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1e6;
  return { seconds, cpu, memory, size: output === "/dev/null" ? 0 : statSync(output).size / 1e6 };
}

function contenders(dir: string, data: string): Contender[] {
  const cores = availableParallelism();
  const ours = (...args: string[]) => [process.execPath, import.meta.path, ...args];
  const packing = [
    ["gzip, ours", ours("--pack", "gzip"), "ours.gz"],
    ["pigz -6", ["pigz", "-6", "-p", String(cores), "-c"], "pigz.gz"],
    ["gzip -6", ["gzip", "-6", "-c"], "gzip.gz"],
    ["zstd, ours", ours("--pack", "zstd"), "ours.zst"],
    ["zstd -3", ["zstd", "-q", "-3", `-T${cores}`, "-c"], "zstd.zst"],
  ] as const;
  const unpacking = [
    ["gunzip, ours", ours("--unpack", join(dir, "ours.gz")), "ours.gz"],
    ["gunzip, ours, of gzip's file", ours("--unpack", join(dir, "gzip.gz")), "gzip.gz"],
    ["gunzip -c", ["gunzip", "-c"], "ours.gz"],
    ["unzstd, ours", ours("--unpack", join(dir, "ours.zst")), "ours.zst"],
    ["unzstd, ours, of zstd's file", ours("--unpack", join(dir, "zstd.zst")), "zstd.zst"],
    ["zstd -dc", ["zstd", "-dcq"], "ours.zst"],
  ] as const;
  return [
    ...packing.map(([name, command, file]) => ({ name, command: [...command], input: data, output: join(dir, file) })),
    ...unpacking.map(([name, command, file]) => ({
      name,
      command: [...command],
      input: join(dir, file),
      output: "/dev/null",
    })),
  ].filter(({ command }) => Bun.which(command[0] ?? "") !== null);
}

const median = (numbers: number[]) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? 0;

/** Runs everything and returns the table. */
export async function benchCompression(megabytes: number, rounds: number): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), "bench-"));
  try {
    const data = join(dir, "data.sql");
    generate(data, megabytes * 1e6);
    const all = contenders(dir, data);
    const runs = new Map(all.map((contender) => [contender, [] as Run[]]));
    for (let round = 0; round < rounds; round++)
      for (const contender of all) runs.get(contender)?.push(await run(contender));
    const rows = [...runs].map(([{ name }, results]) => {
      const of = (key: keyof Run) => median(results.map((result) => result[key]));
      const size = of("size") === 0 ? "" : of("size").toFixed(1);
      return `| ${name} | ${of("seconds").toFixed(2)} | ${of("cpu").toFixed(2)} | ${of("memory").toFixed(0)} | ${size} |`;
    });
    const head = `| ${megabytes} MB of SQL, ${availableParallelism()} cores | wall s | cpu s | memory MB | size MB |`;
    return [head, "|---|---|---|---|---|", ...rows].join("\n");
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function pack(compression: "gzip" | "zstd"): Promise<void> {
  const sink = Bun.stdout.writer();
  for await (const block of compress(Bun.stdin.stream(), { compression })) {
    void sink.write(block);
    await sink.flush();
  }
  await sink.end();
}

/** As the check before a restore does it: file, checksum, decompression. */
async function unpack(path: string): Promise<void> {
  await using backup = await openBackup(path, { keys: {} });
  let bytes = 0;
  for await (const block of backup.sql()) bytes += block.byteLength;
  if (bytes === 0) throw new Error("nothing was read");
}

if (import.meta.main) {
  const [first = "1000", second = "3"] = process.argv.slice(2);
  if (first === "--pack") await pack(second === "zstd" ? "zstd" : "gzip");
  else if (first === "--unpack") await unpack(second);
  else console.log(await benchCompression(Number(first), Number(second)));
}
