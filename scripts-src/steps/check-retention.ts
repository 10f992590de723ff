/** What retention will do after the next backup, for dry runs. */
import { formatBackupName, manifestName } from "../archive/name.ts";
import { counted } from "../base/text.ts";
import { newestOfOurs } from "../places/choose.ts";
import { inBucket } from "../places/bucket.ts";
import { inFolder } from "../places/folder.ts";
import { findBackups, type Place } from "../places/place.ts";
import { planPrune } from "../places/prune.ts";
import { type Candidate, type Fate, whyDeleted } from "../places/retention.ts";
import type { Check, Warned } from "../run/checklist.ts";
import type { Job } from "../run/script.ts";
import { openStorage } from "../storage/open.ts";
import type { Target } from "./dry-run-checks.ts";
import { identityOf } from "./identity.ts";
import { clockTroubles, rulesFrom } from "./prune.ts";

/** One check for each place that has rules: the fate of each backup, as if the next backup existed already. */
export function checkRetention(
  job: Job,
  target: Target,
  folder: string,
  { upload, accept }: { upload: boolean; accept: boolean },
): Check[] {
  const places = [
    { name: "LOCAL" as const, where: "BACKUP_DIR", open: async () => inFolder(folder) },
    { name: "BACKUP" as const, where: "S3", open: async () => inBucket(await openStorage(job.settings, job)) },
  ];
  return places
    .filter(({ name }) => rulesFrom(job.settings, name).length > 0 && (name === "LOCAL" || upload))
    .map(({ name, where, open }) => ({
      what: `retention in ${where}`,
      look: async () => lookAt(job, target, name, { place: await open(), accept }),
    }));
}

async function lookAt(
  { settings }: Job,
  { connected }: Target,
  name: "LOCAL" | "BACKUP",
  { place, accept }: { place: Place; accept: boolean },
) {
  if (!connected) return { skipped: "not checked without the database" };
  const rules = rulesFrom(settings, name);
  const now = new Date();
  const next = { database: connected.name, time: now, sequence: 1, compression: "gzip", encrypted: false } as const;
  const coming = formatBackupName(next);
  const [candidate] = findBackups([coming, manifestName(coming)].map((file) => ({ name: file, bytes: 0 })));
  const files = await place.list(connected.name);
  const present = identityOf(settings, connected);
  const newest = await newestOfOurs(place, findBackups(files, connected.name), present);
  // the coming backup is judged as the newest one was, until it says otherwise
  const suspicious = !accept && newest?.suspicious === true;
  const { fates, refusal } = await planPrune(place, files, {
    database: connected.name,
    rules,
    present,
    now,
    proofKeys: settings.MANIFEST_KEY,
    ...(candidate && { coming: { ...candidate, owner: "ours", suspicious } }),
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
