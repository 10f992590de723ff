/** Restoring into PostgreSQL: beside the present database, or in place of what is in it. */
import type { Restoring } from "../restoring.ts";
import { removing } from "./cleaning.ts";
import type { Connection } from "./connection.ts";
import type { DumpContents } from "./contents.ts";
import { loadInPlace } from "./in-place.ts";
import { lockOnServer, openMaintenance } from "./maintenance.ts";
import { comparePlan, loadRules } from "./plan.ts";
import type { ServerInfo } from "./probe.ts";
import { checkLock } from "./clients.ts";
import { createScratch, dropLeftovers } from "./scratch.ts";
import { askTarget, type PostgresTarget } from "./target.ts";

/** Functions, checks and triggers of a dump run while it is loaded. */
const allRights =
  "the login is a superuser, so the SQL in this backup can do anything on the server, and no signature (MANIFEST_KEY) shows who made it. " +
  "If others can write to the place it comes from, restore as the owner of the database (DB_USER)";

/** The part of `Connected` that restores. */
export function openRestoring(serverInfo: ServerInfo, sessions: number): Restoring {
  const { connection: present, server, exists } = serverInfo;
  let maintenance: Promise<Connection | undefined> | undefined;
  let target: Promise<PostgresTarget> | undefined;
  const elsewhere = () => (maintenance ??= openMaintenance(present));
  const ask = async () => askTarget(present, { exists, maintenance: await elsewhere() });
  const state = () => (target ??= ask());

  return {
    async lock(purpose) {
      const place = await elsewhere();
      const lock = await lockOnServer(present, place, purpose);
      if (place) await dropLeftovers(place, { database: present.database, system: server.system, purpose });
      return lock;
    },
    target: () => (target = ask()),
    async plan(contents, _target, options) {
      checkLock(present.psql, options.trusted);
      const plan = comparePlan(contents as DumpContents, server, await state(), options);
      const { superuser } = await state();
      return { ...plan, warnings: [...plan.warnings, ...(superuser && !options.trusted ? [allRights] : [])] };
    },
    async createScratch(options) {
      const place = await elsewhere();
      if (!place) throw new Error("no other database to connect to, and no plan that said so");
      return createScratch(place, { serverInfo, sessions, options, target: await state() });
    },
    async loadInPlace(sql, contents, options) {
      checkLock(present.psql, options.trusted);
      const known = contents as DumpContents;
      const rules = loadRules(known, server, await state(), options, "in place");
      const prelude = removing(known, server.major, await state());
      return loadInPlace(sql, { connection: present, contents: known, rules, prelude });
    },
  };
}
