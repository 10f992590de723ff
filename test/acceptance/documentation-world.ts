/**
 * What the documentation's example is about, on the usual ports: run in a machine of its own by documentation.test.ts. The
 * servers that are lost stand on 127.0.0.1, new and empty ones on 127.0.0.2.
 */
import { createServer, connect } from "node:net";
import { startMailServer } from "../support/servers/smtp.ts";
import { startMysql } from "../support/servers/mysql.ts";
import { startPostgres } from "../support/servers/postgres.ts";
import { startS3Server } from "../support/servers/s3-server.ts";

const passwordOfTheOwner = "the-password-of-app";

const sample = `
  CREATE TABLE customers (id serial PRIMARY KEY, name text NOT NULL);
  CREATE TABLE orders (id serial PRIMARY KEY, customer int REFERENCES customers, placed timestamptz DEFAULT now());
  INSERT INTO customers (name) SELECT 'customer ' || n FROM generate_series(1, 1000) n;
  INSERT INTO orders (customer) SELECT id FROM customers;`;
const mariadbSample = `
  CREATE TABLE orders (id int PRIMARY KEY AUTO_INCREMENT, placed datetime NOT NULL DEFAULT now());
  INSERT INTO orders (id) SELECT seq FROM seq_1_to_1000;`;

/** Passes connections to a usual port on to the one that a server got. */
function listenAt(usual: number, port: number, host = "127.0.0.1"): void {
  createServer((near) => {
    const far = connect(port, "127.0.0.1");
    for (const socket of [near, far]) socket.on("error", () => {});
    near.pipe(far).pipe(near);
  }).listen(usual, host);
}

const s3 = startS3Server();
const [postgres, newPostgres, mariadb, newMariadb, mail] = await Promise.all([
  startPostgres(15),
  startPostgres(15),
  startMysql("mariadb"),
  startMysql("mariadb"),
  startMailServer({ security: "none", login: { user: "backup@example.com", password: "the-mail-password" } }),
]);
await postgres.sql("postgres", `CREATE ROLE app LOGIN PASSWORD '${passwordOfTheOwner}'`);
await postgres.createDatabase("app", `SET ROLE app; ${sample}`, "OWNER app");
await mariadb.createDatabase(
  "app",
  `${mariadbSample} CREATE USER app@'%' IDENTIFIED BY '${passwordOfTheOwner}'; GRANT ALL ON app.* TO app@'%';`,
);
for (const { sql, password } of [mariadb, newMariadb])
  await sql(
    "mysql",
    `CREATE OR REPLACE USER root@'127.0.0.1' IDENTIFIED BY '${password}'; GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;`,
  );
listenAt(5432, postgres.port);
listenAt(5432, newPostgres.port, "127.0.0.2");
listenAt(3306, mariadb.port);
listenAt(3306, newMariadb.port, "127.0.0.2");
listenAt(9000, Number(new URL(s3.url).port));
listenAt(587, mail.port);

const passwords = [postgres, newPostgres, mariadb, newMariadb].map(({ password }) => password);
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
