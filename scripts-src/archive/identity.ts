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

interface Origin {
  identity: Identity | undefined;
  suspicious: boolean;
  /** Of which database, and when. */
  database?: string;
  startedAt?: string;
  /** Of the file. */
  sha256?: string;
}

/** What a manifest's text says of the backup's origin, and whether it is suspicious. Does not throw. */
export function originIn(manifest: string): Origin {
  try {
    const said = Object(JSON.parse(manifest)) as Record<string, unknown>;
    const { identity, suspicious, database, startedAt, sha256 } = said;
    return {
      ...(typeof database === "string" && typeof startedAt === "string" && { database, startedAt }),
      ...(typeof sha256 === "string" && { sha256 }),
      identity: identitySchema.safeParse(identity).data,
      suspicious: Array.isArray(suspicious) && suspicious.length > 0,
    };
  } catch {
    return { identity: undefined, suspicious: false };
  }
}
