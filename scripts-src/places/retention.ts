/** Decides which backups are deleted and which rule keeps the others; and deletes them. */
import { counted } from "../base/text.ts";
import { type Owned, readOwners, unknownIsOurs, whyNotOurs } from "./owners.ts";
import { findBackups, isAhead, oldestFirst, type Place, type Stored, type StoredFile } from "./place.ts";
import { type Identity, originIn, strictOwnerOf } from "../archive/identity.ts";
import type { ManifestKeys } from "../archive/manifest.ts";
import { backupNameOf, manifestName, parseBackupName, proofName } from "../archive/name.ts";
import { messageOf } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";

/** A rule of a setting: keeps backups that are not older than so many days, or one for each of so many days, weeks, … */
export interface Rule {
  kind: "days" | "last" | "daily" | "weekly" | "monthly" | "yearly";
  count: number;
  /** Name of the setting. */
  setting: string;
}

/** A backup of the database; without `owner`, its manifest was not read yet, and it is taken for ours. */
export type Candidate = Stored & Partial<Owned>;

export interface Circumstances {
  rules: readonly Rule[];
  now: Date;
  /** Whether backups that do not say whose they are count as ours. */
  unknownIsOurs: boolean;
  /** Name of the backup that this run has made: it stays, whatever the names of the others say. */
  made?: string | undefined;
}

export interface Fate<T extends Candidate> {
  backup: T;
  /** What keeps it; empty when it is deleted. */
  kept: string[];
  /** Its owner decides: by the rules it counts, or it would be deleted. */
  matters: boolean;
}

interface Plan<T extends Candidate> {
  /** Of every backup, oldest first. */
  fates: Fate<T>[];
  /** Why nothing is deleted although no rule keeps some; a person should hear of it. */
  refusal?: string;
}

const dayMs = 86_400_000;

/**
 * A backup of ours stays when any rule keeps it. What is not ours, not finished, or named in the future neither is deleted nor
 * counts; the newest good and the newest proved backup stay always. Without a rule everything stays.
 */
export function planRetention<T extends Candidate>(backups: readonly T[], wanted: Circumstances): Plan<T> {
  const newestFirst = backups.toSorted(oldestFirst).toReversed();
  const ours = newestFirst.filter((backup) => exemption(backup, wanted) === undefined);
  const keepers = keepersOf(ours, wanted);
  const fates = newestFirst.map((backup): Fate<T> => {
    const why = exemption(backup, wanted);
    if (why !== undefined) return { backup, kept: [why], matters: false };
    return { backup, kept: keepers.flatMap(([reason, kept]) => (kept.has(backup) ? reason : [])), matters: true };
  });
  const isHeld = ours[0]?.suspicious && fates.some(({ kept }) => kept.length === 0);
  const refusal = isHeld ? `the newest backup is suspicious; ${untilSettled}` : jump(fates, ours, wanted);
  return { fates: fates.toReversed(), ...(refusal !== undefined && { refusal }) };
}

/** Each reason to keep backups, with those that it keeps. */
function keepersOf<T extends Candidate>(ours: readonly T[], { rules, now, made }: Circumstances) {
  const [newest, ...others] = ours;
  // should those that do not say whose they are be another server's after all
  const certain = ours.find(({ owner }) => owner === "ours");
  const keepers: [why: string, kept: readonly (T | undefined)[]][] = [
    ["the newest good backup", [newest]],
    ["made by this run", [others.find(({ name }) => name === made)]],
    ["the newest good backup of this server", [certain === newest ? undefined : certain]],
    ["the newest proved backup", [ours.find(({ proved }) => proved)]],
    ...rules.map((rule): [string, T[]] => [textOf(rule), keptBy(rule, ours, now)]),
    ["no rule deletes backups", rules.length === 0 ? ours : []],
  ];
  return keepers.map(([why, kept]) => [why, new Set(kept)] as const);
}

/** What a suspicious backup does to retention. */
export const untilSettled =
  "retention deletes nothing until a backup is as usual again, or until backup --accept makes this the new normal";

/** Why the rules do not apply to a backup. */
function exemption(backup: Candidate, circumstances: Circumstances): string | undefined {
  if (!backup.committed) return "it has no manifest: not a finished backup";
  if (isAhead(backup.backup, circumstances.now)) return "its name lies in the future";
  return whyNotOurs(backup, circumstances.unknownIsOurs);
}

