/** backup: dump the database, prove that the dump is whole, keep it. */
import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { hostname } from "node:os";
import parseWords from "string-argv";
import type { Argv } from "yargs";
import { compress } from "../archive/compress.ts";
import { listBackups, newestGood, prepareFolder, removeFile, sweepPartials } from "../places/folder.ts";
import type { ManifestFacts } from "../archive/manifest.ts";
import { type BackupName, manifestName, namePrefix, parseBackupName } from "../archive/name.ts";
import { prune } from "../places/prune.ts";
import { startTally, watched } from "../archive/tally.ts";
import type { Database, Server } from "../database/database.ts";
import { openDatabase } from "../database/open.ts";
import {
  checkRoom,
  checkLogin,
  checkPrivileges,
  checkStorage,
  type Contact,
  lockName,
} from "../steps/dry-run-checks.ts";
import { openDestination } from "../steps/destination.ts";
import { type Check, checkAll } from "../run/checklist.ts";
import { messageOf } from "../base/errors.ts";
import { takeLock } from "../base/lock.ts";
import { checkNotices } from "../steps/check-notices.ts";
import { showProgress } from "../base/progress.ts";
import { bytesText, durationText } from "../base/text.ts";
import type { Job, Script } from "../run/script.ts";
import { version } from "../base/version.ts";
import { openStorage, type RemoteObject, type Storage } from "../storage/storage.ts";

export interface BackupOptions {
  upload: boolean;
  dryRun: boolean;
}

export const backup: Script<BackupOptions> = {
  name: "backup",
  summary: "Dumps the database into a compressed, checked file in BACKUP_DIR and prints its path.",
  usage: "[--upload] [--dry-run]",
  examples: [
    ["backup", "take a backup"],
    ["backup --upload", "take a backup and send it to S3 in the same pass"],
    ["backup --dry-run", "check settings, database, programs, disk and mail; change nothing"],
    ["backup --upload --dry-run", "and S3"],
  ],
  options: (yargs: Argv) =>
    yargs
      .option("upload", { type: "boolean", default: false, describe: "Send the backup to S3 while it is written" })
      .option("dry-run", { type: "boolean", default: false, describe: "Check everything, change nothing" }),
  needs: ({ upload }) => (upload ? ["database", "storage"] : ["database"]),
  conflicts: ({ upload }, settings) =>
    settings.BACKUP_KEEP_LOCAL || upload
      ? []
      : ["BACKUP_KEEP_LOCAL is false and --upload was not given: the backup would be kept nowhere"],
  reports: ({ dryRun }) => !dryRun,

  async act(job) {
    const database = openDatabase(job.settings, job);
    nameDatabase(job, database);
    const folder = backupFolder(job);
    if (job.options.dryRun) return { summary: "", output: await checkAll(backupChecks(job, { database }, folder)) };

    await prepareFolder(folder);
    using _lock = takeLock(folder, lockName(database), job.script);
    await sweepPartials(folder, database.name);
    const storage = job.options.upload ? await openStorage(job.settings, job) : undefined;
    await sweepUploads(storage, database);
    const server = await database.probe();
    const place = await makeBackup(job, database, server, folder, storage);
    await pruneLocal(job, database, folder);
    if (storage) await pruneRemote(job, database, storage);
    return { summary: summaryOf(job), output: place };
  },
};

/** Absolute path of BACKUP_DIR: a relative one starts at the executables. */
export const backupFolder = ({ home, settings }: Job): string => resolve(home, settings.BACKUP_DIR);

/** What a dry run looks at. */
export const backupChecks = (job: Job<BackupOptions>, contact: Contact, folder: string): Check[] => [
  checkLogin(job, contact),
  checkPrivileges(contact),
  checkRoom(job, contact, folder),
  ...(job.options.upload ? [checkStorage(job, { writes: true })] : []),
  ...checkNotices(job.settings),
];

/** Tells the notices which database this run is about. */
export function nameDatabase(job: Job, database: Database): void {
  job.facts.database = database.name;
  job.facts.server = database.where;
}

/**
 * Takes a backup into `folder`, or to `storage`, or to both in one pass, and returns where it lies. It becomes visible only when the dump
 * proved whole; on any failure nothing is left. The caller holds the lock and has probed the server.
 */
