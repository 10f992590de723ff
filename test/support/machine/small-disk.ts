/** Disks that are soon full; they need the right to mount. */
import { tempDir } from "./temp.ts";

/**
 * A small file system (options of tmpfs) at `dir` while `work` runs; undefined where the machine does not let us mount. It leaves the
 * folder at once, also while somebody still has a file in it open.
 */
export function withDisk<T>(options: string, dir: string, work: () => T): T | undefined {
  if (!Bun.spawnSync(["mount", "-t", "tmpfs", "-o", `${options},mode=700`, "tmpfs", dir]).success) return undefined;
  const umount = () => Bun.spawnSync(["umount", "-l", dir]);
  let result: T | undefined;
  try {
    result = work();
    return result instanceof Promise ? (result.finally(umount) as T) : result;
  } finally {
    if (!(result instanceof Promise)) umount();
  }
}

export const canMount: boolean = withDisk("size=1m", tempDir("mount"), () => true) === true;
