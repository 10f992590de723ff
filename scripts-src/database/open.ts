/** Which engine the settings name. */
import { usageFailure } from "../base/errors.ts";
import type { Settings } from "../settings/settings.ts";
import type { Database, DatabaseContext } from "./database.ts";
import { openMysql } from "./mysql/mysql.ts";
import { openPostgres } from "./postgres/postgres.ts";

type Open = (settings: Settings, context: DatabaseContext) => Database;

/** By the scheme of DATABASE_URL or by DB_TYPE. */
const engines: Record<string, Open> = {
  postgres: openPostgres,
  postgresql: openPostgres,
  mysql: openMysql,
  mariadb: openMysql,
};

/** The database that the settings name; does not connect yet. Throws `Failure` with status 2. */
export function openDatabase(settings: Settings, context: DatabaseContext): Database {
  const scheme = settings.DATABASE_URL?.split(":")[0];
  const type = scheme ?? (settings.POSTGRES_CONNECTION_STRING ? "postgresql" : (settings.DB_TYPE ?? "postgresql"));
  const open = engines[type];
  if (!open) throw usageFailure(`no support for ${type} databases`, `known: ${Object.keys(engines).join(", ")}`);
  return open(settings, context);
}
