/** MySQL and MariaDB: their dump programs and clients behind the interface of a database engine. */
import type { Settings } from "../../settings/settings.ts";
import type { Database, DatabaseContext } from "../database.ts";
import { connectionFrom } from "./connection.ts";
import type { DumpContents } from "./contents.ts";
import { checkSight, dump, stockRestore } from "./dump.ts";
import { dumpOptionsFrom } from "./dump-options.ts";
import { examine } from "./examine.ts";
import { load } from "./load.ts";
import { comparePlan, type MysqlPlan } from "./plan.ts";
import { type Contact, probe } from "./probe.ts";
import { askTarget } from "./state.ts";

/** Connects to nothing yet. Throws `Failure` with status 2 when the settings do not name a database. */
export function openMysql(settings: Settings, context: DatabaseContext): Database<DumpContents, MysqlPlan> {
  const connection = connectionFrom(settings, context);
  const options = dumpOptionsFrom(settings.DB_DUMP_OPTIONS);
  const { target } = connection;
  let found: Contact | undefined;
  const contact = (): Contact => {
    if (!found) throw new Error("probe() comes first");
    return found;
  };
  return {
    get engine() {
      return found?.kind.family ?? target.family;
    },
    takes: ["mysql", "mariadb"],
    name: target.database,
    where: target.where,
    atomicLoad: false,
    async probe() {
      found = await probe(connection);
      return found.server;
    },
    async checkReading() {
      checkSight(contact(), options, target.database);
    },
    dump: () => dump(connection, contact(), options),
    stockRestore: (file, compression) => stockRestore(file, compression, target.database, contact()),
    examine,
    plan: async (contents, _server, { noOwner }) =>
      comparePlan(contents, contact(), await askTarget(connection, contact()), { database: target.database, noOwner }),
    load: (sql, _contents, plan) => load(connection, contact(), sql, plan),
  };
}
