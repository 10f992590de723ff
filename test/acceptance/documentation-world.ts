/**
 * What the documentation's example is about, on the usual ports: run in a machine of its own by documentation.test.ts. The
 * servers that are lost stand on 127.0.0.1, new and empty ones on 127.0.0.2; MySQL's, which share a port with MariaDB's, on 127.0.0.3
 * and 127.0.0.4.
 */
import { createServer, connect } from "node:net";
import { startMailServer } from "../support/servers/smtp.ts";
import { type Family, families, type MysqlServer, startMysql } from "../support/servers/mysql.ts";
import { startPostgres } from "../support/servers/postgres.ts";
import { startS3Server } from "../support/servers/s3-server.ts";

const passwordOfTheOwner = "the-password-of-app";

const sample = `
  CREATE TABLE customers (id serial PRIMARY KEY, name text NOT NULL);
  CREATE TABLE orders (id serial PRIMARY KEY, customer int REFERENCES customers, placed timestamptz DEFAULT now());
  INSERT INTO customers (name) SELECT 'customer ' || n FROM generate_series(1, 1000) n;
  INSERT INTO orders (customer) SELECT id FROM customers;`;
const mysqlSample = `
  CREATE TABLE orders (id int PRIMARY KEY AUTO_INCREMENT, placed datetime NOT NULL DEFAULT now());
  INSERT INTO orders (id) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT i FROM n;`;

/** Passes connections to a usual port on to the one that a server got. */
function listenAt(usual: number, port: number, host = "127.0.0.1"): void {
  createServer((near) => {
    const far = connect(port, "127.0.0.1");
    for (const socket of [near, far]) socket.on("error", () => {});
    near.pipe(far).pipe(near);
  }).listen(usual, host);
}

/** The server that is lost, and the new one. */
async function startBoth(family: Family): Promise<[MysqlServer, MysqlServer]> {
  const [lost, fresh] = await Promise.all([startMysql(family), startMysql(family)]);
  await lost.createDatabase("app", mysqlSample);
  await lost.sql("app", `CREATE USER app@'%' IDENTIFIED BY '${passwordOfTheOwner}'; GRANT ALL ON app.* TO app@'%';`);
  for (const { sql, password } of [lost, fresh])
    await sql(
      "mysql",
      `DROP USER IF EXISTS root@'127.0.0.1'; CREATE USER root@'127.0.0.1' IDENTIFIED BY '${password}';
       GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;`,
    );
  listenAt(3306, lost.port, family === "mysql" ? "127.0.0.3" : "127.0.0.1");
  listenAt(3306, fresh.port, family === "mysql" ? "127.0.0.4" : "127.0.0.2");
  return [lost, fresh];
}

const s3 = startS3Server();
const [postgres, newPostgres, mail, ...others] = await Promise.all([
  startPostgres(15),
  startPostgres(15),
  startMailServer({ security: "none", login: { user: "backup@example.com", password: "the-mail-password" } }),
  ...families.map(startBoth),
]);
await postgres.sql("postgres", `CREATE ROLE app LOGIN PASSWORD '${passwordOfTheOwner}'`);
await postgres.createDatabase("app", `SET ROLE app; ${sample}`, "OWNER app");
listenAt(5432, postgres.port);
listenAt(5432, newPostgres.port, "127.0.0.2");
listenAt(9000, Number(new URL(s3.url).port));
listenAt(587, mail.port);

const passwords = {
  postgresql: [postgres.password, newPostgres.password],
  ...Object.fromEntries(others.map(([lost, fresh]) => [lost.family, [lost.password, fresh.password]])),
};
console.log(JSON.stringify({ passwords, key: s3.key, secret: s3.secret }));
// whoever asks gets the mails so far, and what is in the buckets
Bun.serve({
  port: 8025,
  hostname: "127.0.0.1",
  fetch: () =>
    Response.json({
      mails: mail.mails.map(({ to, parsed }) => ({ to, subject: parsed.subject })),
      objects: [...s3.objects("my-backups").keys()],
    }),
});