/** As restic counts: of each day (ISO week, month, year; UTC) that has backups the newest, and the oldest one while the count is not used up. */
function keptBy<T extends Candidate>({ kind, count }: Rule, newestFirst: readonly T[], now: Date): T[] {
  if (kind === "days")
    return newestFirst.filter(({ backup }) => now.getTime() - backup.time.getTime() <= count * dayMs);
  if (kind === "last") return newestFirst.slice(0, count);
  const kept: T[] = [];
  let last: string | undefined;
  for (const one of newestFirst) {
    const period = periods[kind](one.backup.time);
    if (kept.length === count) break;
    if (period !== last || one === newestFirst.at(-1)) kept.push(one);
    last = period;
  }
  return kept;
}

const periods = {
  daily: (time: Date) => time.toISOString().slice(0, 10),
  weekly: isoWeek,
  monthly: (time: Date) => time.toISOString().slice(0, 7),
  yearly: (time: Date) => time.toISOString().slice(0, 4),
};

/** The Thursday of a week decides to which year it belongs. */
function isoWeek(time: Date): string {
  const weekday = (time.getUTCDay() + 6) % 7;
  return new Date(time.getTime() + (3 - weekday) * dayMs).toISOString().slice(0, 10);
}

/** For people, with the setting. */
const textOf = ({ kind, count, setting }: Rule): string =>
  kind === "days" ? `not older than ${counted(count, "day")} (${setting})` : `${kind} (${setting}=${count})`;

/** What no rule keeps, for people: "older than 7 days (LOCAL_RETENTION_DAYS)". */
export function whyDeleted(rules: readonly Rule[]): string {
  const [rule] = rules;
  if (rule?.kind === "days" && rules.length === 1) return `older than ${counted(rule.count, "day")} (${rule.setting})`;
  return `kept by none of ${rules.map(({ setting, count }) => `${setting}=${count}`).join(", ")}`;
}

/**
 * A clock that jumps makes all backups old at once. So nothing is deleted when the newest itself is twice as old as the days allow;
 * nor when all others are to be deleted at once and the newest came after a pause as none before: the next run deletes them.
 */
function jump<T extends Candidate>(fates: readonly Fate<T>[], ours: readonly T[], { rules, now }: Circumstances) {
  const days = rules.find(({ kind }) => kind === "days")?.count;
  const times = ours.map(({ backup }) => backup.time.getTime());
  const [newest] = times;
  if (days === undefined || newest === undefined) return undefined;
  const gone = fates.filter(({ kept }) => kept.length === 0).length;
  if (gone === 0 || gone < ours.length - 1) return undefined;
  const age = Math.floor((now.getTime() - newest) / dayMs);
  if (age >= 2 * days)
    return `the newest good backup is ${age} days old: has the clock jumped, or do backups fail? nothing is deleted`;
  const [pause = 0, ...before] = times.slice(1).map((time, index) => (times[index] ?? time) - time);
  if (pause <= 2 * days * dayMs || pause <= 3 * Math.max(0, ...before)) return undefined;
  return `the newest backup came ${Math.floor(pause / dayMs)} days after the one before: has the clock jumped? nothing is deleted in this run`;
}

interface Retention extends Pick<Circumstances, "rules" | "made"> {
  /** Whose backups are ours. */
  present: Identity | undefined;
  now?: Date;
  /** MANIFEST_KEY: a proof must be signed with one of these. */
  keys?: ManifestKeys;
  /** Backups whose manifests may be read; the others are taken for ours. Absent: all. */
  mayRead?: (backup: Candidate) => boolean;
}

/**
 * What retention would do with each of these backups of one database. Manifests are read only when something would be deleted, and
 * only where the owner matters. Does not throw.
 */
export async function planPrune(
  place: Place,
  all: readonly Candidate[],
  { rules, present, now = new Date(), made, keys, mayRead = () => true }: Retention,
): Promise<Plan<Candidate>> {
  let backups = all;
  for (;;) {
    const read = backups.filter(isRead);
    const isOurs = unknownIsOurs(place, read, { weAreKnown: present !== undefined });
    const plan = planRetention(backups, { rules, now, made, unknownIsOurs: isOurs });
    const unread = new Set(toRead(place, plan, rules).filter(mayRead));
    if (unread.size === 0) return plan;
    const owned = await readOwners(place, [...unread], present, keys, { toDelete: true });
    const known = new Map(owned.map((one) => [one.name, one]));
    backups = backups.map((backup) => known.get(backup.name) ?? backup);
  }
}

