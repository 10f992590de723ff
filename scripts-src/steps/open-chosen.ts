/** Finds, opens and checks the backup that was asked for: the one that is named, or the newest of this server; from BACKUP_DIR, or as a copy from S3. */
import { basename, dirname, join, resolve } from "node:path";
import { openJson } from "../archive/age.ts";
import { watched } from "../archive/blocks.ts";
import { ownerOf, strictOwnerOf } from "../archive/identity.ts";
import { keysFrom } from "../archive/keys.ts";
import { type Manifest, requireSigned, sizeFault } from "../archive/manifest.ts";
import { formatBackupName, manifestName, parseBackupName } from "../archive/name.ts";
import { type OpenBackup, openBackup } from "../archive/read.ts";
import { codeOf, Damaged, Failure, noSuchBackup, usageFailure } from "../base/errors.ts";
import { quote } from "../base/process.ts";
import { showProgress } from "../base/progress.ts";
import { bytesText, counted } from "../base/text.ts";
import type { Contents, Database } from "../database/database.ts";
import { recalledContents } from "../database/kept-contents.ts";
import { readDump } from "../database/read-dump.ts";
import type { DatabaseProperties } from "../database/restoring.ts";
import { chooseFile, chooseNamed, chooseNewest, originText } from "../places/choose.ts";
import { spool } from "../places/file.ts";
import { inFolder, lookAtFolder, prepareFolder } from "../places/folder.ts";
import { manifestOf, type Place, type Stored } from "../places/place.ts";
import type { Job } from "../run/script.ts";
import { backupFolder, localPlace, proofSpool, remotePlace } from "./backup-folder.ts";
import type { Target } from "./dry-run-checks.ts";
import { identityOf, identityWithoutServer } from "./identity.ts";
import type { RestoreOptions } from "./options.ts";

/** A name or path, or the newest of those that were made before a time. */
type Choice = Pick<RestoreOptions, "file" | "fromS3" | "before" | "unsigned" | "dryRun"> & { unproved?: boolean };

/** A backup with the place where it lies. */
export type ChosenBackup = OpenBackup & { place: Place };

/**
 * The backup, and with `fromS3` its copy in BACKUP_DIR, which is deleted when it is disposed of. Throws a `Failure`; of one that is
 * damaged `onDamaged` hears before.
 */
export async function openChosen(
  job: Job<Choice & object>,
  target: Target,
  onDamaged: (backup: Pick<ChosenBackup, "place" | "name">) => Promise<void> = async () => {},
): Promise<ChosenBackup> {
  const { options, facts } = job;
  const opening = { keys: keysFrom(job), unsigned: options.unsigned };
  const tell = (place: Place, name: string) => async (error: unknown) => {
    if (error instanceof Damaged) await onDamaged({ place, name });
    throw error;
  };
  if (!options.fromS3) {
    const path = await findLocal(job, target, options);
    const file = await openBackup(path, opening).catch(tell(inFolder(dirname(path)), basename(path)));
    Object.assign(facts, { file: file.name, bytes: file.bytes, localPath: file.path });
    return { ...file, place: inFolder(dirname(file.path)) };
  }
  const found = await findRemote(job, target, options);
  const { place, backup } = found;
  await using opened = new AsyncDisposableStack();
  const copy = opened.use(await fetchBackup(job, target, found).catch(tell(place, backup.name)));
  try {
    const file = opened.use(await openBackup(copy.path, { ...opening, origin: copy }).catch(tell(place, backup.name)));
    Object.assign(facts, { file: file.name, bytes: file.bytes });
    const all = opened.move();
    return { ...file, place: copy.place, [Symbol.asyncDispose]: () => all.disposeAsync() };
  } catch (error) {
    throw tellOrigin(error, copy.path, facts);
  }
}

/** Of a damaged copy from S3 a person knows where it comes from, not where it lies for a while; an error of the disk is about that. */
export function tellOrigin(error: unknown, path: string, { remoteLocation }: Job["facts"]): unknown {
  if (remoteLocation === undefined || !(error instanceof Failure) || codeOf(error.cause) !== undefined) return error;
  return error.reworded(error.message.replaceAll(path, remoteLocation));
}

