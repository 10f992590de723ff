/** What the documentation's example is about, on the usual ports: run in a machine of its own by documentation.test.ts. */
import { createServer, connect } from "node:net";
import { startMailServer } from "./smtp.ts";
import { startPostgres } from "./postgres.ts";
import { startS3Server } from "./s3-server.ts";

const sample = `
  CREATE TABLE customers (id serial PRIMARY KEY, name text NOT NULL);
  CREATE TABLE orders (id serial PRIMARY KEY, customer int REFERENCES customers, placed timestamptz DEFAULT now());
  INSERT INTO customers (name) SELECT 'customer ' || n FROM generate_series(1, 1000) n;
  INSERT INTO orders (customer) SELECT id FROM customers;`;

/** Passes connections to a usual port on to the one that a server got. */
function listenAt(usual: number, port: number): void {
  createServer((near) => {
    const far = connect(port, "127.0.0.1");
    for (const socket of [near, far]) socket.on("error", () => {});
    near.pipe(far).pipe(near);
  }).listen(usual, "127.0.0.1");
}

const postgres = await startPostgres(15);
await postgres.sql("postgres", "CREATE ROLE app LOGIN PASSWORD 'the-password-of-app'");
await postgres.createDatabase("app", `SET ROLE app; ${sample}`, "OWNER app");
const s3 = startS3Server();
const mail = await startMailServer({
  security: "none",
  login: { user: "backup@example.com", password: "the-mail-password" },
});
listenAt(5432, postgres.port);
listenAt(9000, Number(new URL(s3.url).port));
listenAt(587, mail.port);

console.log(JSON.stringify({ password: postgres.password, key: s3.key, secret: s3.secret }));
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
