/** A disk that is slow to write to: bindfs, a file system of a process that takes so many bytes a second and no more. */
import { existsSync, mkdirSync, statSync } from "node:fs";
import { until } from "../support/machine/until.ts";

export interface SlowDisk {
  /** Unmounts it; what was written stays in the folder below. */
  remove(): Promise<void>;
}

/** Mounting is for root; in many containers there is no FUSE. `setup` installs bindfs, so its absence is a failure. */
export const canSlowDisk: boolean = process.getuid?.() === 0 && existsSync("/dev/fuse");

/** Mounts `from` at `to`, which must be folders; the mount ends with the test run. */
export async function mountSlowDisk(from: string, to: string, bytesPerSecond: number): Promise<SlowDisk> {
  for (const folder of [from, to]) mkdirSync(folder, { recursive: true, mode: 0o700 });
  const below = statSync(to).dev;
  const argv = ["bindfs", "-f", `--write-rate=${bytesPerSecond}`, from, to];
  const child = Bun.spawn(["setpriv", "--pdeathsig", "TERM", ...argv], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "pipe",
  });
  await until("the slow disk is there", async () => {
    if (child.exitCode !== null) throw new Error(`bindfs: ${await child.stderr.text()}`);
    return statSync(to).dev !== below;
  });
  return {
    async remove() {
      child.kill("SIGTERM");
      await child.exited;
    },
  };
}