/** A backup in S3 as a copy in BACKUP_DIR. */
async function fetchBackup(
  job: Job<Choice & object>,
  target: Target,
  { place, backup }: Awaited<ReturnType<typeof findRemote>>,
) {
  const { log, options } = job;
  const { name } = backup;
  const location = (job.facts.remoteLocation = place.locate(name));
  const keys = job.settings.MANIFEST_KEY;
  const manifest = backup.committed ? await manifestOf(place, name, keys) : undefined;
  if (!options.unsigned) requireSigned(name, manifest, keys);
  const fault = sizeFault(location, backup.bytes, manifest, "nothing was fetched; restore another backup");
  if (fault) throw fault;
  const folder = await copyFolder(job);
  log.info(`fetching ${location}, ${bytesText(backup.bytes)}`);
  using progress = showProgress("fetch", backup.bytes);
  const owner = options.unproved ? proofSpool(target.database) : target.database.name;
  const bytes = watched(place.read(name, backup.bytes), (block) => progress.add(block.byteLength));
  return { name, manifest, place, ...(await spool(folder, spoolName(name, owner), bytes)) };
}

/** A dry run makes no folder. */
async function copyFolder(job: Job<Choice & object>): Promise<string> {
  const folder = backupFolder(job);
  if (job.options.dryRun) return (await lookAtFolder(folder)).nearest;
  await prepareFolder(folder);
  return folder;
}

/** Among our own partial files, whatever database it is of: our lock guards it, and our next run sweeps it. */
function spoolName(name: string, database: string): string {
  const backup = parseBackupName(name);
  return backup ? formatBackupName({ ...backup, database }) : name;
}

/** Path of the backup in BACKUP_DIR (or anywhere, when a path is named). Throws a `Failure` with status 4 when there is none. */
async function findLocal(job: Job, target: Target, which: Choice): Promise<string> {
  const folder = backupFolder(job);
  if (which.file !== undefined) return chooseFile(folder, which.file);
  return join(folder, (await chooseNewest(localPlace(job), await wantedBy(job, target, which))).name);
}

/** The backup in S3; `file` is a name in S3_PATH or a location in the bucket. Throws a `Failure` with status 4 when there is none. */
async function findRemote(job: Job, target: Target, which: Choice): Promise<{ place: Place; backup: Stored }> {
  const { settings } = job;
  const { file } = which;
  const { bucket = settings.S3_BUCKET, path = settings.S3_PATH, name } = file === undefined ? {} : partsOf(file);
  if (bucket !== settings.S3_BUCKET)
    throw noSuchBackup(
      `${file} lies in another bucket than S3_BUCKET (${settings.S3_BUCKET})`,
      `set S3_BUCKET=${bucket}, and the keys that can read it`,
    );
  if (/(?:^|\/)\.\.?(?:\/|$)/.test(path))
    throw usageFailure(`${file}: a path in S3 has no . or .. as a folder`, "name the folder itself");
  const place = await remotePlace({ ...job, settings: { ...settings, S3_PATH: path } });
  const backup =
    name === undefined
      ? await chooseNewest(place, await wantedBy(job, target, which, place))
      : await chooseNamed(place, name);
  return { place, backup };
}

/** A location (`s3://bucket/path/name`) or a plain name, taken apart. */
function partsOf(file: string): { bucket?: string; path?: string; name: string } {
  const [, bucket, path, name] = /^s3:\/\/([^/]+)\/(?:(.+)\/)?([^/]+)$/.exec(file) ?? [];
  return bucket === undefined || name === undefined ? { name: file } : { bucket, path: path ?? "", name };
}

/** Without a login (it failed, or the backup is proved on another server), manifests say who we are. */
async function wantedBy(job: Job, { database, connected }: Target, { before, unproved }: Choice, remote?: Place) {
  const { settings, log } = job;
  return {
    before,
    unproved,
    database: database.name,
    present: connected
      ? identityOf(settings, connected)
      : await identityWithoutServer(settings, database.name, localPlace(job), remote),
    isNew: async () => connected !== undefined && (await connected.target()).empty,
    keys: settings.MANIFEST_KEY,
    log,
  };
}

