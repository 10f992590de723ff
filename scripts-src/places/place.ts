/** Where backups lie: a folder, or a path in a bucket, behind one interface. A third kind of place is one more file. */
import { type Manifest, type ManifestKeys, parseManifest, parseProof, type Proof } from "../archive/manifest.ts";
import {
  type BackupName,
  backupNameOf,
  byAge,
  formatBackupName,
  manifestName,
  namePrefix,
  parseBackupName,
  proofName,
} from "../archive/name.ts";
import { liesAhead } from "../base/clock.ts";
import { stampOf } from "../base/text.ts";
import type { StoredFile } from "../storage/list.ts";

export type { StoredFile };

/** A backup among the files of a place. */
export interface Stored extends StoredFile {
  /** What the name says. */
  backup: BackupName;
  /** Its manifest exists: it was finished by us. */
  committed: boolean;
  /** A proof exists: it was restored and compared. */
  proved: boolean;
}

/** All methods throw an explained `Failure`. */
export interface Place {
  /** For people: the folder, or `s3://bucket/path/`. */
  readonly where: string;
  /** Whether several servers may keep backups here (a bucket). */
  readonly shared: boolean;
  /** Path or address of a file. */
  locate(name: string): string;
  /** Its files; with `database`, at least those whose names begin like the backups of that database. */
  list(database?: string): Promise<StoredFile[]>;
  /** The content of a manifest or a proof; undefined when there is none. Throws when it is too large to be one. */
  load(name: string): Promise<Buffer | undefined>;
  /** The bytes of a file; in a bucket never more than `bytes`, its size in the listing. */
  read(name: string, bytes?: number): AsyncIterable<Uint8Array>;
  /** Begins a backup of about so many bytes; undefined when the name is taken. */
  create(name: string, expectedBytes: number): Promise<Sink | undefined>;
  /** Writes a small file, in place of the one of that name. */
  put(name: string, content: string): Promise<void>;
  /** Deletes a file; one that does not exist is no error. */
  remove(name: string): Promise<void>;
  /** Where else backups of this database, or of any, lie, each place with the setting that leads there. */
  elsewhere(database?: string): Promise<string[]>;
  /** How far (ms) this machine's clock is ahead of the place's own, as far as known; 0 where it has none. */
  clockAhead(): number;
  /** Removes what a run that died left of this database. Only under the lock of the database. */
  sweep(database: string): Promise<void>;
}

/** A backup in the making: invisible until `commit`. */
export interface Sink {
  /** Resolves when the place has taken the block. */
  write(block: Uint8Array): Promise<void>;
  /** Makes the backup visible together with its manifest, whose text this is. After a failure nothing is left. */
  commit(manifest: string): Promise<void>;
  /** Removes every trace; does nothing after `commit`. */
  discard(): Promise<void>;
}

/** The manifest of a backup, its signature checked with `keys`; undefined when there is none. Throws a `Failure` when it is damaged. */
export async function manifestOf(place: Place, backup: string, keys?: ManifestKeys): Promise<Manifest | undefined> {
  const name = manifestName(backup);
  const content = await place.load(name);
  return content && parseManifest(content, place.locate(name), keys);
}

/** The proof beside a backup, signed when there are keys; undefined when there is none that counts. Throws `Failure`. */
export async function proofOf(place: Place, backup: string, keys: ManifestKeys): Promise<Proof | undefined> {
  const content = await place.load(proofName(backup));
  return content && parseProof(content, keys);
}

/** The backups among the files of a place, or those of exactly one database; oldest first. */
export function findBackups<T extends StoredFile>(files: readonly T[], database?: string): (T & Stored)[] {
  const names = new Set(files.map(({ name }) => name));
  const prefix = namePrefix(database);
  const found: (T & Stored)[] = [];
  for (const file of files) {
    const { name } = file;
    const backup = name.startsWith(prefix) ? parseBackupName(name) : undefined;
    if (!backup || (database !== undefined && backup.database !== database)) continue;
    found.push({ ...file, backup, committed: names.has(manifestName(name)), proved: names.has(proofName(name)) });
  }
  return found.toSorted(oldestFirst);
}

/** The backups in a place, or those of exactly one database; oldest first. */
export const listBackups = async (place: Place, database?: string): Promise<Stored[]> =>
  findBackups(await place.list(database), database);

/** By their names; two that differ only in compression by spelling. */
export const oldestFirst = (a: Stored, b: Stored): number => byAge(a.backup, b.backup) || (a.name < b.name ? -1 : 1);

/** Whether a name lies in the future. */
export const isAhead = ({ time }: BackupName, now: Date = new Date()): boolean => liesAhead(time, now);

/** The finished backups, of whatever places, that do not lie in the future; newest first. */
export const goodOnes = <T extends Stored>(backups: readonly T[]): T[] =>
  backups
    .filter(({ committed, backup }) => committed && !isAhead(backup))
    .toSorted(oldestFirst)
    .toReversed();

/** The newest of them. */
export const newestGood = <T extends Stored>(backups: readonly T[]): T | undefined => goodOnes(backups)[0];

/** A name behind all of its second, whatever their endings: one that retention has freed would be older than the others. */
export function freeName(wanted: Omit<BackupName, "sequence">, used: ReadonlySet<string>): string {
  const start = namePrefix(wanted.database) + stampOf(wanted.time);
  const rivals = [...used].filter((name) => name.startsWith(start) || name.startsWith(`.${start}`));
  const sequences = rivals.map((name) => parseBackupName(backupNameOf(unhidden(name)))?.sequence ?? 0);
  return formatBackupName({ ...wanted, sequence: Math.max(0, ...sequences) + 1 });
}

/** The name that a file gets when it is finished: the inverse of `partialName`. */
const unhidden = (name: string): string => name.replace(/^\.(.*)\.partial$/, "$1");
