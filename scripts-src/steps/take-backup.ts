/** Takes one backup: dumps the database, proves that the dump is complete, keeps it. */
import { hostname } from "node:os";
import parseWords from "string-argv";
import { z } from "zod";
import { seal, sealJson } from "../archive/age.ts";
import { startTally, watched } from "../archive/blocks.ts";
import { compress } from "../archive/compress.ts";
import { doubtOf, type ManifestFacts } from "../archive/manifest.ts";
import { serverRoles } from "../archive/name.ts";
import { type Reason, suspicionsOf, type Weighed } from "../archive/suspicion.ts";
import { Failure, messageOf } from "../base/errors.ts";
import { showProgress } from "../base/progress.ts";
import { keep, readKept } from "../base/replace-file.ts";
import { bytesText, durationText } from "../base/text.ts";
import { version } from "../base/version.ts";
import type { Connected, Contents } from "../database/database.ts";
import { keptContents } from "../database/kept-contents.ts";
import { newestOfOurs } from "../places/choose.ts";
import {
  findBackups,
  manifestOf,
  newestGood,
  type Place,
  type Sink,
  type Stored,
  type StoredFile,
} from "../places/place.ts";
import { untilSettled } from "../places/retention.ts";
import type { Job } from "../run/script.ts";
import { siteOf } from "../settings/settings.ts";
import { openDestination } from "./destination.ts";
import { identityOf } from "./identity.ts";
import type { Places } from "./prune.ts";

/**
 * Takes a backup into one place, or into both in one pass, and returns where it lies. It becomes visible only when the dump
 * proved complete; on any failure nothing is left. A backup that lost much is kept, with a warning, unless `accept` makes it the new
 * normal. The caller holds the lock.
 */
export async function takeBackup(job: Job, database: Connected, where: Places, accept: boolean): Promise<string> {
  const { settings, log, facts } = job;
  const startedAt = new Date();
  logStart(job, database, startedAt);
  const { normal, destination } = await begin(job, database, where, startedAt);
  facts.previousBytes = normal?.bytes;
  const { name, places } = destination;
  try {
    const { contents, written } = await dumpInto(destination, job, database);
    const tables = countsOf(contents);
    const suspicions = normal && !accept ? suspicionsOf({ ...written, tables }, normal) : [];
    if (suspicions.length > 0) warnOf(job, suspicions);
    const made = { name, startedAt, written, contents, tables, suspicions };
    const manifest = await describe(job, database, made);
    await destination.commit(manifest);
    if (suspicions.length === 0 && settings.AGE_RECIPIENTS)
      keep(
        countsFile(where.local, database),
        { [name]: tables },
        "the rows of this backup, to judge the next one by,",
        log,
      );
    const uploadFailure = destination.uploadFailure?.();
    if (uploadFailure) throw uploadFailure;
    const { bytes, uncompressedBytes, rows } = manifest;
    Object.assign(facts, { file: name, bytes, rows, ...places });
    const took = durationText(Date.now() - startedAt.getTime());
    log.info(`${name}: ${bytesText(uncompressedBytes)} of SQL in ${bytesText(bytes)}, ${took}`, {
      sqlBytes: uncompressedBytes,
      bytes,
    });
    return places.localPath ?? places.remoteLocation ?? name;
  } catch (error) {
    await destination.discard();
    throw error;
  }
}

/** Lists the places, finds what the backup is to be judged by, and opens its destination. */
async function begin(job: Job, database: Connected, { local, remote }: Places, startedAt: Date) {
  const { files, trouble } = await listRemote(job, database, remote);
  const localFiles = await local.list(database.name);
  const earlier = [
    { place: local, backups: findBackups(localFiles, database.name) },
    ...(remote ? [{ place: remote, backups: findBackups(files, database.name) }] : []),
  ];
  const normal = await findNormal(job, database, local, earlier);
  const destination = await openDestination({
    job,
    database,
    local: job.settings.BACKUP_KEEP_LOCAL || !remote ? local : undefined,
    remote,
    taken: new Set([...localFiles, ...files].map(({ name }) => name)),
    trouble,
    startedAt,
  });
  return { normal, destination };
}

function logStart({ log }: Job, database: Connected, startedAt: Date): void {
  const { name, where, server } = database;
  const isRoles = name === serverRoles;
  const from = `${server.version}, ${server.client}, about ${bytesText(server.dataBytes)} of data`;
  log.info(isRoles ? "backup of the server's roles starts" : `backup of ${where} starts: ${from}`, {
    database: name,
    server: where,
    startedAt: startedAt.toISOString(),
  });
  // the backups of its databases have logged them
  for (const warning of isRoles ? [] : server.warnings) log.warn(warning);
}