/** Says when the backup is another server's: a warning when somebody named it; only a new machine takes one by itself. */
function tellOwner(
  { settings, log, options }: Job<Pick<RestoreOptions, "file">>,
  { connected }: Target,
  name: string,
  manifest?: Manifest,
): void {
  if (!manifest?.identity || !connected) return;
  const origins = [manifest.identity, identityOf(settings, connected)] as const;
  if (strictOwnerOf(...origins) !== "other") return;
  const text = `${name} is a backup of ${originText(manifest.identity)}`;
  const isNew = options.file === undefined && ownerOf(...origins) === "other";
  if (isNew) log.info(`${text}; this server is new`);
  else log.warn(text);
}

/** A file in BACKUP_DIR is trusted: only users whom the program trusts can write there. */
export const isTrusted = (job: Job<Pick<RestoreOptions, "fromS3">>, { signed, path }: OpenBackup): boolean =>
  signed || (!job.options.fromS3 && dirname(resolve(path)) === backupFolder(job));

/**
 * Checks a backup to its last byte, when nothing has been touched yet; returns what it holds. `loads`: the backup is loaded afterwards, so
 * the checksum is enough when a trusted manifest says what it holds. Throws `Failure`.
 */
export async function checkBackup(
  job: Job<Pick<RestoreOptions, "into" | "file" | "fromS3">>,
  target: Target,
  file: OpenBackup,
  { loads = false } = {},
): Promise<Contents> {
  const { log, facts } = job;
  const { database } = target;
  const { manifest } = file;
  log.info(`checking ${facts.remoteLocation ?? file.path}, ${bytesText(file.bytes)}`);
  if (!manifest) log.warn(`${file.name} has no manifest: its checksum and its origin cannot be checked`);
  tellOwner(job, target, file.name, manifest);
  if (manifest?.suspicious)
    log.warn(`${file.name} looks suspicious: ${manifest.suspicious.join("; ")}; list shows the backups before it`);
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
    const known = loads && isTrusted(job, file) ? await knownContents(job, database, file, progress.add) : undefined;
    const contents = known ?? (await readDump(database.reader(), file.sql(progress.add)));
    const { tables, bytes } = contents;
    log.info(`${file.name} is complete and intact: ${counted(tables.length, "table")}, ${bytesText(bytes)} of SQL`);
    return contents;
  } catch (error) {
    throw tellOrigin(error, file.path, facts);
  }
}

/** The contents that the manifest keeps, when the file still has its checksum; undefined when the dump must be read. Throws `Failure`. */
async function knownContents(
  job: Job,
  { emptyContents }: Database,
  file: OpenBackup,
  onRead: (bytes: number) => void,
): Promise<Contents | undefined> {
  const { manifest, name } = file;
  if (!manifest?.contents || !emptyContents) return undefined;
  // a value that cannot be decrypted is not needed: the dump says the same
  const open = (value: unknown) => openJson(value, keysFrom(job), manifestName(name), manifest).catch(() => undefined);
  const contents = recalledContents(emptyContents(), await open(manifest.contents), manifest);
  const tables = (await open(manifest.tables)) as Record<string, number> | undefined;
  if (!contents || !tables || !(await file.isUnchanged(onRead))) return undefined;
  return Object.assign(contents, {
    rows: new Map(Object.entries(tables).filter(([, rows]) => rows > 0)),
    bytes: manifest.uncompressedBytes,
  });
}

/** What a new database is to be like, as the manifest says. Without `roles`: nothing that names one. Throws `Failure`. */
export async function propertiesOf(
  job: Job,
  { manifest, name }: Pick<OpenBackup, "manifest" | "name">,
  { roles }: { roles: boolean },
): Promise<DatabaseProperties> {
  if (!manifest) return {};
  const { create, encoding } = manifest;
  const opened = await openJson(create, keysFrom(job), manifestName(name), manifest);
  const found = { encoding, ...(opened as object | undefined) };
  if (roles) return found;
  const { settings } = found as { settings?: unknown };
  const general = Array.isArray(settings)
    ? settings.filter((setting: { role?: unknown } | null) => !setting?.role)
    : [];
  return { ...found, owner: null, acl: null, settings: general };
}
