/** Tries what the scripts do with S3, on an object that no rule of ours takes for a backup. */
import { Failure } from "../base/errors.ts";
import { statusOf } from "./explain.ts";
import type { Exposure } from "./exposure.ts";
import type { Storage } from "./connect.ts";

/** Always the same, so that a key that may not delete leaves one object and not one a try. */
export const probeName = "backup_scripts-probe";
const content = "Written by a dry run of backup_scripts, to see whether it can write, read and delete. This may go.\n";

/**
 * Lists, writes, reads and deletes; returns what the access key may not do although backups are possible without it.
 * Throws `Failure` when it cannot list or write, or reads something else than was written.
 */
export async function probeWriting(storage: Storage): Promise<string[]> {
  for await (const _ of storage.list()) break;
  await storage.put(probeName, Buffer.from(content));
  let read = content;
  const lacks = [
    await deniedOr(
      async () => (read = Buffer.concat(await Array.fromAsync(storage.get(probeName))).toString()),
      "not be read (s3:GetObject), as restore --from-s3 needs it",
    ),
    await deniedOr(
      () => storage.delete(probeName),
      "not be deleted (s3:DeleteObject), as retention and REMOTE_S3_DELETE need it",
    ),
  ];
  if (read !== content)
    throw new Failure(`${storage.location(probeName)} came back as something else than was written`, {
      hints: ["a proxy on the way, or the storage itself, changes what is sent"],
    });
  return lacks.flatMap((lack) => lack ?? []);
}

/** What a thief of the access key could do to the backups. Throws `Failure`. */
export const probeExposure = (storage: Storage): Promise<Exposure> => storage.exposure(probeName, Buffer.from(content));

/** `lack` when S3 says that the key may not do `work`; throws what else goes wrong. */
async function deniedOr(work: () => Promise<unknown>, lack: string): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (error instanceof Failure && statusOf(error.cause) === 403) return lack;
    throw error;
  }
}
