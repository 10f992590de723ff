/** Who we are: what manifests say of their origin, and what other manifests are compared with. */
import { hostname } from "node:os";
import type { Identity } from "../archive/identity.ts";
import type { ManifestKeys } from "../archive/manifest.ts";
import { scriptLog } from "../base/log.ts";
import type { Connected } from "../database/database.ts";
import { openDatabase } from "../database/open.ts";
import { haveOneOrigin, readOwners } from "../places/owners.ts";
import { listBackups, type Place } from "../places/place.ts";
import { type Settings, siteOf } from "../settings/settings.ts";

/** The identity of the server that a run works with. */
export const identityOf = (settings: Settings, { where, server }: Pick<Connected, "where" | "server">): Identity => ({
  ...(server.system !== undefined && { system: server.system }),
  server: addressIn(where),
  site: siteOf(settings),
  siteIsSet: settings.SITE_NAME !== undefined,
});

/** "postgresql:///app?host=/run/postgresql" is a server on this machine. */
const addressIn = (where: string): string => /^\w+:\/\/([^/]+)\//.exec(where)?.[1] ?? hostname();

/** How many manifests are read for the last one that says whose it is. */
const manifestsRead = 100;

/** What the newest manifests say of their origin, the newest first; mostly the first that is read says enough. Does not throw. */
async function* originsIn(place: Place, database: string | undefined, keys?: ManifestKeys) {
  const newest = (await listBackups(place, database).catch(() => [])).slice(-manifestsRead).toReversed();
  for (const part of [newest.slice(0, 1), newest.slice(1)])
    for (const { identity } of await readOwners(place, part, undefined, keys)) if (identity) yield { identity };
}

/**
 * The same where no server is asked: as the newest manifest says that names the server of the settings, a local one first; else as the
 * local ones say when all are of one server. Somebody may have put another server's backup into the folder to restore it: so what tells
 * servers apart is left out when they are of several. Undefined when nothing is known. Does not throw.
 */
export async function identityWithoutServer(
  settings: Settings,
  database: string | undefined,
  local: Place,
  remote?: Place,
): Promise<Identity | undefined> {
  const known = await knownOrigin(settings, database, local, remote);
  const siteIsSet = settings.SITE_NAME !== undefined;
  if (!known && !siteIsSet) return undefined;
  return { server: hostname(), ...known, site: siteOf(settings), siteIsSet };
}

async function knownOrigin(settings: Settings, database: string | undefined, local: Place, remote?: Place) {
  const address = addressOf(settings);
  const others: { identity: Identity }[] = [];
  for await (const origin of originsIn(local, database)) {
    if (origin.identity.server === address) return origin.identity;
    others.push(origin);
  }
  if (others[0] && haveOneOrigin(others)) return others[0].identity;
  if (remote && address !== undefined)
    for await (const { identity } of originsIn(remote, database, settings.MANIFEST_KEY))
      if (identity.server === address) return identity;
  return undefined;
}

/** Host and port of the server that the settings name; undefined when they name none. */
function addressOf(settings: Settings): string | undefined {
  try {
    return addressIn(openDatabase(settings, { log: scriptLog(), signal: new AbortController().signal }).where);
  } catch {
    return undefined;
  }
}
