/** Who we are: what manifests say of their origin, and what other manifests are compared with. */
import { hostname } from "node:os";
import type { Identity } from "../archive/identity.ts";
import type { ManifestKeys } from "../archive/manifest.ts";
import { scriptLog } from "../base/log.ts";
import type { Connected } from "../database/database.ts";
import { openDatabase } from "../database/open.ts";
import { haveOneOrigin, readOwners } from "../places/owners.ts";
import { listBackups, type Place } from "../places/place.ts";
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

/** How many manifests are read for the last one that says whose it is. */
const manifestsRead = 100;

/** What the newest manifests say of their origin, the newest first; mostly the first that is read says enough. Does not throw. */
async function* originsIn(place: Place, database: string | undefined, keys?: ManifestKeys): AsyncGenerator<Identity> {
  const newest = (await listBackups(place, database).catch(() => [])).slice(-manifestsRead).toReversed();
  for (const part of [newest.slice(0, 1), newest.slice(1)])
    for (const { identity } of await readOwners(place, part, undefined, keys)) if (identity) yield identity;
}

/**
 * The same where no server is asked: as the newest local manifests say, those first that name the server of the settings; else as those in
 * S3 say that name it. Undefined when nothing is known. Does not throw.
 */
export async function identityWithoutServer(
  settings: Settings,
  database: string | undefined,
  local: Place,
  remote?: Place,
): Promise<Identity | undefined> {
  const address = addressOf(settings);
  const { fitting, newest } = await firstOf(originsIn(local, database), address);
  const known = fitting ?? newest;
  if (known || !remote || address === undefined) return withSite(settings, known);
  return withSite(settings, (await firstOf(originsIn(remote, database, settings.MANIFEST_KEY), address)).fitting);
}

/** The newest that names the address, and the newest of all. */
async function firstOf(origins: AsyncIterable<Identity>, address: string | undefined) {
  let newest: Identity | undefined;
  for await (const origin of origins) {
    newest ??= origin;
    if (address === undefined) break;
    if (origin.server === address) return { newest, fitting: origin };
  }
  return { newest };
}

/**
 * As far as the local manifests leave no doubt: without what tells the servers apart when they are of several. Somebody may have put
 * another server's backup into the folder to restore it.
 */
export async function identityWithoutDoubt(
  settings: Settings,
  database: string | undefined,
  local: Place,
): Promise<Identity | undefined> {
  const all = await Array.fromAsync(originsIn(local, database), (identity) => ({ identity }));
  const address = addressOf(settings);
  const fitting = all.filter(({ identity }) => identity.server === address);
  const origins = fitting.length > 0 ? fitting : all;
  return withSite(settings, haveOneOrigin(origins) ? origins[0]?.identity : undefined);
}

function withSite(settings: Settings, known: Identity | undefined): Identity | undefined {
  const siteIsSet = settings.SITE_NAME !== undefined;
  if (!known && !siteIsSet) return undefined;
  return { server: hostname(), ...known, site: siteOf(settings), siteIsSet };
}

/** Host and port of the server that the settings name; undefined when they name none. */
function addressOf(settings: Settings): string | undefined {
  try {
    return addressIn(openDatabase(settings, { log: scriptLog(), signal: new AbortController().signal }).where);
  } catch {
    return undefined;
  }
}