export async function makeBackup(
  job: Job,
  database: Database,
  server: Server,
  folder: string,
  storage?: Storage,
): Promise<string> {
  const { settings, log, facts } = job;
  const startedAt = new Date();
  log.info(
    `backup of ${database.where} starts: ${server.version}, ${server.client}, about ${bytesText(server.dataBytes)} of data`,
    { database: database.name, server: database.where, startedAt: startedAt.toISOString() },
  );
  for (const warning of server.warnings) log.warn(warning);
  const compression = settings.BACKUP_COMPRESSION;
  const { remote, trouble } = await lookIntoS3(job, database, storage);
  facts.previousBytes = newestGood([...(await listBackups(folder, database.name)), ...remote])?.bytes;
  const taken = new Set(remote.map(({ name }) => name));
  const destination = await openDestination({ job, database, server, folder, storage, taken, trouble, startedAt });
  const progress = showProgress("backup", server.dataBytes, { estimated: true });
  try {
    let sqlBytes = 0;
    const sql = watched(database.dump(server), (chunk) => {
      sqlBytes += chunk.byteLength;
      progress.add(chunk.byteLength);
    });
    const level = settings.BACKUP_COMPRESSION_LEVEL;
    const packed = compress(sql, { compression, level, jobs: settings.BACKUP_JOBS });
    const tally = startTally();
    for await (const block of watched(packed, tally.add)) await destination.write(block);
    const manifest: ManifestFacts = {
      database: database.name,
      engine: database.engine,
      serverVersion: server.version,
      clientVersion: server.client,
      startedAt: startedAt.toISOString(),
      endedAt: new Date().toISOString(),
      ...tally.result(),
      uncompressedBytes: sqlBytes,
      compression,
      programVersion: version,
      host: hostname(),
      site: settings.SITE_NAME,
      dumpOptions: parseWords(settings.DB_DUMP_OPTIONS ?? ""),
      encoding: server.encoding,
      restoreCommand: database.stockRestore(destination.name, compression, server),
    };
    await destination.commit(manifest);
    progress.stop();
    const { bytes } = manifest;
    Object.assign(facts, { file: destination.name, bytes, ...destination.places });
    const took = durationText(Date.now() - startedAt.getTime());
    log.info(`${destination.name}: ${bytesText(sqlBytes)} of SQL in ${bytesText(bytes)}, ${took}`, { sqlBytes, bytes });
    return destination.places.localPath ?? destination.places.remoteLocation ?? destination.name;
  } catch (error) {
    await destination.discard();
    throw error;
  } finally {
    progress.stop();
  }
}

const summaryOf = ({ facts }: Job): string =>
  `backup done: ${[facts.localPath, facts.remoteLocation].filter(Boolean).join(" and ")}, ${bytesText(facts.bytes ?? 0)}`;

/** Deletes local backups of this database that are older than LOCAL_RETENTION_DAYS. */
async function pruneLocal({ settings, log }: Job, database: Database, folder: string): Promise<void> {
  const days = settings.LOCAL_RETENTION_DAYS;
  const place = {
    where: folder,
    setting: "LOCAL_RETENTION_DAYS",
    candidates: await listBackups(folder, database.name),
    names: await readdir(folder),
    remove: (name: string) => removeFile(join(folder, name)),
  };
  await prune(place, { database: database.name, days, log });
}

/** A backup in S3, in the form that retention looks at. */
interface RemoteBackup extends RemoteObject {
  backup: BackupName;
  committed: boolean;
}

/** Backups of this database in S3. */
export async function listRemote(storage: Storage, database: string): Promise<RemoteBackup[]> {
  return remoteBackups(await Array.fromAsync(storage.list(namePrefix(database))), database);
}

/** The same, or why S3 cannot be used: where backups are kept locally, that must not cost this one. */
async function lookIntoS3(
  { settings, log, signal }: Job,
  database: Database,
  storage: Storage | undefined,
): Promise<{ remote: RemoteBackup[]; trouble?: unknown }> {
  try {
    return { remote: storage ? await listRemote(storage, database.name) : [] };
  } catch (trouble) {
    signal.throwIfAborted();
    if (!settings.BACKUP_KEEP_LOCAL) throw trouble;
    log.error(`S3 cannot be used, the backup goes on locally: ${messageOf(trouble)}`);
    return { remote: [], trouble };
  }
}

function remoteBackups(objects: readonly RemoteObject[], database: string): RemoteBackup[] {
  const names = new Set(objects.map(({ name }) => name));
  return objects.flatMap((object) => {
    const backup = parseBackupName(object.name);
    if (backup?.database !== database) return [];
    return [{ ...object, backup, committed: names.has(manifestName(object.name)) }];
  });
}

/** Deletes backups of this database in S3 that are older than BACKUP_RETENTION_DAYS. */
async function pruneRemote({ settings, log }: Job, database: Database, storage: Storage): Promise<void> {
  const days = settings.BACKUP_RETENTION_DAYS;
  if (days === undefined) return;
  const objects = await Array.fromAsync(storage.list(namePrefix(database.name)));
  const place = {
    where: storage.location(""),
    setting: "BACKUP_RETENTION_DAYS",
    candidates: remoteBackups(objects, database.name),
    names: objects.map(({ name }) => name),
    remove: (name: string) => storage.delete(name),
  };
  await prune(place, { database: database.name, days, log });
}

const dayMs = 86_400_000;

/** Aborts uploads of this database that a killed run left unfinished: their parts are billed for ever. */
async function sweepUploads(storage: Storage | undefined, database: Database): Promise<void> {
  await storage?.sweepStaleUploads(dayMs, (name) => parseBackupName(name)?.database === database.name);
}
