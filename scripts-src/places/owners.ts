/** Whose the backups of a place are, by their manifests. */
import { type Identity, originIn, type Owner, ownerOf } from "../archive/identity.ts";
import { largestManifest, type ManifestKeys } from "../archive/manifest.ts";
import { manifestName, proofName } from "../archive/name.ts";
import { parseProof } from "../archive/proof.ts";
import { isSignedWith } from "../archive/signature.ts";
import { renaming } from "../archive/trust.ts";
import { together } from "../storage/together.ts";
import type { Place, Stored } from "./place.ts";

/** A backup with what its manifest says of its origin. */
export type Owned<T extends Stored = Stored> = T & {
  identity: Identity | undefined;
  owner: Owner;
  /** Its manifest says so. */
  suspicious: boolean;
  /** In a bucket: its manifest is that of another backup. Why, for people. */
  renamed?: string | undefined;
  /** Why its manifest could not be read. */
  error?: unknown;
};

const limits = { atOnce: 32, budget: Infinity, cost: () => 0 };

/**
 * Reads the manifests of these backups, and compares them with the present identity. With `keys` a manifest that is not signed says
 * nothing: else somebody could make the newest backup pass for another server's. A proof counts when it is of this backup and signed
 * with one of `proofKeys`. Does not throw.
 */
export async function readOwners<T extends Stored>(
  place: Place,
  backups: readonly T[],
  present: Identity | undefined,
  keys?: ManifestKeys,
  proofKeys = keys,
): Promise<Owned<T>[]> {
  const owned: Owned<T>[] = [];
  await together([...backups.entries()], limits, async ([index, backup]) => {
    owned[index] = await readOwner(place, backup, present, { keys, proofKeys });
  });
  return owned;
}

async function readOwner<T extends Stored>(
  place: Place,
  backup: T,
  present: Identity | undefined,
  { keys, proofKeys }: Record<"keys" | "proofKeys", ManifestKeys>,
): Promise<Owned<T>> {
  if (!backup.committed) return { ...backup, identity: undefined, owner: "unknown", suspicious: false };
  try {
    const manifest = await readStart(place.read(manifestName(backup.name)));
    const origin = originIn(keys && !isSignedWith(manifest, keys) ? "" : manifest.toString());
    const { identity, suspicious } = origin;
    // in a folder its owner may rename; with keys a restore refuses it, loudly
    const renamed = place.shared && !keys ? renaming(backup.name, origin) : undefined;
    const proved = backup.proved && (await isProof(place, backup.name, origin.sha256, proofKeys));
    return { ...backup, identity, owner: ownerOf(identity, present), suspicious, renamed, proved };
  } catch (error) {
    return { ...backup, identity: undefined, owner: "unknown", suspicious: false, error };
  }
}

/** Whether the proof is of this backup, and, with keys, signed: its name alone proves nothing. */
async function isProof(place: Place, name: string, sha256: string | undefined, keys: ManifestKeys): Promise<boolean> {
  const proof = parseProof(await readStart(place.read(proofName(name))), keys);
  return proof !== undefined && proof.sha256 === sha256;
}

async function readStart(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const blocks: Uint8Array[] = [];
  let bytes = 0;
  for await (const block of source) {
    blocks.push(block);
    bytes += block.byteLength;
    if (bytes > largestManifest) break;
  }
  return Buffer.concat(blocks);
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
