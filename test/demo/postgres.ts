import { readFileSync } from "node:fs";
import { join } from "node:path";
import { stateOf } from "../support/expect/oracle.ts";
import { startPostgres } from "../support/servers/postgres.ts";
import { counts, crm, databases, type DemoServer, login } from "./database.ts";

const tables = (database: string) => `
  SELECT format('SELECT %L, count(*) FROM %I.%I', '${database}: ' || nspname || '.' || relname, nspname, relname)
  FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
  WHERE relkind IN ('r', 'p') AND NOT relispartition AND nspname !~ '^(pg_|information_schema$)'
  UNION ALL SELECT $$SELECT '${database}: large objects', count(*) FROM pg_largeobject_metadata$$
  WHERE EXISTS (SELECT FROM pg_largeobject_metadata)`;

/** A throw-away PostgreSQL 15. */
export async function openPostgresDemo(): Promise<DemoServer> {
  const server = await startPostgres(15);
  return {
    name: "PostgreSQL 15",
    port: server.port,
    url: server.url("postgres"),
    application: {
      argv: ["psql", `postgres://${login.user}@127.0.0.1:${server.port}/crm`, "-Atc", "SELECT count(*) FROM notes"],
      env: { PGPASSWORD: login.password },
    },
    async create() {
      await server.sql("postgres", `CREATE ROLE ${login.user} LOGIN PASSWORD '${login.password}'`);
      await server.createDatabase("shop", readFileSync(join(import.meta.dir, "shop.sql"), "utf8"));
      const rows = `
        INSERT INTO contacts SELECT i, 'Contact ' || i FROM generate_series(1, 2000) i;
        INSERT INTO notes SELECT i, 1 + i % 2000, 'called, ' || i FROM generate_series(1, 10000) i;`;
      await server.createDatabase("crm", `SET ROLE ${login.user};${crm}${rows}`, `OWNER ${login.user}`);
    },
    async look() {
      const ofEach = databases.map(async (database) => {
        const queries = (await server.sql(database, tables(database))).split("\n");
        return counts(await server.sql(database, `${queries.join(" UNION ALL ")} ORDER BY 1`), "|");
      });
      return {
        rows: new Map((await Promise.all(ofEach)).flat()),
        dumps: await Promise.all(databases.map((database) => stateOf(server, database))),
      };
    },
    stop: () => server.stop(),
  };
}
