/** Who we are: what manifests say of their origin, and what other manifests are compared with. */
import { hostname } from "node:os";
import type { Identity } from "../archive/identity.ts";
import type { Connected } from "../database/database.ts";
import { readOwners } from "../places/owners.ts";
import { listBackups, type Place } from "../places/place.ts";
import type { Settings } from "../settings/settings.ts";
import { siteOf } from "../settings/site.ts";

/** The identity of the server that a run works with. */
export const identityOf = (settings: Settings, { where, server }: Pick<Connected, "where" | "server">): Identity => ({
  ...(server.system !== undefined && { system: server.system }),
  // "postgresql:///app?host=/run/postgresql" is a server on this machine
  server: /^\w+:\/\/([^/]+)\//.exec(where)?.[1] ?? hostname(),
  site: siteOf(settings),
  siteIsSet: settings.SITE_NAME !== undefined,
});

/** How many local manifests are read for the last one that says whose it is. */
const manifestsRead = 100;

/** The same where no server is asked: as the newest local manifests say; undefined when nothing is known. */
export async function identityWithoutServer(
  settings: Settings,
  local: Place,
  database: string | undefined,
): Promise<Identity | undefined> {
  const newest = (await listBackups(local, database)).slice(-manifestsRead).toReversed();
  const known = (await readOwners(local, newest, undefined)).find(({ identity }) => identity)?.identity;
  const siteIsSet = settings.SITE_NAME !== undefined;
  if (!known && !siteIsSet) return undefined;
  return { server: hostname(), ...known, site: siteOf(settings), siteIsSet };
}
