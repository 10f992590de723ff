/** Takes one backup: dumps the database, proves that the dump is complete, keeps it. */
import { hostname } from "node:os";
import parseWords from "string-argv";
import { compress } from "../archive/compress.ts";
import type { Identity } from "../archive/identity.ts";
import type { ManifestFacts } from "../archive/manifest.ts";
import { seal, sealJson } from "../archive/seal.ts";
import { startTally, watched } from "../archive/tally.ts";
import { Failure, messageOf } from "../base/errors.ts";
import { showProgress } from "../base/progress.ts";
import { bytesText, durationText } from "../base/text.ts";
import { version } from "../base/version.ts";
import type { Connected, Contents } from "../database/database.ts";
import { newestOfOurs } from "../places/choose.ts";
import { findBackups, newestGood, type Place, type Stored, type StoredFile } from "../places/place.ts";
import { siteOf } from "../settings/site.ts";
import type { Job } from "../run/script.ts";
import { openDestination } from "./destination.ts";
import { identityOf } from "./identity.ts";
import type { Places } from "./prune.ts";

/**
 * Takes a backup into one place, or into both in one pass, and returns where it lies. It becomes visible only when the dump
 * proved complete; on any failure nothing is left. The caller holds the lock.
 */
export async function takeBackup(job: Job, database: Connected, { local, remote }: Places): Promise<string> {
  const { settings, log, facts } = job;
  const { server } = database;
  const startedAt = new Date();
  log.info(
    `backup of ${database.where} starts: ${server.version}, ${server.client}, about ${bytesText(server.dataBytes)} of data`,
    { database: database.name, server: database.where, startedAt: startedAt.toISOString() },
  );
  for (const warning of server.warnings) log.warn(warning);
  const compression = settings.BACKUP_COMPRESSION;
  const { files, trouble } = await listRemote(job, database, remote);
  const localFiles = await local.list(database.name);
  const present = [...localFiles, ...files];
  facts.previousBytes = await previousBytes(identityOf(settings, database), [
    { place: local, backups: findBackups(localFiles, database.name) },
    ...(remote ? [{ place: remote, backups: findBackups(files, database.name) }] : []),
  ]);
  const destination = await openDestination({
    job,
    database,
    local: settings.BACKUP_KEEP_LOCAL || !remote ? local : undefined,
    remote,
    taken: new Set(present.map(({ name }) => name)),
    trouble,
    startedAt,
  });
  const progress = showProgress("backup", server.dataBytes, { estimated: true });
  try {
    let sqlBytes = 0;
    const reader = database.reader();
    const sql = watched(database.dump(), (chunk) => {
      sqlBytes += chunk.byteLength;
      progress.add(chunk.byteLength);
      restorable(() => reader.add(chunk));
    });
    const level = settings.BACKUP_COMPRESSION_LEVEL;
    const packed = compress(sql, { compression, level, jobs: settings.BACKUP_JOBS });
    const { AGE_RECIPIENTS: recipients } = settings;
    const tally = startTally();
    for await (const block of watched(recipients ? seal(packed, recipients) : packed, tally.add))
      await destination.write(block);
    // what a restore would refuse fails tonight
    const contents = restorable(() => reader.end());
    await database.checkDumped?.(contents);
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
      site: siteOf(settings),
      identity: identityOf(settings, database),
      dumpOptions: parseWords(settings.DB_DUMP_OPTIONS ?? ""),
      encoding: server.encoding,
      restoreCommand: database.stockRestore(destination.name, compression),
      ...(await describeRows(contents, recipients)),
      ...(recipients && { encryptedTo: recipients }),
    };
    await destination.commit(manifest);
    progress.stop();
    const { bytes } = manifest;
    Object.assign(facts, { file: destination.name, bytes, rows: manifest.rows, ...destination.places });
    const took = durationText(Date.now() - startedAt.getTime());
    log.info(`${destination.name}: ${bytesText(sqlBytes)} of SQL in ${bytesText(bytes)}, ${took}`, { sqlBytes, bytes });
    warnOfShrinking(job);
    return destination.places.localPath ?? destination.places.remoteLocation ?? destination.name;
  } catch (error) {
    await destination.discard();
    throw error;
  } finally {
    progress.stop();
  }
}

/** A backup that is half as large as the last one, or less, is a reason to look. */
function warnOfShrinking(job: Job): void {
  const { database, bytes = 0, previousBytes = 0 } = job.facts;
  if (bytes * 2 > previousBytes) return;
  const percent = ((1 - bytes / previousBytes) * 100).toFixed(1);
  job.warn(
    `${database} is ${percent} % smaller than the last backup (${bytesText(bytes)}, it was ${bytesText(previousBytes)})`,
  );
}

/** Rows of every table, hidden from those who cannot read the backup. */
async function describeRows(
  { tables, rows }: Contents,
  recipients: readonly string[] | undefined,
): Promise<Pick<ManifestFacts, "tables" | "rows">> {
  if (!rows) return {};
  const counts = Object.fromEntries(
    [...new Set([...tables, ...rows.keys()])].map((name) => [name, rows.get(name) ?? 0]),
  );
  const total = [...rows.values()].reduce((sum, count) => sum + count, 0);
  return { rows: total, tables: recipients ? await sealJson(counts, recipients) : counts };
}

/** Size of the last good backup of ours. */
async function previousBytes(
  identity: Identity,
  places: readonly { place: Place; backups: Stored[] }[],
): Promise<number | undefined> {
  const newest = places.map(({ place, backups }) => newestOfOurs(place, backups, identity));
  return newestGood((await Promise.all(newest)).flatMap((backup) => backup ?? []))?.bytes;
}

/** The files in S3, or why S3 cannot be used: where backups are kept locally, that must not cost this one. */
async function listRemote(
  { settings, log, signal }: Job,
  database: Connected,
  remote: Place | undefined,
): Promise<{ files: StoredFile[]; trouble?: unknown }> {
  try {
    return { files: remote ? await remote.list(database.name) : [] };
  } catch (trouble) {
    signal.throwIfAborted();
    if (!settings.BACKUP_KEEP_LOCAL) throw trouble;
    log.error(`S3 cannot be used, the backup continues locally: ${messageOf(trouble)}`);
    return { files: [], trouble };
  }
}

/** Our own reader must understand what is written: what it refuses, a restore would refuse. */
function restorable<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    throw new Failure(`a restore would refuse this backup: ${error.message}`, { hints: error.hints, cause: error });
  }
}
