/** What `list` prints of backups: for people, in 80 columns, and as JSON for programs. */
import { databaseLabel, serverRoles } from "../archive/name.ts";
import { styleText } from "node:util";
import { ageText, bytesText, counted, durationText, visibleName, wrap } from "../base/text.ts";
import type { Found, ReadBackup } from "./find-all-backups.ts";

interface Look {
  now: Date;
  /** Columns of the terminal. */
  width: number;
  styled: boolean;
}

/** Two lines a backup (the name in full, then the facts) and a last line that says how things stand. */
export function describeBackups(shown: readonly ReadBackup[], { backups, troubles }: Found, look: Look): string {
  const paint = (style: Parameters<typeof styleText>[0], text: string) =>
    look.styled ? styleText(style, text, { validateStream: false }) : text;
  const blocks = shown.flatMap((one) => [
    paint("bold", visibleName(one.name)),
    ...wrap(visibleName(factsOf(one, look.now).join(" · ")), look.width - 4).map((line) => `    ${line}`),
    ...fatesOf(one).flatMap((text) => wrap(text, look.width - 4).map((line) => `    ${paint("dim", line)}`)),
  ]);
  const more = backups.length - shown.length;
  return [
    ...blocks,
    ...(more > 0 ? [`and ${counted(more, "older backup")}: list --all shows them`] : []),
    ...troubles.map((text) => paint("red", `could not be listed: ${visibleName(text)}`)),
    ...wrap(summaryOf(shown, backups.length, look.now), look.width),
  ].join("\n");
}

function factsOf(one: ReadBackup, now: Date): string[] {
  const { stored, manifest, proof, copies, owner, trouble } = one;
  const age = now.getTime() - stored.backup.time.getTime();
  const other = manifest?.identity && `of another server (${manifest.identity.server}, site ${manifest.identity.site})`;
  return [
    age < -600_000 ? "named in the future" : ageText(Math.max(0, age)).replace(/ ago$/, " old"),
    bytesText(stored.bytes),
    ...(manifest?.rows === undefined || stored.backup.database === serverRoles
      ? []
      : [counted(manifest.rows, "row").replace(/^\d+/, (n) => Number(n).toLocaleString("en"))]),
    copies.map(({ place }) => (place.shared ? "S3" : "local")).join(" and "),
    ...(proof
      ? [
          `proved ${ageText(now.getTime() - Date.parse(proof.provedAt))}, restores in ${durationText(round(proof.restoreMs))}`,
        ]
      : []),
    ...(stored.committed ? [] : ["no manifest: not a finished backup"]),
    ...(manifest?.suspicious ? [`suspicious: ${manifest.suspicious.join("; ")}`] : []),
    ...(stored.backup.encrypted ? ["encrypted"] : []),
    ...(owner === "other" && other ? [other] : []),
    ...(trouble === undefined ? [] : [trouble]),
  ];
}

/** Whole seconds above ten. */
const round = (ms: number) => (ms < 10_000 ? ms : Math.round(ms / 1000) * 1000);

/** What retention will do with each copy; one line where all say the same. */
function fatesOf({ copies }: ReadBackup): string[] {
  const texts = copies.map(({ place, fate }) => ({
    where: place.shared ? "S3" : "local",
    text: `${fate.deleted ? "will be deleted" : "kept"}: ${fate.why}`,
  }));
  const [first] = texts;
  if (first && texts.every(({ text }) => text === first.text)) return [first.text];
  return texts.map(({ where, text }) => `${where}: ${text}`);
}

function summaryOf(shown: readonly ReadBackup[], count: number, now: Date): string {
  const newest = shown.find((one) => one.stored.committed && !one.trouble && one.stored.backup.time <= now);
  if (!newest) return count === 0 ? "no backups" : `${counted(count, "backup")}, none of them good`;
  const proved = shown.find(({ proof }) => proof)?.proof;
  const age = ageText(now.getTime() - newest.stored.backup.time.getTime()).replace(/ ago$/, " old");
  const proof = proved
    ? `last proved ${ageText(now.getTime() - Date.parse(proved.provedAt))}, restores in ${durationText(round(proved.restoreMs))}`
    : "none proved yet: verify proves one";
  return `${counted(count, "backup")}, the newest good one ${age}; ${proof}`;
}

/** The documented shape: `formatVersion` rises only when a field changes its meaning or disappears. */
export function backupsAsJson(shown: readonly ReadBackup[], { troubles }: Found, now: Date): string {
  const value = {
    formatVersion: 1,
    generatedAt: now.toISOString(),
    troubles,
    backups: shown.map(({ name, stored, copies, owner, manifest, proof, trouble }) => ({
      name,
      database: databaseLabel(stored.backup.database),
      startedAt: stored.backup.time.toISOString(),
      bytes: stored.bytes,
      complete: stored.committed,
      encrypted: stored.backup.encrypted,
      owner,
      rows: manifest?.rows ?? null,
      suspicious: manifest?.suspicious ?? [],
      engine: manifest?.engine ?? null,
      serverVersion: manifest?.serverVersion ?? null,
      site: manifest?.site ?? null,
      provedAt: proof?.provedAt ?? null,
      restoreMs: proof?.restoreMs ?? null,
      copies: copies.map(({ place, fate }) => ({
        location: place.locate(name),
        kind: place.shared ? "s3" : "local",
        deleted: fate.deleted,
        rule: fate.why,
      })),
      trouble: trouble ?? null,
    })),
  };
  return JSON.stringify(value, null, 2);
}
