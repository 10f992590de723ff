/** Deletes backups that the settings no longer keep, unless a clock is wrong. */
import { durationText } from "../base/text.ts";
import type { Connected, Server } from "../database/database.ts";
import { clockTolerance } from "../base/clock.ts";
import type { Place } from "../places/place.ts";
import { prune } from "../places/prune.ts";
import type { Rule } from "../places/retention.ts";
import type { Job } from "../run/script.ts";
import type { Settings } from "../settings/settings.ts";
import { identityOf } from "./identity.ts";

/** Where backups of a run lie. */
export interface Places {
  local: Place;
  /** Absent without S3. */
  remote: Place | undefined;
}

const kinds = [
  ["days", "RETENTION_DAYS"],
  ["last", "KEEP_LAST"],
  ["daily", "KEEP_DAILY"],
  ["weekly", "KEEP_WEEKLY"],
  ["monthly", "KEEP_MONTHLY"],
  ["yearly", "KEEP_YEARLY"],
] as const;

/** What keeps backups in BACKUP_DIR (LOCAL) or in S3 (BACKUP); without a rule, all are kept. */
export const rulesFrom = (settings: Settings, place: "LOCAL" | "BACKUP"): Rule[] =>
  kinds.flatMap(([kind, end]) => {
    const setting = `${place}_${end}` as const;
    const count = settings[setting];
    return count === undefined ? [] : [{ kind, count, setting }];
  });

/** Deletes backups of this database, locally and in S3. */
export async function pruneAll(job: Job, database: Connected, { local, remote }: Places): Promise<void> {
  const { settings, log } = job;
  if (job.facts.suspicious) return; // the warning said it
  const wrong = clockTroubles(database.server, remote);
  for (const text of wrong) job.warn(`${text}; retention deletes nothing until the clocks agree`);
  if (wrong.length > 0) return;
  const wanted = {
    database: database.name,
    present: identityOf(settings, database),
    made: job.facts.file,
    proofKeys: settings.MANIFEST_KEY,
    log,
    warn: (text: string) => job.warn(text),
  };
  await prune(local, { ...wanted, rules: rulesFrom(settings, "LOCAL") });
  if (remote) await prune(remote, { ...wanted, rules: rulesFrom(settings, "BACKUP") });
}

/** Whose clock differs too much from this machine's for anything to be deleted. */
export const clockTroubles = ({ clockAhead }: Pick<Server, "clockAhead">, remote: Place | undefined): string[] =>
  [clockText(clockAhead, "the database server"), clockText(remote?.clockAhead() ?? 0, "the S3 server")].flatMap(
    (text) => text ?? [],
  );

/** What is wrong with this machine's clock, which is so far (ms) ahead; undefined when the two differ by minutes only. */
function clockText(ahead: number, of: string): string | undefined {
  if (!(Math.abs(ahead) > clockTolerance)) return undefined;
  const difference = durationText(Math.round(Math.abs(ahead) / 60_000) * 60_000);
  return `this machine's clock is ${difference} ${ahead > 0 ? "ahead of" : "behind"} that of ${of}`;
}
