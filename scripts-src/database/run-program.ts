/** Running dump programs to their end, and saying for which locks they wait. */
import { Failure } from "../base/errors.ts";
import { type Program, quote } from "../base/process.ts";
import type { DatabaseContext } from "./database.ts";
import { DumpEnd, type DumpForm } from "./read-dump.ts";

interface DumpRun extends DatabaseContext {
  /** "pg_dump". */
  name: string;
  path: string;
  form: DumpForm;
  watch: LockWatch;
  /** The failure of a program that has ended with another status than 0. */
  failure: (status: number, stderr: string) => Failure;
}

/** What a dump program writes. Ends normally only when it exited 0 and its last line has come. Throws `Failure`. */
export async function* outputOf(program: Program, run: DumpRun): AsyncGenerator<Uint8Array> {
  const tail = new DumpEnd();
  let ended = false;
  try {
    await program.stdin.end();
    for await (const chunk of program.stdout) {
      tail.add(chunk);
      run.watch.moved();
      yield chunk;
    }
    ended = true;
  } finally {
    if (!ended) program.stop();
  }
  const [status, stderr] = [await program.exited, await program.stderr];
  run.signal.throwIfAborted();
  if (status !== 0) throw run.failure(status, stderr);
  if (!tail.isComplete(run.form))
    throw new Failure(`${run.name} exited with status 0, but the dump is incomplete: its last line is missing`, {
      hints: [`look at ${run.path}: it stopped early without saying so`],
    });
  if (stderr) run.log.warn(`${run.name} says: ${stderr}`);
}

const unpackers = { gzip: "gunzip -c", zstd: "zstd -dc", none: "cat" } as const;

/** A command that writes the SQL of a backup file to its output; of an encrypted one KEYFILE stands for the private key's file. */
export function unpackCommand(file: string, compression: keyof typeof unpackers): string {
  if (!file.endsWith(".age")) return `${unpackers[compression]} ${quote(file)}`;
  const decrypt = `age -d -i KEYFILE ${quote(file)}`;
  return compression === "none" ? decrypt : `${decrypt} | ${unpackers[compression]}`;
}

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
