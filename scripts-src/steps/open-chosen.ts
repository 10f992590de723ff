/** Opens the backup that was asked for: the named one or the newest, from BACKUP_DIR or as a copy from S3. */
import { basename, dirname } from "node:path";
import { Damaged } from "../archive/damaged.ts";
import { keysFrom } from "../archive/keys.ts";
import { type Manifest, sizeFault } from "../archive/manifest.ts";
import { formatBackupName, parseBackupName } from "../archive/name.ts";
import { openBackup, type OpenBackup } from "../archive/read.ts";
import { watched } from "../archive/tally.ts";
import { requireSigned } from "../archive/trust.ts";
import { codeOf, Failure } from "../base/errors.ts";
import { showProgress } from "../base/progress.ts";
import { bytesText } from "../base/text.ts";
import { inFolder } from "../places/folder.ts";
import { manifestOf, type Place } from "../places/place.ts";
import { spool } from "../places/file.ts";
import type { Job } from "../run/script.ts";
import { proofSpool } from "./backup-folder.ts";
import type { Target } from "./dry-run-checks.ts";
import { findLocal, findRemote } from "./find-backup.ts";
import type { RestoreOptions } from "./options.ts";

type Choice = Pick<RestoreOptions, "file" | "fromS3" | "before" | "unsigned"> & { unproved?: boolean };

/** A backup with the place where it lies. */
export type ChosenBackup = OpenBackup & { place: Place };

interface Copy {
  name: string;
  path: string;
  manifest: Manifest | undefined;
  place: Place;
}

/**
 * The backup, and with `fromS3` its copy in `folder`, which is deleted when it is disposed of. Throws a `Failure`; of one that is
 * damaged `onDamaged` hears before.
 */
export async function openChosen(
  job: Job<Choice & object>,
  target: Target,
  folder: string,
  onDamaged: (backup: Pick<ChosenBackup, "place" | "name">) => Promise<void> = async () => {},
): Promise<ChosenBackup> {
  const { options, facts } = job;
  const opening = { keys: keysFrom(job), unsigned: options.unsigned };
  const tell = (place: Place, name: string) => async (error: unknown) => {
    if (error instanceof Damaged) await onDamaged({ place, name });
    throw error;
  };
  if (!options.fromS3) {
    const path = await findLocal(job, target, folder, options);
    const file = await openBackup(path, opening).catch(tell(inFolder(dirname(path)), basename(path)));
    Object.assign(facts, { file: file.name, bytes: file.bytes, localPath: file.path });
    return { ...file, place: inFolder(dirname(file.path)) };
  }
  const { place, backup } = await findRemote(job, target, options);
  const copy = await fetchBackup(job, target, folder, { place, backup }).catch(tell(place, backup.name));
  try {
    const file = await openBackup(copy.path, { ...opening, origin: copy }).catch(tell(place, backup.name));
    Object.assign(facts, { file: file.name, bytes: file.bytes });
    return {
      ...file,
      place: copy.place,
      async [Symbol.asyncDispose]() {
        await file[Symbol.asyncDispose]();
        await copy[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await copy[Symbol.asyncDispose]();
    throw tellOrigin(error, copy.path, facts);
  }
}

/** Of a damaged copy from S3 a person knows where it comes from, not where it lies for a while; an error of the disk is about that. */
export function tellOrigin(error: unknown, path: string, { remoteLocation }: Job["facts"]): unknown {
  if (remoteLocation === undefined || !(error instanceof Failure) || codeOf(error.cause) !== undefined) return error;
  const { message, status, hints, cause } = error;
  return new Failure(message.replaceAll(path, remoteLocation), { status, hints, cause });
}

/** A backup in S3 as a copy in `folder`. */
async function fetchBackup(
  job: Job<Choice & object>,
  target: Target,
  folder: string,
  { place, backup }: Awaited<ReturnType<typeof findRemote>>,
): Promise<Copy & AsyncDisposable> {
  const { log, options } = job;
  const { name } = backup;
  job.facts.remoteLocation = place.locate(name);
  const keys = keysFrom(job);
  const manifest = backup.committed ? await manifestOf(place, name, keys.manifestKeys) : undefined;
  if (!options.unsigned) requireSigned(name, manifest, keys);
  const fault = sizeFault(
    job.facts.remoteLocation,
    backup.bytes,
    manifest,
    "nothing was fetched; restore another backup",
  );
  if (fault) throw fault;
  log.info(`fetching ${job.facts.remoteLocation}, ${bytesText(backup.bytes)}`);
  const progress = showProgress("fetch", backup.bytes);
  try {
    const bytes = watched(place.read(name, backup.bytes), (block) => progress.add(block.byteLength));
    return {
      name,
      manifest,
      place,
      ...(await spool(
        folder,
        spoolName(name, options.unproved ? proofSpool(target.database) : target.database.name),
        bytes,
      )),
    };
  } finally {
    progress.stop();
  }
}

/** Among our own partial files, whatever database it is of: our lock guards it, and our next run sweeps it. */
function spoolName(name: string, database: string): string {
  const backup = parseBackupName(name);
  return backup ? formatBackupName({ ...backup, database }) : name;
}
