/** What `sync` has to do. Pure: decides by names and sizes alone. */
import { liesAhead } from "../base/clock.ts";

/** What a name says, when it is that of a backup or of its manifest. */
export interface Named {
  /** Name of the backup itself; a manifest belongs to one. */
  backup: string;
  database: string;
  /** When the backup was taken. */
  time: Date;
}

export interface Entry {
  name: string;
  bytes: number;
  /** Undefined: it is not named like a backup or a manifest. */
  named: Named | undefined;
}

export interface SyncPlan<Local extends Entry, Remote extends Entry> {
  /** Backups to be sent, newest first; of each the files that are missing or differ in size, the manifest last. */
  uploads: Local[][];
  /** Files that are there already. */
  present: Local[];
  /** The oldest first; a backup before its manifest. */
  deletes: Remote[];
  /** Objects that are not there locally and stay all the same, and why. */
  kept: { entry: Remote; why: string }[];
  /** Why nothing may be deleted at all; a person must hear of it. */
  refusal?: string;
}

/** Compares what is there locally (backups and their manifests) with what is in the bucket. */
export function planSync<Local extends Entry & { named: Named }, Remote extends Entry>(
  local: readonly Local[],
  remote: readonly Remote[],
  { mayDelete, now = new Date() }: { mayDelete: boolean; now?: Date },
): SyncPlan<Local, Remote> {
  const there = new Map(remote.map(({ name, bytes }) => [name, bytes]));
  const differs = ({ name, bytes }: Local) => there.get(name) !== bytes;
  // its manifest may be that of another one and as long
  const renewed = new Set(local.filter(differs).map(({ name }) => name));
  const [missing, present] = split(local, (file) => differs(file) || renewed.has(file.named.backup));
  const names = new Set(local.map(({ name }) => name));
  const gone = remote.filter(({ name }) => !names.has(name));
  const here = indexLocal(local, now);
  const judged = gone.map((entry) => ({ entry, why: reasonToKeep(entry.named, here, mayDelete) }));
  const refusal =
    mayDelete && here.size === 0 && gone.some(({ named }) => named)
      ? "there is no backup locally, but there are some in S3: is this the right folder, is its disk there? nothing is deleted"
      : undefined;
  return {
    uploads: byBackup(missing),
    present,
    deletes: judged.flatMap(({ entry, why }) => (why === undefined ? [entry] : [])).toSorted(byTimeAndName),
    kept: judged.flatMap(({ entry, why }) => (why === undefined ? [] : [{ entry, why }])),
    ...(refusal !== undefined && { refusal }),
  };
}

/** What the delete rule asks of a database's local backups. */
interface Here {
  backups: Set<string>;
  /** Time of the newest one (ms). */
  newest: number;
}

/**
 * The local backups by database, made once for all objects: there may be many thousands of both. A manifest whose backup
 * is gone counts for nothing: a folder that holds no more than that must not outdate what is in S3.
 */
export function indexLocal(
  local: readonly { name: string; named: Named }[],
  now: Date = new Date(),
): ReadonlyMap<string, Here> {
  const index = new Map<string, Here>();
  for (const { name, named } of local) {
    if (name !== named.backup) continue;
    const here = index.get(named.database) ?? { backups: new Set(), newest: -Infinity };
    here.backups.add(name);
    // a name from the future would outdate whatever another machine sends
    if (!liesAhead(named.time, now)) here.newest = Math.max(here.newest, named.time.getTime());
    index.set(named.database, here);
  }
  return index;
}

/**
 * The delete rule: undefined (it goes) only for a backup or manifest of a database that has local backups, which is gone
 * locally and older than the newest local one. Everything else stays: what is newer may come from another machine.
 */
export function reasonToKeep(
  named: Named | undefined,
  local: ReadonlyMap<string, Here>,
  mayDelete: boolean,
): string | undefined {
  if (!named) return "not named like a backup";
  if (!mayDelete) return "REMOTE_S3_DELETE is not true";
  const ours = local.get(named.database);
  if (!ours) return `there is no local backup of ${named.database}`;
  if (ours.backups.has(named.backup)) return "its backup exists locally";
  return named.time.getTime() < ours.newest
    ? undefined
    : "not older than the newest local backup: it may belong to another machine";
}

function split<T>(all: readonly T[], test: (one: T) => boolean): [T[], T[]] {
  return [all.filter(test), all.filter((one) => !test(one))];
}

/** Groups the files of each backup, the newest backup first, the backup before its manifest. */
function byBackup<Local extends { name: string; named: Named }>(files: readonly Local[]): Local[][] {
  const groups = Map.groupBy(files.toSorted(byTimeAndName), ({ named }) => named.backup);
  return [...groups.values()].toReversed();
}

const byTimeAndName = (a: Pick<Entry, "name" | "named">, b: Pick<Entry, "name" | "named">): number =>
  Number(a.named?.time ?? 0) - Number(b.named?.time ?? 0) || (a.name < b.name ? -1 : 1);
