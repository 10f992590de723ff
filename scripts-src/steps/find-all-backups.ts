/** Everything there is: the backups in BACKUP_DIR and in S3, each once, with what their manifests and proofs say. */
import type { Identity } from "../archive/identity.ts";
import { type ManifestKeys, sizeFault } from "../archive/manifest.ts";
import { messageOf } from "../base/errors.ts";
import { type Owned, readOwners } from "../places/owners.ts";
import { listBackups, oldestFirst, type Place, type Stored, type StoredFile } from "../places/place.ts";
import { type Candidate, isRead, planPrune, type Rule, whyDeleted } from "../places/retention.ts";
import type { Job } from "../run/script.ts";
import { eachOf } from "../storage/together.ts";
import { localPlace, remotePlace } from "./backup-folder.ts";
import { identityWithoutServer } from "./identity.ts";
import { rulesFrom } from "./prune.ts";

/** A backup in one place. */
export interface Copy {
  place: Place;
  stored: Stored;
  /** What retention will do with it there, and by which rule. */
  fate: { deleted: boolean; why: string };
  /** Who we are, as far as that is known without a server. */
  present: Identity | undefined;
}

export interface FoundBackup {
  name: string;
  stored: Stored;
  copies: Copy[];
}

/** A backup with what stands beside it. */
export interface ReadBackup extends FoundBackup, Pick<Owned, "owner" | "manifest" | "proof"> {
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
  const { S3_BUCKET, S3_PATH, MANIFEST_KEY: keys } = settings;
  const troubles: string[] = [];
  const local = listedOnce(localPlace(job), database);
  const remote =
    S3_BUCKET === undefined
      ? undefined
      : await remotePlace(job).then(
          (bucket) => listedOnce(bucket, database),
          (error: unknown) => void troubles.push(`s3://${S3_BUCKET}/${S3_PATH}: ${messageOf(error)}`),
        );
  const identities = new Map<string, Promise<Identity | undefined>>();
  const presentFor = (name: string) =>
    identities.getOrInsertComputed(name, () => identityWithoutServer(settings, name, local, remote));
  const seen = await Promise.all(
    [local, ...(remote ? [remote] : [])].map(async (place) => {
      const rules = rulesFrom(settings, place);
      try {
        const backups = await listBackups(place, database);
        return [{ place, copies: await judge(place, backups, { rules, keys, presentFor, all }) }];
      } catch (error) {
        troubles.push(messageOf(error));
        return [];
      }
    }),
  );
  job.signal.throwIfAborted();
  const found = seen.flat();
  return {
    backups: merge(found.flatMap(({ copies }) => copies)),
    places: found.map(({ place }) => place),
    troubles,
  };
}

/** A place whose files are listed once, however many databases there are. */
function listedOnce(place: Place, database: string | undefined): Place {
  let files: Promise<StoredFile[]> | undefined;
  return { ...place, list: () => (files ??= place.list(database)) };
}

interface Seeker {
  rules: readonly Rule[];
  keys: ManifestKeys;
  presentFor: (database: string) => Promise<Identity | undefined>;
  all: boolean;
}

/** What retention would do with each of these backups of one place. */
async function judge(place: Place, backups: readonly Stored[], { presentFor, all, ...wanted }: Seeker) {
  const exactly = new Set((all ? backups : backups.slice(-judgedExactly)).map(({ name }) => name));
  // the newest of each database decides whether retention is held
  for (const name of new Map(backups.map((one) => [one.backup.database, one.name])).values()) exactly.add(name);
  const mayRead = ({ name }: Candidate) => exactly.has(name);
  const copies: Copy[] = [];
  for (const [database, some] of Map.groupBy(backups, ({ backup }) => backup.database)) {
    const present = await presentFor(database);
    const { fates, refusal } = await planPrune(place, some, { ...wanted, present, mayRead });
    for (const { backup, kept } of fates) {
      const deleted = kept.length === 0 && refusal === undefined;
      const why = kept.length > 0 ? kept.join(", ") : (refusal ?? whyDeleted(wanted.rules));
      copies.push({ place, stored: backup, fate: { deleted, why }, present });
    }
  }
  return copies;
}

function merge(all: readonly Copy[]): FoundBackup[] {
  const found = new Map<string, FoundBackup>();
  for (const copy of all) {
    const { stored } = copy;
    found.getOrInsertComputed(stored.name, (name) => ({ name, stored, copies: [] })).copies.push(copy);
  }
  return [...found.values()].toSorted((a, b) => oldestFirst(b.stored, a.stored));
}

/** Reads manifests and proofs, 32 backups at a time. Does not throw. */
export const readBackups = (job: Job, found: readonly FoundBackup[]): Promise<ReadBackup[]> =>
  eachOf(found, (one) => readBackup(job, one));

async function readBackup({ settings, signal }: Job, one: FoundBackup): Promise<ReadBackup> {
  const { name, copies } = one;
  const read = async ({ place, stored, present }: Copy): Promise<Owned | undefined> =>
    // what was read to tell its fate is not read again
    isRead(stored)
      ? stored
      : (await readOwners(place, [stored], present, settings.MANIFEST_KEY, { toDelete: true }))[0];
  const [first, ...others] = copies.filter(({ stored }) => stored.committed);
  const owned = first && (await read(first));
  const { owner = "unknown", manifest, doubt, error } = owned ?? {};
  const provedElsewhere = owned?.proof ? undefined : others.find(({ stored }) => stored.proved);
  const other = provedElsewhere && (await read(provedElsewhere));
  signal.throwIfAborted();
  const proof = owned?.proof ?? (other?.manifest?.sha256 === manifest?.sha256 ? other?.proof : undefined);
  const faults = copies.flatMap(
    ({ place, stored }) => sizeFault(place.locate(name), stored.bytes, manifest)?.message ?? [],
  );
  const trouble = doubt === undefined ? (error ? messageOf(error) : faults[0]) : `restore refuses it: ${doubt}`;
  const isProved = doubt === undefined && faults.length < copies.length;
  return { ...one, owner, manifest, proof: isProved ? proof : undefined, trouble };
}
