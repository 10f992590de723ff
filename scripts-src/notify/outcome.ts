/** What a run learnt about its work so far; filled while it goes, so that a failure can tell it too. */
export interface Facts {
  /** Name of the database. */
  database?: string;
  /** Engine, host, port and database, without secrets: `postgresql://db.example.com:5432/app`. */
  server?: string;
  /** Name of the backup file that was made or restored. */
  file?: string;
  /** Size of that file in bytes. */
  bytes?: number;
  /** Size in bytes of the last good backup before this one. */
  previousBytes?: number;
  /** Absolute path of the local file. */
  localPath?: string;
  /** Where it lies in S3: `s3://bucket/path/name`. */
  remoteLocation?: string;
}

/**
 * How a run of a script ended. Made once, by `shared/run`; log, mail, webhook, health check, metrics and exit
 * status are views of it. Holds no secret: every text in it has passed `redact`.
 */
export interface Outcome {
  script: string;
  status: "success" | "failure";
  exitStatus: number;
  site: string;
  host: string;
  /** Version of backup_scripts. */
  version: string;
  startedAt: Date;
  endedAt: Date;
  facts: Facts;
  /** One line, what happened: the last word of the log. */
  summary: string;
  /** Only of a failure. */
  error?: { message: string; hints: readonly string[]; stack?: string };
  /** The last lines of the log, as they were printed. */
  logTail: readonly string[];
  /** A notice that somebody asked for to try the settings: no job ran. */
  test?: true;
}
