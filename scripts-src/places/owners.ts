/** Whose the backups of a place are, and what else their manifests and proofs say. */
import { type Identity, originIn, type Owner, ownerOf, strictOwnerOf } from "../archive/identity.ts";
import {
  doubtOf,
  isSignedWith,
  type Manifest,
  type ManifestKeys,
  parseManifest,
  type Proof,
  renaming,
  sizeFault,
} from "../archive/manifest.ts";
import { manifestName } from "../archive/name.ts";
import { Damaged, damaged, Failure, messageOf } from "../base/errors.ts";
import { eachOf } from "../storage/together.ts";
import { type Place, proofOf, type Stored } from "./place.ts";

/** A backup with what its manifest says of its origin. */
export type Owned<T extends Stored = Stored> = T & {
  identity: Identity | undefined;
  owner: Owner;
  /** Its manifest says so. */
  suspicious: boolean;
  /** In a bucket: its manifest is that of another backup. Why, for people. */
  renamed?: string | undefined;
  /** It is damaged, or its manifest cannot be read: why. */
  error?: unknown;
  /** Why a restore refuses it, because MANIFEST_KEY is set. */
  doubt?: string | undefined;
  /** Without the rows of each table and the properties: they can be large. */
  manifest?: Manifest | undefined;
  proof?: Proof | undefined;
};

/**
 * Reads the manifests of these backups and their proofs, and compares their origin with the present identity. With `keys` a manifest
 * that is not signed says nothing: else somebody could make the newest backup pass for another server's. `toDelete`: an unsigned one counts,
 * too, and a backup that may be another server's counts as that server's. A proof counts when it is of this backup and signed with one
 * of the keys. Does not throw.
 */
export function readOwners<T extends Stored>(
  place: Place,
  backups: readonly T[],
  present: Identity | undefined,
  keys?: ManifestKeys,
  { toDelete = false } = {},
): Promise<Owned<T>[]> {
  return eachOf(backups, (backup) => readOwner(place, backup, present, { keys, toDelete }));
}

async function readOwner<T extends Stored>(
  place: Place,
  backup: T,
  present: Identity | undefined,
  { keys, toDelete }: { keys: ManifestKeys; toDelete: boolean },
): Promise<Owned<T>> {
  const { name } = backup;
  const unknown = { ...backup, identity: undefined, owner: "unknown", suspicious: false } as const;
  if (!backup.committed) return unknown;
  try {
    const path = place.locate(manifestName(name));
    const content = await place.load(manifestName(name));
    if (!content) throw new Failure(`${path} was deleted meanwhile`);
    const { manifest, origin, error } = parse(content, path, keys);
    const doubt = manifest && doubtOf(name, manifest, keys)?.why;
    if (keys && !toDelete && !isSignedWith(content, keys)) return { ...unknown, doubt: doubt ?? messageOf(error) };
    const proof = backup.proved ? await proofOf(place, name, keys) : undefined;
    // its name alone proves nothing
    const proved = proof !== undefined && proof.sha256 === origin.sha256;
    return {
      ...backup,
      identity: origin.identity,
      owner: (toDelete ? strictOwnerOf : ownerOf)(origin.identity, present),
      suspicious: (origin.suspicious ?? []).length > 0,
      // in a folder its owner may rename; with keys a restore refuses it, loudly
      renamed: place.shared && !keys ? renaming(name, origin) : undefined,
      error: error ?? sizeFault(place.locate(name), backup.bytes, origin),
      doubt,
      manifest: manifest && { ...manifest, tables: undefined, create: undefined },
      proved,
      proof: proved ? proof : undefined,
    };
  } catch (error) {
    return { ...unknown, error };
  }
}

/** A manifest that restore refuses as damaged, or of a later version, still says where the backup comes from. */
function parse(content: Buffer, path: string, keys: ManifestKeys) {
  try {
    const manifest = parseManifest(content, path, keys);
    return { manifest, origin: manifest };
  } catch (cause) {
    const origin = originIn(content.toString());
    if (!origin) throw damaged(`manifest ${path}`, "it is cut short, or no manifest");
    return { origin, error: new Damaged(messageOf(cause), { cause }) };
  }
}

/** Whether none of them is known to come from another server than the rest. */
export function haveOneOrigin(owned: readonly Pick<Owned, "identity">[]): boolean {
  const known = owned.find(({ identity }) => identity)?.identity;
  return owned.every(({ identity }) => strictOwnerOf(identity, known) !== "other");
}

/**
 * Whether backups that do not say whose they are count as ours: always in a folder; in a bucket, which servers may share, only
 * as long as nobody else's are known to be there. Where it is not known who we are, whoever's is there may be somebody else.
 */
export const unknownIsOurs = (
  place: Pick<Place, "shared">,
  owned: readonly Owned[],
  { weAreKnown = true } = {},
): boolean =>
  !place.shared ||
  (owned.every(({ owner, identity }) => owner !== "other" && (weAreKnown || !identity)) && haveOneOrigin(owned));

/** Why a backup is neither deleted nor counted as one of ours; `isOurs`: see `unknownIsOurs`. */
export function whyNotOurs({ error, owner, identity }: Partial<Owned>, isOurs: boolean): string | undefined {
  if (error) return "it is damaged, or its manifest cannot be read";
  if (owner === "other") return "a backup of another server";
  if (owner !== "unknown" || isOurs) return undefined;
  return identity ? "nothing here says that it is of this server" : "its manifest does not say whose it is";
}
