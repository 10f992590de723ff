/** Takes one backup: dumps the database, proves that the dump is complete, keeps it. */
import { hostname } from "node:os";
import parseWords from "string-argv";
import { compress } from "../archive/compress.ts";
import type { ManifestFacts } from "../archive/manifest.ts";
import { serverRoles } from "../archive/name.ts";
import { seal, sealJson } from "../archive/seal.ts";
import { type Reason, suspicionsOf } from "../archive/suspicion.ts";
import { startTally, watched } from "../archive/blocks.ts";
import { Failure, messageOf } from "../base/errors.ts";
import { showProgress } from "../base/progress.ts";
import { bytesText, durationText } from "../base/text.ts";
import { version } from "../base/version.ts";
import type { Connected, Contents } from "../database/database.ts";
import { findBackups, type Place, type StoredFile } from "../places/place.ts";
import { untilSettled } from "../places/retention.ts";
import { siteOf } from "../settings/site.ts";
import type { Job } from "../run/script.ts";
import { openDestination } from "./destination.ts";
import { identityOf } from "./identity.ts";
import { findNormal, keepCounts } from "./judge-backup.ts";
import type { Places } from "./prune.ts";

/**
 * Takes a backup into one place, or into both in one pass, and returns where it lies. It becomes visible only when the dump
 * proved complete; on any failure nothing is left. A backup that lost much is kept, with a warning, unless `accept` makes it the new
 * normal. The caller holds the lock.
 */
export async function takeBackup(
  job: Job,
  database: Connected,
  { local, remote }: Places,
  accept: boolean,
): Promise<string> {
  const { settings, log, facts } = job;
  const { server } = database;
  const startedAt = new Date();
  const isRoles = database.name === serverRoles;
  const from = `${server.version}, ${server.client}, about ${bytesText(server.dataBytes)} of data`;
  log.info(isRoles ? "backup of the server's roles starts" : `backup of ${database.where} starts: ${from}`, {
    database: database.name,
    server: database.where,
    startedAt: startedAt.toISOString(),
  });
  // the backups of its databases have logged them
  for (const warning of isRoles ? [] : server.warnings) log.warn(warning);
  const compression = settings.BACKUP_COMPRESSION;
  const { files, trouble } = await listRemote(job, database, remote);
  const localFiles = await local.list(database.name);
  const present = [...localFiles, ...files];
  const known = { local, database: database.name };
  const normal = await findNormal(known, identityOf(settings, database), [
    { place: local, backups: findBackups(localFiles, database.name) },
    ...(remote ? [{ place: remote, backups: findBackups(files, database.name) }] : []),
  ]);
  facts.previousBytes = normal?.bytes;
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
    const tables = countsOf(contents);
    const written = { ...tally.result(), uncompressedBytes: sqlBytes, compression };
    const suspicions = normal && !accept ? suspicionsOf({ ...written, tables }, normal) : [];
    const manifest: ManifestFacts = {
      database: database.name,
      engine: database.engine,
      serverVersion: server.version,
      clientVersion: server.client,
      startedAt: startedAt.toISOString(),
      endedAt: new Date().toISOString(),
      ...written,
      programVersion: version,
      host: hostname(),
      site: siteOf(settings),
      identity: identityOf(settings, database),
      dumpOptions: parseWords(settings.DB_DUMP_OPTIONS ?? ""),
      encoding: server.encoding,
      restoreCommand: database.stockRestore(destination.name, compression),
      ...(tables && (await describeRows(tables, recipients))),
      ...(suspicions.length > 0 && { suspicious: suspicions.map((one) => (recipients ? one.discreet : one.text)) }),
      create: recipients ? await sealJson(database.properties, recipients) : database.properties,
      ...(recipients && { encryptedTo: recipients }),
    };
    if (suspicions.length > 0) warnOf(job, suspicions);
    await destination.commit(manifest);
    if (suspicions.length === 0 && recipients && tables) keepCounts(known, { name: destination.name, tables }, log);
    const uploadFailure = destination.uploadFailure?.();
    if (uploadFailure) throw uploadFailure;
    progress.stop();
    const { bytes } = manifest;
    Object.assign(facts, { file: destination.name, bytes, rows: manifest.rows, ...destination.places });
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

function warnOf({ facts, warn }: Job, suspicions: readonly Reason[]): void {
  facts.suspicious = suspicions.map(({ text }) => text);
  warn(`${facts.database} looks suspicious: ${facts.suspicious.join("; ")}; ${untilSettled}`);
}

/** Rows of every table; undefined where the reader does not count them. */
const countsOf = ({ tables, rows }: Contents): Record<string, number> | undefined =>
  rows && Object.fromEntries([...new Set([...tables, ...rows.keys()])].map((name) => [name, rows.get(name) ?? 0]));

/** The rows of every table are hidden from those who cannot read the backup. */
const describeRows = async (counts: Record<string, number>, recipients: readonly string[] | undefined) => ({
  rows: Object.values(counts).reduce((sum, count) => sum + count, 0),
  tables: recipients ? await sealJson(counts, recipients) : counts,
});

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
