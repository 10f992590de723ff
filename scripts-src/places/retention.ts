/** Which backups have outlived their days. Pure: decides by names alone, for the local folder and for S3. */
import { backupNameOf, byAge, parseBackupName, type BackupName } from "../archive/name.ts";
import { isAhead } from "./place.ts";

export interface Candidate {
  name: string;
  /** Its manifest is there. */
  committed: boolean;
  /** A proof is there: it was restored and compared. */
  proved?: boolean;
}

export interface RetentionRule {
  /** Only backups of exactly this database are looked at. */
  database: string;
  now: Date;
  /** Backups older than this go. */
  days: number;
}

export interface Verdict<T extends Candidate> {
  /** To be deleted, oldest first. */
  expired: T[];
  /** All others, and why they stay. */
  kept: { candidate: T; why: string }[];
  /** Why nothing is deleted although backups have expired; a person should hear of it. */
  refusal?: string;
}

const day = 86_400_000;

/**
 * Decides what is deleted: finished backups of this database whose name's time is more than `days` ago, never the newest
 * good one. Names from the future neither go nor count as the newest (a clock that was wrong then would cost the real
 * ones). When all but one would go and even that one is twice as old as allowed, nothing goes: retention follows a good
 * backup, so the clock has jumped meanwhile.
 */
export function decideRetention<T extends Candidate>(candidates: readonly T[], rule: RetentionRule): Verdict<T> {
  const named = candidates.map((candidate) => ({ candidate, backup: parseBackupName(candidate.name) }));
  const good = named
    .filter(
      ({ candidate, backup }) => candidate.committed && backup && isOurs(backup, rule) && !isAhead(backup, rule.now),
    )
    .flatMap(({ candidate, backup }) => (backup ? [{ candidate, backup }] : []))
    .toSorted((a, b) => byAge(a.backup, b.backup));
  const newest = good.at(-1)?.backup;
  const newestProved = good.findLast(({ candidate }) => candidate.proved)?.backup;
  const judged = named.map((one) => ({
    ...one,
    why: reasonToKeep(one.candidate, one.backup, { newest, newestProved }, rule),
  }));
  const kept = judged.flatMap(({ candidate, why }) => (why === undefined ? [] : [{ candidate, why }]));
  const expired = judged
    .flatMap(({ candidate, backup, why }) => (why === undefined && backup ? [{ candidate, backup }] : []))
    .toSorted((a, b) => byAge(a.backup, b.backup))
    .map(({ candidate }) => candidate);
  const othersStay = kept.some(({ why }) => why === young(rule));
  if (expired.length === 0 || othersStay || !newest || age(newest, rule) <= 2 * rule.days * day)
    return { expired, kept };
  const refusal = `the newest good backup is ${Math.floor(age(newest, rule) / day)} days old: has the clock jumped, or do backups fail? nothing is deleted`;
  return { expired: [], kept: [...kept, ...expired.map((candidate) => ({ candidate, why: refusal }))], refusal };
}

/** Manifests and proofs as old as that, of this database, whose backup is gone: a run died between the two deletions. */
export function lonelyManifests(names: readonly string[], rule: RetentionRule): string[] {
  const there = new Set(names);
  return names.filter((name) => {
    const file = backupNameOf(name);
    const backup = parseBackupName(file);
    if (!backup || !isOurs(backup, rule) || age(backup, rule) <= rule.days * day) return false;
    return file !== name && !there.has(file);
  });
}

/** Undefined: it goes. */
function reasonToKeep(
  candidate: Candidate,
  backup: BackupName | undefined,
  { newest, newestProved }: Record<"newest" | "newestProved", BackupName | undefined>,
  rule: RetentionRule,
): string | undefined {
  if (!backup) return "not named like a backup";
  if (!isOurs(backup, rule)) return `a backup of another database (${backup.database})`;
  if (!candidate.committed) return "it has no manifest: not a finished backup";
  if (isAhead(backup, rule.now)) return "its name lies in the future";
  if (newest && byAge(backup, newest) === 0) return "the newest good backup";
  if (newestProved && byAge(backup, newestProved) === 0) return "the newest proved backup";
  return age(backup, rule) > rule.days * day ? undefined : young(rule);
}

const isOurs = (backup: BackupName, rule: RetentionRule) => backup.database === rule.database;
const age = (backup: BackupName, rule: RetentionRule) => rule.now.getTime() - backup.time.getTime();
const young = (rule: RetentionRule) => `not older than ${rule.days} days`;
