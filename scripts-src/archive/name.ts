/**
 * Names of backup files: `<database>_<YYYY-MM-DD_HH-MM-SS>[-<sequence>].sql[.gz|.zst][.age]`, time in UTC, so that one
 * database's names sort by age. One function writes them and one reads them; they are inverse for every database name.
 */
import { Failure } from "../base/errors.ts";
import { stampOf } from "../base/text.ts";

export type Compression = "gzip" | "zstd" | "none";

/** In the place of a database's name: the server's roles (accounts), in a file `@roles_…`. No database can be called so. */
export const serverRoles = "@roles\0";

/** How people and programs read the name of a database, or of the roles. */
export const databaseLabel = (database: string): string => (database === serverRoles ? rolesWord : database);
const rolesWord = "@roles";

export interface BackupName {
  database: string;
  /** UTC, whole seconds. */
  time: Date;
  /** 1 for the first of its second; 2 is written as "-2". */
  sequence: number;
  compression: Compression;
  /** To public keys: written as ".age". */
  encrypted: boolean;
}

const extensions = { gzip: ".sql.gz", zstd: ".sql.zst", none: ".sql" } as const;
const compressions = { ".sql.gz": "gzip", ".sql.zst": "zstd", ".sql": "none" } as const;

const pattern =
  /^(?<database>@roles|[\w.%-]+)_(?<day>\d{4}-\d\d-\d\d)_(?<clock>\d\d-\d\d-\d\d)(?:-(?<sequence>[1-9]\d{0,5}))?(?<extension>\.sql(?:\.gz|\.zst)?)(?<age>\.age)?$/;

/** Percent-encodes the UTF-8 bytes of all but A-Z a-z 0-9 `.` `_` `-`, and of a `.` or `-` at the start (hidden file, option). */
function encodeDatabase(database: string): string {
  if (database === serverRoles) return rolesWord;
  if (database === "" || !database.isWellFormed()) throw new Failure("the database's name is empty or not valid text");
  return database.replace(/^[.-]|[^A-Za-z0-9._-]/gu, (character) =>
    [...Buffer.from(character)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(""),
  );
}

/** The file name of a backup; milliseconds are dropped. */
export function formatBackupName({ database, time, sequence, compression, encrypted }: BackupName): string {
  const second = sequence > 1 ? `-${sequence}` : "";
  return `${encodeDatabase(database)}_${stampOf(time)}${second}${extensions[compression]}${encrypted ? ".age" : ""}`;
}

/** What the names of all backups of a database start with, or of any; those of others may, too. */
export const namePrefix = (database?: string): string => (database === undefined ? "" : `${encodeDatabase(database)}_`);

/** What a file name says; undefined for every name that `formatBackupName` would not have written. */
export function parseBackupName(name: string): BackupName | undefined {
  const { database, day, clock, sequence, extension, age } = pattern.exec(name)?.groups ?? {};
  if (!database || !day || !clock) return undefined;
  const time = new Date(`${day}T${clock.replaceAll("-", ":")}Z`);
  if (Number.isNaN(time.getTime())) return undefined;
  try {
    const parsed: BackupName = {
      database: database === rolesWord ? serverRoles : decodeURIComponent(database),
      time,
      sequence: Number(sequence ?? 1),
      compression: compressions[extension as keyof typeof compressions],
      encrypted: age !== undefined,
    };
    return formatBackupName(parsed) === name ? parsed : undefined;
  } catch {
    return undefined; // a percent sign that encodes nothing
  }
}

/** The manifest's name beside its backup. */
export const manifestName = (name: string): string => `${name}.json`;

/** The name of the proof beside its backup: that it was restored and compared. */
export const proofName = (name: string): string => `${name}.proof.json`;

/** The backup that a manifest or a proof belongs to; any other name itself. */
export const backupNameOf = (name: string): string => {
  const backup = name.replace(/(?:\.proof)?\.json$/, "");
  return parseBackupName(backup) ? backup : name;
};

/** The name a backup has while it is written: hidden, and never taken for a backup. */
export const partialName = (name: string): string => `.${name}.partial`;

/** Oldest first; of one second, the first made first. */
export const byAge = (a: BackupName, b: BackupName): number =>
  a.time.getTime() - b.time.getTime() || a.sequence - b.sequence;
