/** What the page shows. */

/** `none`: no backup of that day exists, and none has to. */
export type DayState = "good" | "warning" | "missing" | "none";

export interface Day {
  /** UTC, `2026-01-31`. */
  day: string;
  state: DayState;
  proved: boolean;
  /** The last backup of the day. */
  name?: string;
  bytes?: number;
  rows?: number | undefined;
  durationMs?: number;
  /** Why it is a warning. */
  remark?: string;
}

export interface DatabaseFacts {
  name: string;
  /** The server's roles: they have no rows, and nothing proves them. */
  isRoles: boolean;
  /** Oldest first, the last one is today. */
  days: readonly Day[];
  /** Backups that exist, each counted once. */
  count: number;
  /** When the newest began, and the newest proof with the time (ms) that its restore took. */
  newest: Date | undefined;
  proof: { provedAt: Date; restoreMs: number } | undefined;
  /** What retention deletes next: name, place, rule. */
  deleted: readonly { name: string; where: string; why: string }[];
}

export interface ReportFacts {
  site: string;
  now: Date;
  version: string;
  /** How the run ended that wrote the page. */
  run?: { script: string; status: "success" | "warning" | "failure"; text: readonly string[] };
  /** Places that could not be listed. */
  troubles: readonly string[];
  databases: readonly DatabaseFacts[];
}
