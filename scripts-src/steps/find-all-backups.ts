/** Everything there is: the backups in BACKUP_DIR and in S3, each once, with what their manifests and proofs say. */
import { type Identity, type Owner, ownerOf } from "../archive/identity.ts";
import { keysFrom } from "../archive/keys.ts";
import type { Manifest } from "../archive/manifest.ts";
import { proofName } from "../archive/name.ts";
import { parseProof, type Proof } from "../archive/proof.ts";
import { messageOf } from "../base/errors.ts";
import { inBucket } from "../places/bucket.ts";
import { inFolder } from "../places/folder.ts";
import { findBackups, oldestFirst, type Place, type Stored, type StoredFile } from "../places/place.ts";
import { planPrune } from "../places/prune.ts";
import { type Rule, whyDeleted } from "../places/retention.ts";
import type { Job } from "../run/script.ts";
import { openStorage } from "../storage/open.ts";
import { together } from "../storage/together.ts";
import { backupFolder } from "./backup-folder.ts";
import { identityWithoutServer } from "./identity.ts";
import { rulesFrom } from "./prune.ts";

/** A backup in one place. */
export interface Copy {
  place: Place;
  stored: Stored;
  /** What retention will do with it there, and by which rule. */
  fate: { deleted: boolean; why: string };
}

export interface FoundBackup {
  name: string;
  stored: Stored;
  copies: Copy[];
  /** Who we are, as far as that is known without a server. */
  present: Identity | undefined;
}

/** A backup with what stands beside it. */
export interface ReadBackup extends FoundBackup {
  manifest: Manifest | undefined;
  proof: Proof | undefined;
  owner: Owner;
  /** Why its manifest could not be read. */
  trouble: string | undefined;
}

export interface Found {
  /** Newest first. */
  backups: FoundBackup[];
  /** Places that were listed. */
  places: Place[];
  /** Places that could not be listed, each with the cause. */
  troubles: string[];
}

/** Lists the places; `database` alone, or every database. */
export async function findAllBackups(job: Job, database: string | undefined): Promise<Found> {
  const local = inFolder(backupFolder(job));
  const looks = [look(local, rulesFrom(job.settings, "LOCAL"), job, database)];
  const { S3_BUCKET, S3_PATH } = job.settings;
  if (S3_BUCKET !== undefined)
    looks.push(
      openStorage(job.settings, job)
        .then((storage) => look(inBucket(storage), rulesFrom(job.settings, "BACKUP"), job, database))
        .catch((error: unknown) => ({ trouble: `s3://${S3_BUCKET}/${S3_PATH}: ${messageOf(error)}` })),
    );
  const seen = await Promise.all(looks);
  job.signal.throwIfAborted();
  return {
    backups: merge(seen.flatMap((one) => ("copies" in one ? one.copies : []))),
    places: seen.flatMap((one) => ("place" in one ? [one.place] : [])),
    troubles: seen.flatMap((one) => ("trouble" in one ? [one.trouble] : [])),
  };
}

type Judged = Copy & Pick<FoundBackup, "present">;
type Seen = { place: Place; copies: Judged[] } | { trouble: string };

async function look(place: Place, rules: readonly Rule[], job: Job, database: string | undefined): Promise<Seen> {
  try {
    const files = await place.list(database);
    const names = database === undefined ? databasesIn(files) : [database];
    const copies = await Promise.all(names.map((name) => judge(place, files, rules, job, name)));
    return { place, copies: copies.flat() };
  } catch (error) {
    return { trouble: messageOf(error) };
  }
}

const databasesIn = (files: readonly StoredFile[]): string[] => [
  ...new Set(findBackups(files).map(({ backup }) => backup.database)),
];

/** The backups of one database in a place, each with its fate. */
async function judge(place: Place, files: readonly StoredFile[], rules: readonly Rule[], job: Job, database: string) {
  const present = await identityWithoutServer(job.settings, inFolder(backupFolder(job)), database);
  const { fates, refusal } = await planPrune(place, files, {
    database,
    rules,
    present,
    proofKeys: job.settings.MANIFEST_KEY,
  });
  return fates.map(({ backup, kept }) => {
    const deleted = kept.length === 0 && refusal === undefined;
    const why = kept.length > 0 ? kept.join(", ") : (refusal ?? whyDeleted(rules));
    return { place, stored: backup, fate: { deleted, why }, present };
  });
}

function merge(copies: readonly Judged[]): FoundBackup[] {
  const groups = [...Map.groupBy(copies, ({ stored }) => stored.name)];
  return groups
    .flatMap(([name, all]) => {
      const [first] = all;
      return first ? [{ name, stored: first.stored, copies: all, present: first.present }] : [];
    })
    .toSorted((a, b) => oldestFirst(b.stored, a.stored));
}

const limits = { atOnce: 32, budget: Infinity, cost: () => 0 };

/** Reads manifests and proofs, 32 backups at a time. Does not throw. */
export async function readBackups(job: Job, found: readonly FoundBackup[]): Promise<ReadBackup[]> {
  const read: ReadBackup[] = [];
  await together([...found.entries()], limits, async ([index, one]) => {
    read[index] = await readBackup(job, one);
  });
  return read;
}

async function readBackup(job: Job, one: FoundBackup): Promise<ReadBackup> {
  const keys = keysFrom(job).manifestKeys;
  const copy = one.copies.find(({ stored }) => stored.committed);
  const proved = one.copies.find(({ stored }) => stored.proved);
  try {
    const manifest = await copy?.place.manifest(one.name, keys);
    const content = proved && Buffer.concat(await Array.fromAsync(proved.place.read(proofName(one.name))));
    const proof = content && parseProof(content, keys);
    const fits = proof && (manifest === undefined || proof.sha256 === manifest.sha256);
    const owner = ownerOf(manifest?.identity, one.present);
    return { ...one, manifest, owner, proof: fits ? proof : undefined, trouble: undefined };
  } catch (error) {
    job.signal.throwIfAborted();
    return { ...one, manifest: undefined, owner: "unknown", proof: undefined, trouble: messageOf(error) };
  }
}
