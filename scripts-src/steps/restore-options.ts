/** What a person can ask of a restore. */
export interface RestoreOptions {
  file: string | undefined;
  fromS3: boolean;
  /** One of the server's databases. */
  database: string | undefined;
  /** All of them, and the roles. */
  all: boolean;
  /** The newest backup that was made before this time is wanted. */
  before: Date | undefined;
  /** Name of another, new database that gets the backup. */
  into: string | undefined;
  /** Name of the database that an earlier restore has kept, and that is wanted back. */
  undo: string | undefined;
  inPlace: boolean;
  replace: boolean;
  dropBefore: boolean;
  keepGoing: boolean;
  noOwner: boolean;
  noSafetyBackup: boolean;
  unsigned: boolean;
  yes: boolean;
  dryRun: boolean;
}

/** `2026-01-31` or `2026-01-31T18:00`, in UTC or with an offset. Throws an `Error` that yargs tells as wrong usage. */
export function parseTime(text: string): Date {
  const found = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?))?(Z|[+-]\d\d:?\d\d)?$/.exec(text);
  const time = new Date(found ? `${found[1]}T${found[2] ?? "00:00"}${found[3] ?? "Z"}` : text);
  if (found && !Number.isNaN(time.getTime())) return time;
  throw new Error(`${text} is no time: write 2026-01-31 or 2026-01-31T18:00, in UTC or with an offset (+02:00)`);
}
