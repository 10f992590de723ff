/** Disks that are soon full; they need the right to mount. */
import { tempDir } from "./temp.ts";

/** A small file system (options of tmpfs) at `dir` while `work` runs; undefined where the machine does not let us mount. */
export function withDisk<T>(options: string, dir: string, work: () => T): T | undefined {
  if (!Bun.spawnSync(["mount", "-t", "tmpfs", "-o", `${options},mode=700`, "tmpfs", dir]).success) return undefined;
  const umount = () => Bun.spawnSync(["umount", "-l", dir]);
  const result = work();
  if (result instanceof Promise) return result.finally(umount) as T;
  umount();
  return result;
}

export const canMount: boolean = withDisk("size=1m", tempDir("mount"), () => true) === true;
