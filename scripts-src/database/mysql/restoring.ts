/** What MySQL and MariaDB do for a restore. */
import type { Restoring } from "../restoring.ts";
import { release } from "./clients.ts";
import { everywhere, inDatabase, type Place } from "./connection.ts";
import type { DumpContents } from "./contents.ts";
import { undo } from "./exchange.ts";
import { loadInPlace } from "./in-place.ts";
import { lockPurpose } from "./locks.ts";
import type { ServerInfo } from "./probe.ts";
import { recover } from "./recover.ts";
import { planRestore } from "./plan.ts";
import { askTarget, type MysqlTarget } from "./target.ts";
import { createScratch, exchanged } from "./scratch.ts";
import { sessionSettings } from "./session-settings.ts";

/** Asks which settings the user may change. Throws `Failure`. */
async function placeOf({ connection, kind, grants }: ServerInfo): Promise<Place> {
  const way = inDatabase(connection, everywhere);
  return {
    ...way,
    settings: await sessionSettings(way),
    database: connection.target.database,
    where: connection.target.where,
    isSystemUser: grants.hasGlobally("SYSTEM_USER"),
    locks: kind.family === "mysql" && release(kind) >= 8_000 && grants.has("LOCK TABLES"),
  };
}

export function restoringOf(serverInfo: ServerInfo): Restoring {
  let known: Promise<Place> | undefined;
  const place = () => (known ??= placeOf(serverInfo));
  return {
    async lock(purpose) {
      await using lock = new AsyncDisposableStack();
      lock.use(await lockPurpose(await place(), purpose));
      await recover(await place(), purpose);
      return lock.move();
    },
    target: async () => askTarget(await place(), serverInfo.grants),
    plan: async (contents, target, options) =>
      planRestore(serverInfo, await place(), contents as DumpContents, target as MysqlTarget, options),
    undo: async (before) => exchanged(await place(), await undo(await place(), before)),
    createScratch: async (options) => createScratch(await place(), serverInfo, options),
    loadInPlace: async (sql, contents, options) =>
      loadInPlace(await place(), serverInfo, sql, contents as DumpContents, options),
  };
}
