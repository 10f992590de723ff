/** Whose backup it is: several servers can write backups of databases of one name to one place. */
import { z } from "zod";

/** What a manifest says of its origin. */
export const identitySchema = z.lazy(() =>
  z.looseObject({
    /** What tells the server from every other one; absent where the server does not say. */
    system: z.string().optional(),
    /** Host and port: `db.example.com:5432`. */
    server: z.string(),
    /** SITE_NAME, or the host name. */
    site: z.string(),
    /** Whether SITE_NAME was set by hand. */
    siteIsSet: z.boolean(),
  }),
);

export type Identity = z.infer<typeof identitySchema>;

/** `unknown`: one of the two does not say enough, as in files of version 0.1. */
export type Owner = "ours" | "other" | "unknown";

/**
 * Compares the origin of a backup with the present one. SITE_NAME counts where both have set it by hand; else the server's own
 * identity does. A server that was moved keeps its backups when SITE_NAME is set: then a different system proves nothing.
 */
export function ownerOf(backup: Identity | undefined, present: Identity | undefined): Owner {
  if (!backup || !present) return "unknown";
  if (backup.siteIsSet && present.siteIsSet) return backup.site === present.site ? "ours" : "other";
  if (backup.system === undefined || present.system === undefined) return "unknown";
  if (backup.system === present.system) return "ours";
  return backup.siteIsSet || present.siteIsSet ? "unknown" : "other";
}

/** Like `ownerOf`, for deletions: two different systems are two servers, even when only one of them has set SITE_NAME. */
export function strictOwnerOf(backup: Identity | undefined, present: Identity | undefined): Owner {
  const bothSay = backup?.system !== undefined && present?.system !== undefined;
  const owner = ownerOf(backup, present);
  return owner === "unknown" && bothSay ? "other" : owner;
}

/** What is read of a manifest whatever else is wrong with it, or was added by a later version. */
const originSchema = z.lazy(() =>
  z.looseObject({
    identity: identitySchema.optional().catch(undefined),
    /** Why it may have lost data. */
    suspicious: z.array(z.unknown()).catch([]),
    /** Of which database, and when. */
    database: z.string().optional().catch(undefined),
    startedAt: z.string().optional().catch(undefined),
    /** Size and checksum of the file. */
    bytes: z.number().optional().catch(undefined),
    sha256: z.string().optional().catch(undefined),
  }),
);

/** What a manifest's text says of where a backup comes from; undefined when it is none. Does not throw. */
export function originIn(manifest: string): z.infer<typeof originSchema> | undefined {
  try {
    return originSchema.safeParse(JSON.parse(manifest)).data;
  } catch {
    return undefined;
  }
}
