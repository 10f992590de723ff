/** MySQL and MariaDB: their dump programs and clients behind the interface of a database engine. */
import type { Settings } from "../../settings/settings.ts";
import { Failure } from "../../base/errors.ts";
import type { Connected, Contents, Database, DatabaseContext } from "../database.ts";
import { comparing } from "./fingerprint.ts";
import { connectionFrom } from "./connection.ts";
import { listDatabases } from "./databases.ts";
import type { DumpContents } from "./contents.ts";
import { checkSight, dump, noteFloats, stockRestore } from "./dump.ts";
import { dumpOptionsFrom } from "./dump-options.ts";
import { dumpReader } from "./examine.ts";
import { loadInPlace } from "./in-place.ts";
import { lockRestore } from "./locks.ts";
import { placeOf } from "./restoring.ts";
import { checkListed, type Listed, listObjects } from "./listed.ts";
import { comparePlan } from "./plan.ts";
import { probe } from "./probe.ts";
import { askTarget } from "./state.ts";

const noBeside = "MySQL and MariaDB have no other way here";

/** Connects to nothing yet. Throws `Failure` with status 2 when the settings do not name a database. */
export function openMysql(settings: Settings, context: DatabaseContext): Database {
  const connection = connectionFrom(settings, context);
  const options = dumpOptionsFrom(settings.DB_DUMP_OPTIONS);
  const { target } = connection;
  const database = {
    engine: target.family,
    takes: ["mysql", "mariadb"],
    name: target.database,
    where: target.where,
    atomicLoad: false,
    reader: dumpReader,
    comparing,
  } as const;

  async function connect(): Promise<Connected> {
    const contact = await probe(connection);
    let listed: Listed = new Map();
    const compare = async (contents: Contents, noOwner: boolean) =>
      comparePlan(contents as DumpContents, contact, await askTarget(connection, contact), {
        database: target.database,
        noOwner,
      });
    return {
      ...database,
      engine: contact.kind.family,
      server: contact.server,
      databases: () => listDatabases(connection, contact.client),
      async checkReading() {
        checkSight(contact, options, target.database);
        await noteFloats(connection, contact);
      },
      async *dump() {
        listed = await listObjects(connection, contact.client);
        yield* dump(connection, contact, options);
      },
      checkDumped: (contents) => checkListed(connection, contact.client, contents as DumpContents, listed, options),
      stockRestore: (file, compression) => stockRestore(file, compression, target.database, contact),
      exists: true,
      lock: async (purpose) =>
        purpose === "restore"
          ? lockRestore(await placeOf(connection, contact))
          : { [Symbol.asyncDispose]: () => Promise.resolve() },
      async target() {
        const { tables, views, programs, sessions } = await askTarget(connection, contact);
        const empty = tables.length + views.length + programs.length === 0;
        const { dataBytes } = contact.server;
        const rows = new Map(tables.map((table) => [table, 0]));
        return {
          exists: true,
          empty,
          tables: rows,
          sessions,
          dataBytes,
          earlier: [],
          unproven: [],
          freeBytes: undefined,
        };
      },
      async plan(contents, _target, { noOwner }) {
        const { problems, warnings } = await compare(contents, noOwner);
        const createProblems = [noBeside];
        return {
          problems,
          warnings,
          createProblems,
          besideProblems: [],
          inPlaceProblems: [],
          fillsEmpty: true,
        };
      },
      createScratch: () => Promise.reject(new Failure(noBeside)),
      async loadInPlace(sql, contents, { noOwner }) {
        const { rules } = await compare(contents, noOwner);
        await loadInPlace(await placeOf(connection, contact), contact, sql, contents as DumpContents, rules);
        return { rows: new Map(), warnings: [], skipped: [], leftOut: [] };
      },
    };
  }
  return { ...database, connect };
}
