/** What `list` prints of backups: for people, in 80 columns, and as JSON for programs; and all about one of them. */
import { openJson } from "../archive/age.ts";
import { keysFrom } from "../archive/keys.ts";
import { doubtOf, isSigned, type Manifest, type ManifestKeys } from "../archive/manifest.ts";
import { databaseLabel, serverRoles } from "../archive/name.ts";
import { messageOf } from "../base/errors.ts";
import { quote } from "../base/process.ts";
import {
  ageText,
  bytesText,
  columns,
  counted,
  durationText,
  listOf,
  type painterFor,
  visibleName,
  wrap,
} from "../base/text.ts";
import { originText } from "../places/choose.ts";
import { isAhead, manifestOf } from "../places/place.ts";
import type { Job } from "../run/script.ts";
import type { Copy, Found, ReadBackup } from "./find-all-backups.ts";

interface Look {
  now: Date;
  /** Columns of the terminal. */
  width: number;
  paint: ReturnType<typeof painterFor>;
}

/** Two lines a backup (the name in full, then the facts) and a last line that says how things stand. */
export function describeBackups(shown: readonly ReadBackup[], { backups, troubles }: Found, look: Look): string {
  const { paint } = look;
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

function factsOf({ stored, manifest, proof, copies, owner, trouble }: ReadBackup, now: Date): string[] {
  const { backup } = stored;
  const { rows, suspicious, identity } = manifest ?? {};
  return listOf(
    isAhead(backup, now) ? "named in the future" : oldText(backup.time, now),
    bytesText(stored.bytes),
    rows !== undefined && backup.database !== serverRoles && counted(rows, "row"),
    copies.map(whereOf).join(" and "),
    proof && provedText(proof, now),
    !stored.committed && "no manifest: not a finished backup",
    suspicious && `suspicious: ${suspicious.join("; ")}`,
    backup.encrypted && "encrypted",
    owner === "other" && identity && `of ${originText(identity)}`,
    trouble,
  );
}

const oldText = (time: Date, now: Date) =>
  ageText(Math.max(0, now.getTime() - time.getTime())).replace(/ ago$/, " old");

function provedText({ provedAt, restoreMs }: NonNullable<ReadBackup["proof"]>, now: Date): string {
  const wholeSeconds = restoreMs < 10_000 ? restoreMs : Math.round(restoreMs / 1000) * 1000;
  return `proved ${ageText(now.getTime() - Date.parse(provedAt))}, restores in ${durationText(wholeSeconds)}`;
}

const whereOf = ({ place }: Copy) => (place.shared ? "S3" : "local");
const fateOf = ({ fate }: Copy) => `${fate.deleted ? "will be deleted" : "kept"}: ${fate.why}`;

/** What retention will do with each copy; one line where all say the same. */
function fatesOf({ copies }: ReadBackup): string[] {
  const fates = [...new Set(copies.map(fateOf))];
  return fates.length === 1 ? fates : copies.map((copy) => `${whereOf(copy)}: ${fateOf(copy)}`);
}

function summaryOf(shown: readonly ReadBackup[], count: number, now: Date): string {
  if (count === 0) return "no backups";
  const good = shown.filter((one) => one.stored.committed && !one.trouble && one.stored.backup.time <= now);
  const ours = good.filter(({ owner }) => owner !== "other");
  const [first] = shown;
  const [newest] = ours;
  if (!newest) {
    const lacking = shown.some(({ stored }) => stored.committed) ? "good" : "complete";
    return `${counted(count, "backup")}, none of them ${good.length > 0 ? "of this server" : lacking}`;
  }
  const passedOver = first?.owner === "other" ? "the newest of this server" : "the newest good one";
  const proved = ours.find(({ proof }) => proof)?.proof;
  const proof = proved ? `last ${provedText(proved, now)}` : "none proved yet: verify proves one";
  const which = newest === first ? "the newest" : passedOver;
  return `${counted(count, "backup")}, ${which} ${oldText(newest.stored.backup.time, now)}; ${proof}`;
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

/** A table a line with its rows, the versions, and the commands that restore it. Throws `Failure`. */
export async function describeOneBackup(job: Job, one: ReadBackup): Promise<string> {
  const { name, stored, copies, proof } = one;
  const place = one.manifest && copies.find((copy) => copy.stored.committed)?.place;
  const manifest = place && (await manifestOf(place, name, job.settings.MANIFEST_KEY));
  const lines: [string, string | undefined][] = [
    ["name", name],
    ["database", databaseLabel(stored.backup.database)],
    ["started", stored.backup.time.toISOString()],
    ["size", `${bytesText(stored.bytes)}${manifest ? `, ${bytesText(manifest.uncompressedBytes)} of SQL` : ""}`],
    ...copies.map((copy): [string, string] => ["lies in", `${copy.place.locate(name)} (${fateOf(copy)})`]),
    ...(manifest ? factsOfManifest(job, name, manifest) : []),
    ["manifest", manifest ? undefined : "none that can be read: not a finished backup, or a file made elsewhere"],
    ["trouble", one.trouble],
    ["proved", proof ? `${proof.provedAt} on ${proof.serverVersion}: ${proof.compared.join(", ")}` : "not yet"],
  ];
  return [
    ...columns(lines.flatMap(([what, text]) => (text === undefined ? [] : [[what, visibleName(text)]]))),
    "",
    ...(await tablesOf(job, one, manifest)),
    "",
    ...restoreCommands(one, manifest),
  ].join("\n");
}

const factsOfManifest = (job: Job, name: string, manifest: Manifest): [string, string | undefined][] => [
  ["server", [manifest.serverVersion, manifest.identity?.server].filter(Boolean).join(", ")],
  ["made with", `${manifest.clientVersion}, backup_scripts ${manifest.programVersion}, on ${manifest.host}`],
  ["site", manifest.site],
  ["sha256", manifest.sha256],
  ["encrypted to", manifest.encryptedTo?.join(", ")],
  ["signed", signatureText(name, manifest, job.settings.MANIFEST_KEY)],
  ...(manifest.suspicious ?? []).map((text): [string, string] => ["suspicious", text]),
];

/** Nobody can check a signature without the key. */
function signatureText(name: string, manifest: Manifest, keys: ManifestKeys): string {
  if (keys === undefined) return manifest.signature === undefined ? "no" : "yes (not checked: MANIFEST_KEY is not set)";
  const doubt = doubtOf(name, manifest, keys);
  return doubt ? `no, so it is not restored by itself: ${doubt.why}` : "yes";
}

async function tablesOf(job: Job, { name, stored }: ReadBackup, manifest: Manifest | undefined): Promise<string[]> {
  if (stored.backup.database === serverRoles) return ["tables: none, these are the server's roles"];
  const { tables } = manifest ?? {};
  if (tables === undefined) return ["tables: the manifest does not list them"];
  try {
    const known = await openJson(tables, keysFrom(job), `the tables in ${name}.json`);
    const rows = Object.entries(known as Record<string, number>);
    return columns([
      ["table", "rows"],
      ...rows.map(([table, count]) => [visibleName(table), count.toLocaleString("en")]),
    ]);
  } catch (error) {
    return [`tables: encrypted with the backup (${messageOf(error)})`];
  }
}

function restoreCommands({ name, copies }: ReadBackup, manifest: Manifest | undefined): string[] {
  const s3 = copies.every(({ place }) => place.shared) ? " --from-s3" : "";
  return [
    "restore it:",
    `  restore${s3} ${quote(name)}`,
    ...(manifest
      ? ["restore it without this program, in the folder of the file:", `  ${visibleName(manifest.restoreCommand)}`]
      : []),
    ...(manifest && s3 && !isSigned(manifest)
      ? ["(read that command before you run it: whoever can write to the bucket can have written it)"]
      : []),
  ];
}
