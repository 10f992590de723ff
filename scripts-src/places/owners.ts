/** Whose the backups of a place are, by their manifests. */
import { damaged } from "../archive/damaged.ts";
import { type Identity, originIn, type Owner, ownerOf } from "../archive/identity.ts";
import { type ManifestKeys, sizeFault } from "../archive/manifest.ts";
import { manifestName } from "../archive/name.ts";
import { isSignedWith } from "../archive/signature.ts";
import { renaming } from "../archive/trust.ts";
import { Failure } from "../base/errors.ts";
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
};

/**
 * Reads the manifests of these backups, and compares them with the present identity. With `keys` a manifest that is not signed says
 * nothing: else somebody could make the newest backup pass for another server's. A proof counts when it is of this backup and signed
 * with one of `proofKeys`. Does not throw.
 */
export function readOwners<T extends Stored>(
  place: Place,
  backups: readonly T[],
  present: Identity | undefined,
  keys?: ManifestKeys,
  proofKeys = keys,
): Promise<Owned<T>[]> {
  return eachOf(backups, (backup) => readOwner(place, backup, present, { keys, proofKeys }));
}

async function readOwner<T extends Stored>(
  place: Place,
  backup: T,
  present: Identity | undefined,
  { keys, proofKeys }: Record<"keys" | "proofKeys", ManifestKeys>,
): Promise<Owned<T>> {
  const { name } = backup;
  const unknown = { ...backup, identity: undefined, owner: "unknown", suspicious: false } as const;
  if (!backup.committed) return unknown;
  try {
    const path = place.locate(manifestName(name));
    const content = await place.load(manifestName(name));
    if (!content) throw new Failure(`${path} was deleted meanwhile`);
    if (keys && !isSignedWith(content, keys)) return unknown;
    const origin = originIn(content.toString());
    if (!origin) throw damaged(`manifest ${path}`, "it is cut short, or no manifest");
    const { identity, suspicious, sha256 } = origin;
    return {
      ...backup,
      identity,
      owner: ownerOf(identity, present),
      suspicious: suspicious.length > 0,
      // in a folder its owner may rename; with keys a restore refuses it, loudly
      renamed: place.shared && !keys ? renaming(name, origin) : undefined,
      // its name alone proves nothing
      proved: backup.proved && (await proofOf(place, name, proofKeys))?.sha256 === (sha256 ?? ""),
      error: sizeFault(place.locate(name), backup.bytes, origin),
    };
  } catch (error) {
    return { ...unknown, error };
  }
}

/** Whether none of them is known to come from another server than the rest. */
export function haveOneOrigin(owned: readonly Owned[]): boolean {
  const known = owned.find(({ identity }) => identity)?.identity;
  return owned.every(({ identity }) => ownerOf(identity, known) !== "other");
}

/**
 * Whether backups that do not say whose they are count as ours: always in a folder; in a bucket, which servers may share, only
 * as long as nobody else's are known to be there.
 */
export const unknownIsOurs = (place: Pick<Place, "shared">, owned: readonly Owned[]): boolean =>
  !place.shared || (owned.every(({ owner }) => owner !== "other") && haveOneOrigin(owned));