/** Dumps the database; returns what the dump holds, and sizes and checksum of the file. */
async function dumpInto(destination: Pick<Sink, "write">, { settings }: Job, database: Connected) {
  const { BACKUP_COMPRESSION: compression, BACKUP_COMPRESSION_LEVEL: level, BACKUP_JOBS: jobs } = settings;
  using progress = showProgress("backup", database.server.dataBytes, { estimated: true });
  let uncompressedBytes = 0;
  const reader = database.reader();
  const sql = watched(database.dump(), (chunk) => {
    uncompressedBytes += chunk.byteLength;
    progress.add(chunk.byteLength);
    restorable(() => reader.add(chunk));
  });
  const packed = compress(sql, { compression, level, jobs });
  const tally = startTally();
  const { AGE_RECIPIENTS: recipients } = settings;
  for await (const block of watched(recipients ? seal(packed, recipients) : packed, tally.add))
    await destination.write(block);
  // what a restore would refuse fails tonight
  const contents = restorable(() => reader.end());
  await database.checkDumped(contents);
  return { contents, written: { ...tally.result(), uncompressedBytes, compression } };
}

interface Made {
  name: string;
  startedAt: Date;
  written: Awaited<ReturnType<typeof dumpInto>>["written"];
  contents: Contents;
  tables: Record<string, number>;
  suspicions: readonly Reason[];
}

/** What the manifest says. What a backup holds is hidden from those who cannot read it. */
async function describe(
  { settings }: Job,
  database: Connected,
  { name, startedAt, written, contents, tables, suspicions }: Made,
): Promise<ManifestFacts> {
  const { server, properties } = database;
  const { AGE_RECIPIENTS: recipients } = settings;
  const kept = database.emptyContents && keptContents(contents, written);
  const hidden = async <T>(value: T) => (recipients ? sealJson(value, recipients) : value);
  return {
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
    restoreCommand: database.stockRestore(name, written.compression),
    rows: Object.values(tables).reduce((sum, count) => sum + count, 0),
    tables: await hidden(tables),
    ...(kept && { contents: await hidden(kept) }),
    ...(suspicions.length > 0 && { suspicious: suspicions.map((one) => (recipients ? one.discreet : one.text)) }),
    create: await hidden(properties),
    ...(recipients && { encryptedTo: recipients }),
  };
}

function warnOf({ facts, warn }: Job, suspicions: readonly Reason[]): void {
  facts.suspicious = suspicions.map(({ text }) => text);
  warn(`${facts.database} looks suspicious: ${facts.suspicious.join("; ")}; ${untilSettled}`);
}

/** Rows of every table. */
const countsOf = ({ tables, rows }: Contents): Record<string, number> =>
  Object.fromEntries([...new Set([...tables, ...rows.keys()])].map((name) => [name, rows.get(name) ?? 0]));

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

/**
 * The last backup of ours that was not suspicious, as far as it can be read. Whoever can write to the bucket could make a shrunken backup look
 * normal there, so with MANIFEST_KEY it counts only when it is signed. Does not throw.
 */
async function findNormal(
  { settings }: Job,
  database: Connected,
  local: Place,
  places: readonly { place: Place; backups: Stored[] }[],
): Promise<Weighed | undefined> {
  const identity = identityOf(settings, database);
  const found = await Promise.all(
    places.map(async ({ place, backups }) => {
      const keys = place.shared ? settings.MANIFEST_KEY : undefined;
      const normal = await newestOfOurs(place, backups, identity, keys, ({ suspicious }) => !suspicious);
      return normal ? [{ ...normal, place, keys }] : [];
    }),
  );
  const normal = newestGood(found.flat());
  const manifest = normal && (await manifestOf(normal.place, normal.name, normal.keys).catch(() => undefined));
  if (!manifest || doubtOf(normal.name, manifest, normal.keys)) return undefined;
  const { tables } = manifest;
  if (typeof tables !== "string") return { ...manifest, tables };
  return { ...manifest, tables: readKept(countsFile(local, database), keptCounts)?.[normal.name] };
}

/**
 * Rows of the tables of the last backup, by its name: of an encrypted one its manifest shows them to nobody here. Kept once it is finished, to
 * judge the next by.
 */
const keptCounts = z.record(z.string(), z.record(z.string(), z.int()));
const countsFile = (local: Place, { name }: Connected) => local.locate(`.${encodeURIComponent(name)}.counts.json`);
