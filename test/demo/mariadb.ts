import { readFileSync } from "node:fs";
import { join } from "node:path";
import { stateOf } from "../support/expect/mysql-oracle.ts";
import { identifier, literal, startMysql } from "../support/servers/mysql.ts";
import { counts, type DemoDatabase } from "./database.ts";

const disaster = `
DROP TABLE invoices, order_lines;
DROP PROCEDURE close_month;
DROP VIEW sales_by_month;
UPDATE customers SET name = 'oops', email = concat('oops', id, '@example.com');
CREATE TABLE made_by_mistake (id int);`;

const programs = `
  SELECT 'views', count(*) FROM information_schema.views WHERE table_schema = 'shop'
  UNION ALL SELECT 'procedures', count(*) FROM information_schema.routines WHERE routine_schema = 'shop'
  UNION ALL SELECT 'triggers', count(*) FROM information_schema.triggers WHERE trigger_schema = 'shop'
  UNION ALL SELECT 'events', count(*) FROM information_schema.events WHERE event_schema = 'shop'`;

/** A throw-away MariaDB with a web shop. */
export async function openMariadbDemo(): Promise<DemoDatabase> {
  const server = await startMysql("mariadb");
  const sql = (text: string) => server.sql("shop", text);
  return {
    port: server.port,
    url: server.url("shop").replace("mysql:", "mariadb:"),
    client: "mariadb shop",
    disaster,
    async create() {
      await server.createDatabase("shop", readFileSync(join(import.meta.dir, "shop-mariadb.sql"), "utf8"));
      return "views, triggers, a procedure, an event";
    },
    async look() {
      const tables = (await sql("SHOW FULL TABLES WHERE table_type = 'BASE TABLE'")).split("\n");
      const names = tables.map((line) => line.split("\t")[0] ?? "");
      const queries = names.map((name) => `SELECT ${literal(name)}, count(*) FROM ${identifier(name)}`);
      return {
        rows: counts(await sql([...queries, programs].join(" UNION ALL ")), "\t"),
        state: await stateOf(server, "shop"),
      };
    },
    async destroy() {
      await sql(disaster);
    },
    stop: () => server.stop(),
  };
}
