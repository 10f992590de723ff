/** Who we are: what manifests say of their origin, and what other manifests are compared with. */
import { hostname } from "node:os";
import type { Identity } from "../archive/identity.ts";
import { scriptLog } from "../base/log.ts";
import type { Connected } from "../database/database.ts";
import { openDatabase } from "../database/open.ts";
import { haveOneOrigin, readOwners } from "../places/owners.ts";
import { listBackups, type Place, type Stored } from "../places/place.ts";
import type { Settings } from "../settings/settings.ts";
import { siteOf } from "../settings/site.ts";

/** The identity of the server that a run works with. */
export const identityOf = (settings: Settings, { where, server }: Pick<Connected, "where" | "server">): Identity => ({
  ...(server.system !== undefined && { system: server.system }),
  server: addressIn(where),
  site: siteOf(settings),
  siteIsSet: settings.SITE_NAME !== undefined,
});

/** "postgresql:///app?host=/run/postgresql" is a server on this machine. */
const addressIn = (where: string): string => /^\w+:\/\/([^/]+)\//.exec(where)?.[1] ?? hostname();

/** How many local manifests are read for the last one that says whose it is. */
const manifestsRead = 100;

/**
 * The same where no server is asked: as the newest local manifests say, those first that name the server of the settings; undefined
 * when nothing is known. With `surely`, also what tells the servers apart is left out when those manifests are of several: somebody
 * may have put another server's backup into the folder to restore it. With `here` only those count that name the server of the settings.
 */
export async function identityWithoutServer(
  settings: Settings,
  local: Place,
  database: string | undefined,
  { surely = false, here = false } = {},
): Promise<Identity | undefined> {
  const newest = (await listBackups(local, database)).slice(-manifestsRead).toReversed();
  const address = addressOf(settings);
  const known = await (surely
    ? onlyOrigin(local, newest, address)
    : newestOrigin(local, newest, { address, elsewhere: !here }));
  const siteIsSet = settings.SITE_NAME !== undefined;
  if (!known && !siteIsSet) return undefined;
  return { server: hostname(), ...known, site: siteOf(settings), siteIsSet };
}

/** Of the newest that names the address, or else, with `elsewhere`, of the newest. Mostly the first that is read says it. */
async function newestOrigin(
  local: Place,
  newest: readonly Stored[],
  { address, elsewhere }: { address: string | undefined; elsewhere: boolean },
) {
  const known: Identity[] = [];
  for (const part of [newest.slice(0, 1), newest.slice(1)]) {
    known.push(...(await readOwners(local, part, undefined)).flatMap(({ identity }) => identity ?? []));
    const fitting = known.find(({ server }) => server === address);
    if (fitting) return fitting;
    if (elsewhere && address === undefined && known.length > 0) break;
  }
  return elsewhere ? known[0] : undefined;
}

/** The same, undefined where they are of several servers. */
async function onlyOrigin(local: Place, newest: readonly Stored[], address: string | undefined) {
  const all = (await readOwners(local, newest, undefined)).filter(({ identity }) => identity);
  const fitting = all.filter(({ identity }) => identity?.server === address);
  const origins = fitting.length > 0 ? fitting : all;
  return haveOneOrigin(origins) ? origins[0]?.identity : undefined;
}

/** Host and port of the server that the settings name; undefined when they name none. */
function addressOf(settings: Settings): string | undefined {
  try {
    return addressIn(openDatabase(settings, { log: scriptLog(), signal: new AbortController().signal }).where);
  } catch {
    return undefined;
  }
}
