/** Judges a new backup by the last one that was not suspicious. */
import { z } from "zod";
import type { Identity } from "../archive/identity.ts";
import type { ManifestKeys } from "../archive/manifest.ts";
import type { Weighed } from "../archive/suspicion.ts";
import { doubtOf } from "../archive/trust.ts";
import type { Logger } from "../base/log.ts";
import { keep, readKept } from "../base/replace-file.ts";
import { newestOfOurs } from "../places/choose.ts";
import { manifestOf, newestGood, type Place, type Stored } from "../places/place.ts";

interface Known {
  /** BACKUP_DIR. */
  local: Place;
  database: string;
}

/** A backup that others are compared with. */
type Normal = Weighed & { name: string };

/**
 * The last backup of ours that was not suspicious, as far as it can be read. Whoever can write to the bucket could make a shrunken backup look
 * normal there, so with `manifestKeys` it counts only when it is signed. Does not throw.
 */
export async function findNormal(
  { local, database }: Known,
  identity: Identity,
  places: readonly { place: Place; backups: Stored[] }[],
  manifestKeys: ManifestKeys,
): Promise<Normal | undefined> {
  const found = await Promise.all(
    places.map(async ({ place, backups }) => {
      const keys = place.shared ? manifestKeys : undefined;
      const normal = await newestOfOurs(place, backups, identity, keys, ({ suspicious }) => !suspicious);
      return normal ? [{ ...normal, place, keys }] : [];
    }),
  );
  const normal = newestGood(found.flat());
  const manifest = normal && (await manifestOf(normal.place, normal.name, normal.keys).catch(() => undefined));
  if (!manifest || doubtOf(normal.name, manifest, { manifestKeys: normal.keys })) return undefined;
  const { tables } = manifest;
  return {
    ...manifest,
    name: normal.name,
    tables: typeof tables === "string" ? countsOf(local, database, normal.name) : tables,
  };
}

/** Rows of the tables of backups, by their names. */
const schema = z.record(z.string(), z.record(z.string(), z.int()));
const countsFile = (local: Place, database: string) => local.locate(`.${encodeURIComponent(database)}.counts.json`);

/** Rows of the tables of an encrypted backup, which its manifest shows to nobody here; undefined when they were not kept. */
const countsOf = (local: Place, database: string, name: string): Record<string, number> | undefined =>
  readKept(countsFile(local, database), schema)?.[name];

/** Keeps the rows of an encrypted backup, once it is finished, to judge the next by. */
export const keepCounts = (
  { local, database }: Known,
  { name, tables }: Required<Pick<Normal, "name" | "tables">>,
  log: Logger,
): void =>
  keep(countsFile(local, database), { [name]: tables }, "the rows of this backup, to judge the next one by,", log);
