/** Who we are: what manifests say of their origin, and what other manifests are compared with. */
import { hostname } from "node:os";
import type { Identity } from "../archive/identity.ts";
import type { Connected } from "../database/database.ts";
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
