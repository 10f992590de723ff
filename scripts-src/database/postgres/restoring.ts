/** Restoring into PostgreSQL: beside the present database, or in place of what is in it. */
import { Failure } from "../../base/errors.ts";
import type { Exchanged, Restoring, Scratch, ScratchOptions } from "../restoring.ts";
import { removing } from "./cleaning.ts";
import type { Connection } from "./connection.ts";
import type { DumpContents } from "./contents.ts";
import { dump } from "./dump.ts";
import type { Ground } from "./ground.ts";
import { loadInPlace } from "./in-place.ts";
import { dropLeftovers } from "./leftovers.ts";
import { lockOnServer, openMaintenance } from "./maintenance.ts";
import { comparePlan, contentsToLoad, hasCron, loadRules } from "./plan.ts";
import type { ServerInfo } from "./probe.ts";
import { defaultProperties, propertiesOf, statementsFor } from "./properties.ts";
import { checkLock } from "./psql.ts";
import { createBeside } from "./scratch.ts";
import { askValue } from "./query.ts";
import { loadSpread } from "./spread.ts";
import { askTarget, type PostgresTarget } from "./target.ts";

/** Functions, checks and triggers of a dump run while it is loaded. */
const allRights =
  "the login is a superuser, so the SQL in this backup can do anything on the server, and no signature (MANIFEST_KEY) shows who made it. " +
  "If others can write to the place it comes from, restore as the owner of the database (DB_USER)";

interface Ways {
  /** How many sessions load side by side. */
  sessions: number;
  /** DB_DUMP_OPTIONS. */
  dumpOptions: string[];
}

/** The part of `Connected` that restores. */
export function openRestoring(serverInfo: ServerInfo, ways: Ways): Restoring {
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
      if (!place) throw noMaintenance(present);
      const { empty } = await state();
      const ground = { present, maintenance: place, system: server.system, exists, empty };
      return openScratch(ground, serverInfo, ways, { options, target: await state() });
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

async function openScratch(
  ground: Ground,
  { server, pgDump }: ServerInfo,
  { sessions, dumpOptions }: Ways,
  { options, target }: { options: ScratchOptions; target: PostgresTarget },
): Promise<Scratch> {
  const { present } = ground;
  const isProof = options.purpose === "verify";
  const { major } = server;
  const beside = await createBeside(ground, options, async (fresh) => {
    const asBefore = options.properties && statementsFor(fresh, options.properties, { major, exactly: false });
    const encoding = options.properties?.encoding;
    const given = typeof encoding === "string" ? encoding : undefined;
    const byDefault = defaultProperties(fresh, { encoding: given, serverEncoding: server.encoding });
    if (!ground.exists || isProof) return asBefore ?? byDefault;
    const asPresent = statementsFor(fresh, await propertiesOf(present), { major, exactly: true }) ?? byDefault;
    // one that somebody created for this restore keeps its encoding and locale: the server converts what is loaded
    return ground.empty && asBefore ? { ...asBefore, create: asPresent.create, otherwise: [] } : asPresent;
  });
  const { connection } = beside;
  let exchanged: Exchanged | undefined;
  return {
    name: connection.database,
    where: connection.where,
    async load(sql, contents, options) {
      checkLock(present.psql, options.trusted);
      const dump = contents as DumpContents;
      // pg_cron can only be created in the database that has its name for good: it gets it before it is filled
      if (!ground.exists && !options.asleep && hasCron(dump)) {
        exchanged = await beside.exchange();
        const rules = loadRules(dump, server, target, options, "in place");
        return loadInPlace(sql, { connection: present, contents: dump, rules, prelude: [] });
      }
      const known = contentsToLoad(dump, options);
      const rules = loadRules(dump, server, target, options, "beside");
      const prelude = known.schemas.has("public") && !rules.keptSchemas.has("public") ? ["DROP SCHEMA public;"] : [];
      const loading = { connection, contents: known, rules, prelude };
      return loadSpread(sql, loading, { sessions, keepGoing: options.keepGoing });
    },
    ask: (sql) => askValue(connection, sql),
    dump: () => dump(connection, pgDump, dumpOptions),
    exchange: async () => exchanged ?? beside.exchange(),
    keep: () => beside.keep(),
    [Symbol.asyncDispose]: beside.discard,
  };
}

const noMaintenance = ({ where }: Connection) =>
  new Failure(`no new database can be created beside ${where}: there is no other database to connect to`, {
    hints: ["allow the login to connect to the database postgres"],
  });