export const isRead = (backup: Candidate): backup is Owned => backup.owner !== undefined;

/** Backups whose owner can still change the plan; none while nothing is deleted. */
function toRead({ shared }: Place, { fates }: Plan<Candidate>, rules: readonly Rule[]): Candidate[] {
  const isDeleted = ({ kept }: Fate<Candidate>) => kept.length === 0;
  if (!fates.some(isDeleted)) return [];
  const open = fates.filter(({ backup, matters }) => matters && !isRead(backup));
  // one backup of another server protects those that do not say whose they are
  const doubtful = shared && fates.some((fate) => isDeleted(fate) && fate.backup.owner === "unknown");
  // young backups matter to no rule of days, but the newest of ours must be known
  const counts = rules.some(({ kind }) => kind !== "days");
  const newest = fates.findLast(({ matters }) => matters);
  return open
    .filter((fate) => doubtful || counts || isDeleted(fate) || fate === newest || fate.backup.proved)
    .map(({ backup }) => backup);
}

/**
 * Deletes what no rule keeps, each backup with its manifest and its proof. Logs every deletion with its rule; one that fails is
 * logged and the next one tried. Throws only when the place cannot be listed.
 */
export async function prune(
  place: Place,
  { log, warn, ...wanted }: Retention & { database: string; log: Logger; warn: (message: string) => void },
): Promise<void> {
  if (wanted.rules.length === 0) return;
  const files = await place.list(wanted.database);
  const { fates, refusal } = await planPrune(place, findBackups(files, wanted.database), wanted);
  const unreadable = fates.filter(({ backup }) => backup.error);
  for (const { backup } of unreadable.slice(0, 1))
    warn(`retention keeps ${backup.name} in ${place.where}, and does not count it: ${messageOf(backup.error)}`);
  if (refusal !== undefined) return warn(`retention in ${place.where}: ${refusal}`);
  const names = new Set(files.map(({ name }) => name));
  // the backup before its manifest: a manifest left alone is no backup, a backup left alone would look like one
  const gone = fates.flatMap(({ kept, backup: { name } }) =>
    kept.length > 0 ? [] : [[name, ...companions(name, names)]],
  );
  const lonely = await lonelyOnes(place, files, fates, wanted);
  const failures: string[] = [];
  for (const [name = "", ...others] of [...gone, ...lonely.map((name) => [name])]) {
    try {
      for (const one of [name, ...others]) await place.remove(one);
      log.info(`deleted ${name} from ${place.where}: ${whyDeleted(wanted.rules)}`, { deleted: name });
    } catch (error) {
      failures.push(messageOf(error)); // it names the file
      log.error(messageOf(error), { file: name });
    }
  }
  const [first] = failures;
  if (first) warn(`retention could not delete ${counted(failures.length, "backup")} from ${place.where}: ${first}`);
}

const companions = (name: string, names: ReadonlySet<string>) =>
  [proofName(name), manifestName(name)].filter((one) => names.has(one));

/** Manifests and proofs whose backup is missing, older than the days and than all that is kept: a run died between two deletions. */
async function lonelyOnes(
  place: Place,
  files: readonly StoredFile[],
  fates: readonly Fate<Candidate>[],
  { database, present, rules, now = new Date() }: Retention & { database: string },
): Promise<string[]> {
  const names = new Set(files.map(({ name }) => name));
  const days = rules.find(({ kind }) => kind === "days")?.count ?? 1;
  const kept = fates.find((fate) => fate.kept.length > 0)?.backup.backup.time ?? now;
  const oldest = Math.min(kept.getTime(), now.getTime() - days * 86_400_000);
  const lonely: string[] = [];
  for (const name of new Set(files.map((file) => backupNameOf(file.name)))) {
    const backup = names.has(name) ? undefined : parseBackupName(name);
    if (backup?.database !== database || backup.time.getTime() >= oldest) continue;
    const manifest = await place.load(manifestName(name)).catch(() => Buffer.from("unreadable"));
    const origin = originIn(manifest?.toString() ?? "{}");
    if (origin && strictOwnerOf(origin.identity, present) !== "other") lonely.push(...companions(name, names));
  }
  return lonely;
}
