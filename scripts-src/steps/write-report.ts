/** The report: `list --html FILE`, and REPORT_FILE after every run. */
import { resolve } from "node:path";
import { databaseLabel, serverRoles } from "../archive/name.ts";
import { diskFailure } from "../base/disk.ts";
import { exitStatus, Failure } from "../base/errors.ts";
import { replaceFile } from "../base/replace-file.ts";
import { oneLine } from "../base/text.ts";
import { version } from "../base/version.ts";
import type { Outcome } from "../notify/outcome.ts";
import { newestGood } from "../places/place.ts";
import { type DatabaseFacts, type Day, type ReportFacts, reportPage } from "../report/page.ts";
import type { Job } from "../run/script.ts";
import { siteOf } from "../settings/settings.ts";
import { openStorage } from "../storage/open.ts";
import { findAllBackups, type FoundBackup, type ReadBackup, readBackups } from "./find-all-backups.ts";
import { rulesFrom } from "./prune.ts";

const dayMs = 86_400_000;
/** Days that are shown. */
const shownDays = 90;

async function reportFacts(job: Job, database: string | undefined): Promise<Omit<ReportFacts, "run">> {
  const now = new Date();
  const { backups, troubles } = await findAllBackups(job, database, true);
  const databases = [...Map.groupBy(backups, ({ stored }) => stored.backup.database)].toSorted(([a], [b]) =>
    // the roles stand last
    (a === serverRoles) === (b === serverRoles) ? (a < b ? -1 : 1) : a === serverRoles ? 1 : -1,
  );
  const facts: DatabaseFacts[] = [];
  for (const [name, all] of databases) facts.push(...(await describe(job, name, all, now)));
  return { site: siteOf(job.settings), now, version, troubles, databases: facts };
}

const dayOf = (time: Date) => time.toISOString().slice(0, 10);

/** Empty when all that is known of them is that they are another server's. */
async function describe(job: Job, name: string, all: readonly FoundBackup[], now: Date): Promise<DatabaseFacts[]> {
  const finished = all.filter(({ stored }) => stored.committed && stored.backup.time <= now);
  const days = Array.from({ length: shownDays }, (_, at) =>
    dayOf(new Date(now.getTime() - (shownDays - 1 - at) * dayMs)),
  );
  const byDay = Map.groupBy(finished, ({ stored }) => dayOf(stored.backup.time));
  const lastOfDays = days.flatMap((day) => byDay.get(day)?.[0] ?? []);
  const proved = finished.find(({ copies }) => copies.some(({ stored }) => stored.proved));
  const read = await readBackups(job, [...new Set([...lastOfDays, ...(proved ? [proved] : [])])]);
  const ours = read.filter(({ owner }) => owner !== "other");
  const troubled = new Set(read.filter(({ trouble }) => trouble !== undefined).map((one) => one.name));
  if (read.length > 0 && ours.length === 0) return [];
  const proof = ours.flatMap((one) => one.proof ?? []).toSorted((a, b) => (a.provedAt < b.provedAt ? 1 : -1))[0];
  const oldest = finished.at(-1)?.stored.backup.time;
  const due = { from: oldest && dayOf(oldest), days: daysKept(job), today: dayOf(now) };
  return [
    {
      name: databaseLabel(name),
      isRoles: name === serverRoles,
      days: days.map((day, at) => {
        const isProved = (byDay.get(day) ?? []).some(({ copies }) => copies.some(({ stored }) => stored.proved));
        const last = ours.find(({ stored }) => stored.committed && dayOf(stored.backup.time) === day);
        return last ? dayWith(last, day, isProved) : { day, proved: false, ...without(day, shownDays - 1 - at, due) };
      }),
      count: all.length,
      newest: newestGood(finished.map(({ stored }) => stored).filter((one) => !troubled.has(one.name)))?.backup.time,
      proof: proof && { provedAt: new Date(proof.provedAt), restoreMs: proof.restoreMs },
      deleted: all.flatMap(({ name: file, copies }) =>
        copies.flatMap(({ place, fate }) =>
          fate.deleted ? [{ name: file, where: place.shared ? "S3" : "the folder", why: fate.why }] : [],
        ),
      ),
    },
  ];
}

function dayWith({ name, stored, manifest, trouble }: ReadBackup, day: string, proved: boolean): Day {
  const remark = trouble ?? manifest?.suspicious?.join("; ");
  return {
    day,
    proved,
    name,
    state: remark === undefined ? "good" : "warning",
    bytes: stored.bytes,
    ...(manifest && {
      rows: manifest.rows,
      durationMs: Date.parse(manifest.endedAt) - Date.parse(manifest.startedAt),
    }),
    ...(remark !== undefined && { remark }),
  };
}

/** For so many days (at least) retention keeps a backup of every day somewhere. */
function daysKept({ settings }: Job): number {
  const of = (settings.S3_BUCKET === undefined ? [false] : [false, true]).map((shared) => {
    const rules = rulesFrom(settings, { shared });
    const counts = rules.map(({ kind, count }) => (kind === "days" || kind === "daily" ? count : 0));
    return rules.length === 0 ? Infinity : Math.max(...counts);
  });
  return Math.max(...of);
}

/** A day without a backup is amiss only where one was taken before and retention would have kept it; today it may still come. */
function without(
  day: string,
  age: number,
  due: { from: string | undefined; days: number; today: string },
): Pick<Day, "state"> {
  const isAmiss = due.from !== undefined && day > due.from && day !== due.today && age < due.days;
  return { state: isAmiss ? "missing" : "none" };
}

/** How long (ms) the report of a run may take. */
const patience = 120_000;

/** Writes the page into a file. Throws `Failure`. */
export async function writePage(job: Job, path: string, database: string | undefined): Promise<void> {
  const page = reportPage(await reportFacts(job, database));
  try {
    replaceFile(path, page, 0o644);
  } catch (error) {
    throw diskFailure(`cannot write the report ${path}`, error);
  }
}

/** After a run: writes REPORT_FILE, if it is set. That it cannot be written is logged only. */
export async function writeReport(
  job: Job,
  { script, status, summary, warnings, exitStatus: exit }: Outcome,
): Promise<void> {
  const { settings, home, log, signal } = job;
  const file = settings.REPORT_FILE;
  if (file === undefined || signal.aborted || exit === exitStatus.usage) return;
  try {
    const patient = { ...job, signal: AbortSignal.any([signal, AbortSignal.timeout(patience)]) };
    const run = { script, status, text: [summary, ...warnings].map(oneLine) };
    const page = reportPage({ ...(await reportFacts(patient, undefined)), run });
    if (!file.startsWith("s3://")) return replaceFile(resolve(home, file), page, 0o644);
    const storage = await openStorage(settings, patient);
    await storage.put(file.slice(storage.location("").length) || "report.html", Buffer.from(page));
  } catch (error) {
    const what = `cannot write REPORT_FILE ${file}`;
    log.warn(error instanceof Failure ? `${what}: ${error.message}` : diskFailure(what, error).message);
  }
}
