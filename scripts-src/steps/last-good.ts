/** The last good backup: when and where it is, after a failure and for a schedule. */
import { messageOf } from "../base/errors.ts";
import { within } from "../base/retry.ts";
import { ageText } from "../base/text.ts";
import { openDatabase } from "../database/open.ts";
import type { LastGood } from "../notify/outcome.ts";
import { inBucket } from "../places/bucket.ts";
import { newestOfOurs } from "../places/choose.ts";
import { listBackups, oldestFirst, type Place, type Stored } from "../places/place.ts";
import type { Job } from "../run/script.ts";
import { openStorage } from "../storage/open.ts";
import { localPlace } from "./backup-folder.ts";
import { identityWithoutServer } from "./identity.ts";

/** How long (ms) to wait for the listing of S3; the notice waits with us. */
const patience = 5_000;

/** How long (ms) the start of a schedule and a health check wait for it. Docker ends a health check after 30 s. */
export const schedulePatience = 10_000;

export interface Found {
  /** Folder or bucket. */
  where: string;
  newest?: Stored;
  /** The backup's path or location. */
  location?: string;
  /** Why the place could not be listed. */
  trouble?: string;
}

/** Of so many failed databases the last good backup is looked for. */
const mostDatabases = 20;

/**
 * Looks into the folder, and into S3 where that is set up and the run was not stopped. Of a run over several databases, each that failed
 * gets its own; undefined then. Throws when the database is not known.
 */
export async function lastGood(job: Job): Promise<LastGood | undefined> {
  const { settings, facts } = job;
  const { databases = [] } = facts;
  const [only] = databases;
  if (databases.length > 1) {
    const failed = databases.filter(({ status }) => status === "failure").slice(0, mostDatabases);
    for (const one of failed) one.lastGood = await lastGoodOf(job, one.database);
    return undefined;
  }
  // a server that could not be asked for its databases: the newest backup of any
  const isUnknown = settings.DB_NAMES !== undefined && !only;
  return lastGoodOf(
    job,
    isUnknown ? undefined : (only?.database ?? facts.database ?? openDatabase(settings, job).name),
  );
}

async function lastGoodOf(job: Job, database: string | undefined): Promise<LastGood> {
  const { settings, log, signal } = job;
  const quickly = { log, signal: within(patience, signal), waits: [] };
  const local = localPlace(job);
  const looks = [newestIn(job, local.where, async () => local, database)];
  if (settings.S3_BUCKET !== undefined && !signal.aborted) {
    const open = async () => inBucket(await openStorage(settings, quickly));
    const where = `s3://${[settings.S3_BUCKET, settings.S3_PATH].filter(Boolean).join("/")}/`;
    looks.push(newestIn(job, where, open, database));
  }
  return summarize(await Promise.all(looks), new Date());
}

/** The newest good backup of ours in a place. Throws when it cannot be listed. */
async function newestOf(job: Job, place: Place, database: string | undefined) {
  const { settings } = job;
  const remote = place.shared ? place : undefined;
  const present = await identityWithoutServer(settings, database, localPlace(job), remote);
  return newestOfOurs(place, await listBackups(place, database), present, settings.MANIFEST_KEY);
}

async function newestIn(
  job: Job,
  where: string,
  open: () => Promise<Place>,
  database: string | undefined,
): Promise<Found> {
  try {
    const place = await open();
    const newest = await newestOf(job, place, database);
    return { where, ...(newest && { newest, location: place.locate(newest.name) }) };
  } catch (error) {
    return { where, trouble: messageOf(error).replace(/^cannot list \S+: /, "") };
  }
}

/** The newest of what the places hold, where it lies, and what the other places say. */
export function summarize(found: readonly Found[], now: Date): LastGood {
  const newest = found
    .flatMap((one) => one.newest ?? [])
    .toSorted(oldestFirst)
    .at(-1);
  // the same backup in both places, not another one of the same second
  const isNewest = (one: Found) => newest !== undefined && one.newest?.name === newest.name;
  return {
    ...(newest && { startedAt: newest.backup.time }),
    locations: found.filter(isNewest).flatMap(({ location }) => location ?? []),
    elsewhere: found.filter((one) => !isNewest(one)).map((one) => describe(one, now)),
  };
}

function describe({ where, newest, trouble }: Found, now: Date): string {
  if (trouble !== undefined) return `${where} could not be listed: ${trouble}`;
  return newest
    ? `${where}: the newest began ${ageText(now.getTime() - newest.backup.time.getTime())}`
    : `${where}: none`;
}

/** When the newest good backup of ours in S3 began; `known` when S3 cannot be asked, which is logged. */
export async function newestInBucket(job: Job, known: Date | undefined): Promise<Date | undefined> {
  const { settings, log, stopRequested, facts } = job;
  // of several, the newest stands for the run that made them
  const database = settings.DB_NAMES === undefined ? facts.database : undefined;
  try {
    const signal = within(schedulePatience, stopRequested);
    const place = inBucket(await openStorage(settings, { log, signal }));
    return (await newestOf(job, place, database))?.backup.time;
  } catch (error) {
    if (!stopRequested.aborted) log.warn(`cannot look for the last backup in S3: ${messageOf(error)}`);
    return known;
  }
}
