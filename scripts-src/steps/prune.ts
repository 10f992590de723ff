/** Retention: what it does after a backup, and what it will do, for dry runs. */
import { manifestName } from "../archive/name.ts";
import { clockTolerance } from "../base/clock.ts";
import { counted, durationText } from "../base/text.ts";
import type { Connected, Server } from "../database/database.ts";
import { newestOfOurs } from "../places/choose.ts";
import { findBackups, freeName, listBackups, type Place } from "../places/place.ts";
import { type Candidate, type Fate, planPrune, prune, type Rule, whyDeleted } from "../places/retention.ts";
import type { Check, Warned } from "../run/checklist.ts";
import type { Job } from "../run/script.ts";
import type { Settings } from "../settings/settings.ts";
import { localPlace, remotePlace } from "./backup-folder.ts";
import { forDatabase, type Target } from "./dry-run-checks.ts";
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

/** What keeps backups in BACKUP_DIR, or in S3; without a rule, all are kept. */
export const rulesFrom = (settings: Settings, { shared }: Pick<Place, "shared">): Rule[] =>
  kinds.flatMap(([kind, end]) => {
    const setting = `${shared ? "BACKUP" : "LOCAL"}_${end}` as const;
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
    keys: settings.MANIFEST_KEY,
    log,
    warn: (text: string) => job.warn(text),
  };
  for (const place of [local, remote]) if (place) await prune(place, { ...wanted, rules: rulesFrom(settings, place) });
}

/** Whose clock differs too much from this machine's for anything to be deleted. */
const clockTroubles = ({ clockAhead }: Pick<Server, "clockAhead">, remote: Place | undefined): string[] =>
  [clockText(clockAhead, "the database server"), clockText(remote?.clockAhead() ?? 0, "the S3 server")].flatMap(
    (text) => text ?? [],
  );

/** What is wrong with this machine's clock, which is so far (ms) ahead; undefined when the two differ by minutes only. */
function clockText(ahead: number, of: string): string | undefined {
  if (!(Math.abs(ahead) > clockTolerance)) return undefined;
  const difference = durationText(Math.round(Math.abs(ahead) / 60_000) * 60_000);
  return `this machine's clock is ${difference} ${ahead > 0 ? "ahead of" : "behind"} that of ${of}`;
}

/** One check for each place that has rules: the fate of each backup, as if the next backup existed already. */
export function checkRetention(
  job: Job,
  target: Target,
  { upload, accept }: { upload: boolean; accept: boolean },
): Check[] {
  const places = [
    { shared: false, where: "BACKUP_DIR", open: async () => localPlace(job) },
    { shared: true, where: "S3", open: () => remotePlace(job) },
  ];
  return places
    .filter((place) => rulesFrom(job.settings, place).length > 0 && (!place.shared || upload))
    .map(({ where, open }) => ({
      what: `retention in ${where}${forDatabase(target)}`,
      look: async () => lookAt(job, target, { place: await open(), accept }),
    }));
}

async function lookAt({ settings }: Job, { connected }: Target, { place, accept }: { place: Place; accept: boolean }) {
  if (!connected) return { skipped: "not checked without the database" };
  const rules = rulesFrom(settings, place);
  const now = new Date();
  const backups = await listBackups(place, connected.name);
  const next = { database: connected.name, time: now, compression: "gzip", encrypted: false } as const;
  const coming = freeName(next, new Set(backups.map(({ name }) => name)));
  const [candidate] = findBackups([coming, manifestName(coming)].map((file) => ({ name: file, bytes: 0 })));
  const present = identityOf(settings, connected);
  const newest = await newestOfOurs(place, backups, present, undefined);
  // the coming backup is judged as the newest one was, until it says otherwise
  const suspicious = !accept && newest?.suspicious === true;
  const all = [...backups, ...(candidate ? [{ ...candidate, owner: "ours" as const, suspicious }] : [])];
  const { fates, refusal } = await planPrune(place, all, {
    rules,
    present,
    now,
    made: coming,
    keys: settings.MANIFEST_KEY,
  });
  const others = fates.filter(({ backup }) => backup.name !== coming);
  const gone = others.filter(({ kept }) => kept.length === 0);
  const line = ({ backup, kept }: Fate<Candidate>) =>
    kept.length > 0 ? `keep ${backup.name}: ${kept.join(", ")}` : `delete ${backup.name}: ${whyDeleted(rules)}`;
  const text = [`the next run deletes ${gone.length} of ${counted(others.length, "backup")}`, ...others.map(line)].join(
    "\n",
  );
  const held = [
    ...(suspicious && refusal === undefined ? [`${newest.name} is suspicious`] : []),
    ...clockTroubles(connected.server, place),
    ...(refusal === undefined ? [] : [refusal]),
  ];
  return held.length === 0 ? text : ({ warning: [...held, text].join("\n"), hints: [] } satisfies Warned);
}
