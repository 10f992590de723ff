/** How a run ended, as the people who hear of it see it. */
import { hostname } from "node:os";
import { exitStatus } from "../base/errors.ts";
import { version } from "../base/version.ts";
import { type Settings, siteOf } from "../settings/settings.ts";

export type Status = "success" | "warning" | "failure";

/** What a run of several databases has to say about one of them. */
export interface DatabaseOutcome extends Omit<Facts, "databases"> {
  database: string;
  status: Status;
  durationMs?: number;
  /** One line: the error, or the warnings. */
  message?: string;
}

/** The newest good backup, as far as a failed run could find it. */
export interface LastGood {
  /** When it began; absent: none was found. */
  startedAt?: Date;
  /** Where it lies: paths and `s3://` locations. */
  locations: readonly string[];
  /** Places that hold none, and places that could not be listed, with the cause. */
  elsewhere: readonly string[];
}

/** What a run has learnt about its work so far. Filled as the run goes on, so that the notice of a failure has it too. */
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
  /** Why the backup that was made may have lost data. */
  suspicious?: readonly string[];
  /** Rows of all tables that were backed up or compared. */
  rows?: number;
  /** How long (ms) a restore of the backup took when it was proved. */
  restoreMs?: number;
  /** Absolute path of the local file. */
  localPath?: string;
  /** Where it lies in S3: `s3://bucket/path/name`. */
  remoteLocation?: string;
  /** Of a run over several databases: each of them. */
  databases?: readonly DatabaseOutcome[];
  /** Only of a failure; of a run over several databases each that failed has its own. */
  lastGood?: LastGood;
}

/**
 * How a run of a script ended. Made once, by `run/run`; log, mail, webhook, health check, metrics and exit
 * status are views of it. Holds no secret: every text in it has passed `redact`.
 */
export interface Outcome {
  script: string;
  status: Status;
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
  /** What is new or getting worse, a line each. A failure has its warnings too. */
  warnings: readonly string[];
  /** Only of a failure. */
  error?: { message: string; hints: readonly string[]; stack?: string };
  /** The last lines of the log, as they were printed. */
  logTail: readonly string[];
  /** A notice that somebody asked for to try the settings: no job ran. */
  test?: true;
}

/** The outcome of a run that began at `startedAt` and has ended now, as if it had gone well; what is known of it is to be added. */
export const outcomeOf = (script: string, settings: Pick<Settings, "SITE_NAME">, startedAt = new Date()): Outcome => ({
  script,
  status: "success",
  exitStatus: exitStatus.done,
  site: siteOf(settings),
  host: hostname(),
  version,
  startedAt,
  endedAt: new Date(),
  facts: {},
  summary: "",
  warnings: [],
  logTail: [],
});
