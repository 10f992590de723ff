/** A copy from S3 that lies in BACKUP_DIR while it is restored. */
import { constants } from "node:fs";
import { open, unlink } from "node:fs/promises";
import { join } from "node:path";
import { atExit } from "../base/cleanup.ts";
import { diskFailure } from "../base/disk.ts";
import { partialName } from "../archive/name.ts";
import { removeSync, writeAll } from "./file.ts";

/**
 * Writes `bytes` to `.<name>.partial` (0600) in `folder` and returns its path; it goes when it is disposed of, when the process
 * is stopped, and, should it be killed, with the next backup. Throws `Failure`.
 */
export async function spool(
  folder: string,
  name: string,
  bytes: AsyncIterable<Uint8Array>,
): Promise<AsyncDisposable & { path: string }> {
  const path = join(folder, partialName(name));
  const remove = () => removeSync(path);
  const forget = atExit(remove);
  try {
    await unlink(path).catch(() => {}); // of a run that was killed
    await using handle = await open(
      path,
      constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
      0o600,
    );
    for await (const block of bytes) await writeAll(handle, block);
  } catch (error) {
    remove();
    forget();
    throw diskFailure(`cannot write ${path}`, error);
  }
  return {
    path,
    async [Symbol.asyncDispose]() {
      remove();
      forget();
    },
  };
}
