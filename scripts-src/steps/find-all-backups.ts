/** Everything there is: the backups in BACKUP_DIR and in S3, each once, with what their manifests and proofs say. */
import { type Identity, type Owner, ownerOf } from "../archive/identity.ts";
import { keysFrom } from "../archive/keys.ts";
import { type Manifest, type ManifestKeys, sizeFault } from "../archive/manifest.ts";
import type { Proof } from "../archive/proof.ts";
import { doubtOf } from "../archive/trust.ts";
import { messageOf } from "../base/errors.ts";
import { inBucket } from "../places/bucket.ts";
import { inFolder } from "../places/folder.ts";
import {
  listBackups,
  manifestOf,
  oldestFirst,
  type Place,
  proofOf,
  type Stored,
  type StoredFile,
} from "../places/place.ts";
import { planPrune } from "../places/prune.ts";
import { type Candidate, type Rule, whyDeleted } from "../places/retention.ts";
import type { Job } from "../run/script.ts";
import { openStorage } from "../storage/open.ts";
import { eachOf } from "../storage/together.ts";
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

/** What is shown of a manifest: the rows of each table, which can be a large part of it, are not. */
type Shown = Pick<
  Manifest,
  "engine" | "serverVersion" | "site" | "identity" | "rows" | "suspicious" | "startedAt" | "endedAt"
>;

/** A backup with what stands beside it. */
export interface ReadBackup<M = Shown> extends FoundBackup {
  manifest: M | undefined;
  proof: Proof | undefined;
  owner: Owner;
  /** Why it, or a copy of it, cannot be restored, as far as listings and manifests show that. */
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

/** Of so many backups of a place, from the newest on, the manifests are read to tell their fates. */
const judgedExactly = 50;

/**
 * Lists the places; `database` alone, or every database. Without `all`, the fates of older backups are foretold as if all of them
 * were ours: otherwise every manifest had to be read.
 */
export async function findAllBackups(job: Job, database: string | undefined, all = false): Promise<Found> {
  const { settings } = job;
  const local = listedOnce(inFolder(backupFolder(job)));
  const identities = new Map<string, Promise<Identity | undefined>>();
  const seeker: Seeker = {
    database,
    exactly: all ? Infinity : judgedExactly,
    proofKeys: settings.MANIFEST_KEY,
    presentFor: (name) => identities.getOrInsertComputed(name, () => identityWithoutServer(settings, local, name)),
  };
  const looks = [look(local, rulesFrom(settings, "LOCAL"), seeker)];
  const { S3_BUCKET, S3_PATH } = settings;
  if (S3_BUCKET !== undefined)
    looks.push(
      openStorage(settings, job)
        .then((storage) => look(readOnce(inBucket(storage)), rulesFrom(settings, "BACKUP"), seeker))
        .catch((error: unknown) => ({ copies: [], trouble: `s3://${S3_BUCKET}/${S3_PATH}: ${messageOf(error)}` })),
    );
  const seen = await Promise.all(looks);
  job.signal.throwIfAborted();
  return {
    backups: merge(seen.flatMap(({ copies }) => copies)),
    places: seen.flatMap(({ place }) => place ?? []),
    troubles: seen.flatMap(({ trouble }) => trouble ?? []),
  };
}

type Judged = Copy & Pick<FoundBackup, "present">;
/** Without a place: why it could not be listed. */
type Seen = { place?: Place; copies: Judged[]; trouble?: string };

/** What both looks share. */
interface Seeker {
  database: string | undefined;
  exactly: number;
  /** MANIFEST_KEY: proofs must be signed with one of these. */
  proofKeys: ManifestKeys;
  presentFor(database: string): Promise<Identity | undefined>;
}

/** A folder whose files are listed once, however many databases there are. */
function listedOnce(place: Place): Place {
  let files: Promise<StoredFile[]> | undefined;
  return { ...place, list: () => (files ??= place.list()) };
}

/** Bytes: most manifests are smaller. */
const smallManifest = 8192;

/** A bucket in which a manifest that was read to tell a fate is read again, to be shown, without a request. */
function readOnce(bucket: Place): Place {
  const kept = new Map<string, Buffer>();
  return {
    ...bucket,
    async load(name) {
      const known = kept.get(name);
      if (kept.delete(name)) return known;
      const content = await bucket.load(name);
      if (content && content.length <= smallManifest) kept.set(name, content);
      return content;
    },
  };
}

async function look(place: Place, rules: readonly Rule[], seeker: Seeker): Promise<Seen> {
  try {
    const all = await listBackups(place, seeker.database);
    const exactly = new Set(all.slice(-seeker.exactly).map(({ name }) => name));
    // the newest of each database decides whether retention is held
    for (const name of new Map(all.map((one) => [one.backup.database, one.name])).values()) exactly.add(name);
    const copies: Judged[] = [];
    for (const [database, backups] of Map.groupBy(all, ({ backup }) => backup.database)) {
      const present = await seeker.presentFor(database);
      const mayRead = ({ name }: Candidate) => exactly.has(name);
      const wanted = { rules, present, mayRead, proofKeys: seeker.proofKeys };
      const { fates, refusal } = await planPrune(place, backups, wanted);
      for (const { backup, kept } of fates) {
        const deleted = kept.length === 0 && refusal === undefined;
        const why = kept.length > 0 ? kept.join(", ") : (refusal ?? whyDeleted(rules));
        copies.push({ place, stored: backup, fate: { deleted, why }, present });
      }
    }
    return { place, copies };
  } catch (error) {
    return { copies: [], trouble: messageOf(error) };
  }
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

/** Reads manifests and proofs, 32 backups at a time. Does not throw. */
export const readBackups = (job: Job, found: readonly FoundBackup[]): Promise<ReadBackup[]> =>
  eachOf(found, async (one) => {
    const { manifest, ...others } = await readBackup(job, one);
    return { ...others, manifest: manifest && shownOf(manifest) };
  });

const shownOf = ({ engine, serverVersion, site, identity, rows, suspicious, startedAt, endedAt }: Manifest): Shown => ({
  engine,
  serverVersion,
  site,
  identity,
  startedAt,
  endedAt,
  ...(rows !== undefined && { rows }),
  ...(suspicious && { suspicious }),
});

/** The same of one, with all that its manifest says. */
export async function readBackup(job: Job, one: FoundBackup): Promise<ReadBackup<Manifest>> {
  const keys = keysFrom(job);
  const copy = one.copies.find(({ stored }) => stored.committed);
  const proved = one.copies.find(({ stored }) => stored.proved);
  try {
    const manifest = copy && (await manifestOf(copy.place, one.name, keys.manifestKeys));
    const proof = proved && (await proofOf(proved.place, one.name, keys.manifestKeys));
    const faults = one.copies.flatMap(
      ({ place, stored }) => sizeFault(place.locate(one.name), stored.bytes, manifest)?.message ?? [],
    );
    const doubt = manifest && doubtOf(one.name, manifest, keys);
    const trouble = doubt ? `restore refuses it: ${doubt.why}` : faults[0];
    const isProved = proof && proof.sha256 === manifest?.sha256 && !doubt && faults.length < one.copies.length;
    const owner = ownerOf(manifest?.identity, one.present);
    return { ...one, manifest, owner, proof: isProved ? proof : undefined, trouble };
  } catch (error) {
    job.signal.throwIfAborted();
    return { ...one, manifest: undefined, owner: "unknown", proof: undefined, trouble: messageOf(error) };
  }
}
