/** The engines, for tests that do the same with each. */
import { startMysql } from "./mysql.ts";
import { startPostgres } from "./postgres.ts";
import type { DatabaseServer } from "./server.ts";

export interface Engine {
  start(parameters?: Record<string, string>): Promise<DatabaseServer>;
  /** The database through which the administrator asks. */
  admin: string;
  client: string;
  dump: string;
}

export const postgresql: Engine = {
  start: (parameters) => startPostgres(15, parameters),
  admin: "postgres",
  client: "psql",
  dump: "pg_dump",
};

export const mariadb: Engine = {
  start: (parameters) => startMysql("mariadb", parameters),
  admin: "mysql",
  client: "mariadb",
  dump: "mariadb-dump",
};
