/** Reads a backup to its last byte: nothing has been touched, and nothing will be unless all of it is good. */
import type { OpenBackup } from "../archive/read.ts";
import { Failure } from "../base/errors.ts";
import { quote } from "../base/process.ts";
import { showProgress } from "../base/progress.ts";
import { bytesText, counted } from "../base/text.ts";
import type { Contents } from "../database/database.ts";
import { readDump } from "../database/read-dump.ts";
import type { Job } from "../run/script.ts";
import type { Target } from "./dry-run-checks.ts";
import { tellOwner, tellOrigin } from "./open-chosen.ts";
import type { RestoreOptions } from "./options.ts";

/** What the backup holds. Throws `Failure`. */
export async function checkBackup(
  job: Job<Pick<RestoreOptions, "into" | "file">>,
  target: Target,
  file: OpenBackup,
): Promise<Contents> {
  const { log, facts } = job;
  const { database } = target;
  const { manifest } = file;
  log.info(`checking ${facts.remoteLocation ?? file.path}, ${bytesText(file.bytes)}`);
  if (!manifest) log.warn(`${file.name} has no manifest: its checksum and its origin cannot be checked`);
  tellOwner(job, target, file.name, manifest);
  if (manifest && !database.takes.includes(manifest.engine)) {
    throw new Failure(`${file.name} is a backup of ${manifest.engine}, not of ${database.engine}`, {
      hints: ["name a backup of this database, or set DATABASE_URL to the other one"],
    });
  }
  if (manifest && manifest.database !== database.name && job.options.into === undefined)
    log.warn(
      `${file.name} is a backup of the database ${manifest.database}; it will be restored into ${database.name}`,
    );
  if (manifest && manifest.dumpOptions.length > 0)
    log.warn(`${file.name} was made with ${manifest.dumpOptions.map(quote).join(" ")}: it may not hold everything`);
  using progress = showProgress("check", file.bytes);
  try {
    const contents = await readDump(database.reader(), file.sql(progress.add));
    const { tables, bytes } = contents;
    log.info(`${file.name} is complete and intact: ${counted(tables.length, "table")}, ${bytesText(bytes)} of SQL`);
    return contents;
  } catch (error) {
    throw tellOrigin(error, file.path, facts);
  }
}
