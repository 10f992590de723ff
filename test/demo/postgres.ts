import { readFileSync } from "node:fs";
import { join } from "node:path";
import { stateOf } from "../support/expect/oracle.ts";
import { startPostgres } from "../support/servers/postgres.ts";
import { counts, type DemoDatabase } from "./database.ts";

const disaster = `
DROP SCHEMA accounting, reporting CASCADE;
DELETE FROM shop.order_lines;
UPDATE shop.customers SET name = 'oops', email = 'oops' || id || '@example.com';
SELECT lo_unlink(oid) FROM pg_largeobject_metadata;`;

const tables = `
  SELECT format('SELECT %L, count(*) FROM %I.%I', nspname || '.' || relname, nspname, relname)
  FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
  WHERE relkind IN ('r', 'p') AND NOT relispartition AND nspname !~ '^(pg_|information_schema$)'`;

/** A throw-away PostgreSQL 15 with a web shop. */
export async function openPostgresDemo(): Promise<DemoDatabase> {
  const server = await startPostgres(15);
  const sql = (text: string) => server.sql("shop", text);
  return {
    port: server.port,
    url: server.url("shop"),
    client: "psql shop",
    disaster,
    async create() {
      await server.createDatabase("shop", readFileSync(join(import.meta.dir, "shop.sql"), "utf8"));
      return "3 schemas, 20 large objects";
    },
    async look() {
      const queries = [
        ...(await sql(tables)).split("\n"),
        "SELECT 'large objects', count(*) FROM pg_largeobject_metadata",
      ];
      return {
        rows: counts(await sql(`${queries.join(" UNION ALL ")} ORDER BY 1`), "|"),
        state: await stateOf(server, "shop"),
      };
    },
    async destroy() {
      await sql(disaster);
    },
    stop: () => server.stop(),
  };
}
