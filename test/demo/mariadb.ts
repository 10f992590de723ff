import { readFileSync } from "node:fs";
import { join } from "node:path";
import { stateOf } from "../support/expect/mysql-oracle.ts";
import { identifier, literal, startMysql } from "../support/servers/mysql.ts";
import { counts, crm, databases, type DemoServer, login } from "./database.ts";

const programs = `
  SELECT 'shop: views', count(*) FROM information_schema.views WHERE table_schema = 'shop'
  UNION ALL SELECT 'shop: procedures', count(*) FROM information_schema.routines WHERE routine_schema = 'shop'
  UNION ALL SELECT 'shop: triggers', count(*) FROM information_schema.triggers WHERE trigger_schema = 'shop'
  UNION ALL SELECT 'shop: events', count(*) FROM information_schema.events WHERE event_schema = 'shop'`;

/** A throw-away MariaDB. */
export async function openMariadbDemo(): Promise<DemoServer> {
  const server = await startMysql("mariadb");
  return {
    name: "MariaDB",
    port: server.port,
    url: server.url("mysql").replace("mysql:", "mariadb:"),
    application: {
      argv: [
        "mariadb",
        "-h127.0.0.1",
        `-P${server.port}`,
        `-u${login.user}`,
        "-Ne",
        "SELECT count(*) FROM notes",
        "crm",
      ],
      env: { MYSQL_PWD: login.password },
    },
    async create() {
      await server.createDatabase("shop", readFileSync(join(import.meta.dir, "shop-mariadb.sql"), "utf8"));
      const rows = `
        INSERT INTO contacts SELECT seq, concat('Contact ', seq) FROM seq_1_to_2000;
        INSERT INTO notes SELECT seq, 1 + seq % 2000, concat('called, ', seq) FROM seq_1_to_10000;`;
      await server.createDatabase("crm", crm + rows);
      const user = `${login.user}@'%'`;
      await server.sql("crm", `CREATE USER ${user} IDENTIFIED BY '${login.password}'; GRANT ALL ON crm.* TO ${user};`);
    },
    async look() {
      const ofEach = databases.map(async (database) => {
        const lines = (await server.sql(database, "SHOW FULL TABLES WHERE table_type = 'BASE TABLE'")).split("\n");
        const names = lines.map((line) => line.split("\t")[0] ?? "");
        const queries = names.map(
          (name) => `SELECT ${literal(`${database}: ${name}`)}, count(*) FROM ${identifier(name)}`,
        );
        return counts(await server.sql(database, queries.join(" UNION ALL ")), "\t");
      });
      const others = counts(await server.sql("shop", programs), "\t");
      return {
        rows: new Map([...(await Promise.all(ofEach)).flat(), ...others]),
        dumps: await Promise.all(databases.map((database) => stateOf(server, database))),
      };
    },
    stop: () => server.stop(),
  };
}
