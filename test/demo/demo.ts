/** `bun run demo`: a throw-away PostgreSQL, a backup, a disaster, a restore, the proof that all is back; then from S3. */
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { settingsFile } from "../support/settings-file.ts";
import { type State, stateOf } from "../support/oracle.ts";
import { type PostgresServer, startPostgres } from "../support/postgres.ts";
import { type S3Server, startS3Server } from "../support/s3-server.ts";
import { installPrograms } from "../support/setup.ts";
import { type MailServer, startMailServer } from "../support/smtp.ts";
import { tempDir } from "../support/temp.ts";

const root = resolve(import.meta.dir, "../..");
const disaster = `
  DROP SCHEMA accounting, reporting CASCADE;
  DELETE FROM shop.order_lines;
  UPDATE shop.customers SET name = 'oops', email = 'oops' || id || '@example.com';
  SELECT lo_unlink(oid) FROM pg_largeobject_metadata;`;

const say = (text: string) => console.log(text);
const step = (text: string) => say(`\n── ${text}`);
const environment = { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "/", TERM: process.env.TERM ?? "dumb" };

/** Runs a command as a person would type it, and shows it. Its stdout is returned and shown. */
async function run(...argv: string[]): Promise<string> {
  say(`$ ${argv.join(" ")}`);
  const child = Bun.spawn(argv, { cwd: root, env: environment, stdin: "ignore", stdout: "pipe", stderr: "inherit" });
  const stdout = await child.stdout.text();
  process.stdout.write(stdout);
  if ((await child.exited) !== 0) throw new Error(`${argv[0]} ended with status ${child.exitCode}`);
  return stdout.trim();
}

/** Rows of every table, and large objects. */
async function countRows(server: PostgresServer): Promise<Map<string, number>> {
  const tables = await server.sql(
    "shop",
    `SELECT format('SELECT %L, count(*) FROM %I.%I', nspname || '.' || relname, nspname, relname)
     FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
     WHERE relkind IN ('r', 'p') AND NOT relispartition AND nspname !~ '^(pg_|information_schema$)'`,
  );
  const queries = [...tables.split("\n"), "SELECT 'large objects', count(*) FROM pg_largeobject_metadata"];
  const rows = await server.sql("shop", `${queries.join(" UNION ALL ")} ORDER BY 1`);
  return new Map(rows.split("\n").map((row) => [row.split("|")[0] ?? "", Number(row.split("|")[1])]));
}

interface Snapshot {
  rows: Map<string, number>;
  state: State;
}

const look = async (server: PostgresServer): Promise<Snapshot> => ({
  rows: await countRows(server),
  state: await stateOf(server, "shop"),
});

/** Shows what is back, and whether all of it is. */
async function compare(server: PostgresServer, before: Snapshot): Promise<void> {
  step("Is everything back?");
  const after = await look(server);
  for (const [table, rows] of before.rows) {
    say(`${after.rows.get(table) === rows ? "✓" : "✗"} ${table.padEnd(28)} ${rows} → ${after.rows.get(table) ?? 0}`);
  }
  if (before.state.sha256 !== after.state.sha256) {
    throw new Error(`the dumps differ: diff ${before.state.file} ${after.state.file}`);
  }
  say("✓ a dump of the database is byte for byte what it was before the disaster");
}

async function destroy(server: PostgresServer): Promise<void> {
  say(`$ psql shop <<SQL${disaster.replaceAll("\n  ", "\n")}\nSQL`);
  await server.sql("shop", disaster);
}

async function demo(server: PostgresServer, storage: S3Server, mail: MailServer): Promise<void> {
  step("A sample database: a web shop");
  await server.createDatabase("shop", readFileSync(join(import.meta.dir, "shop.sql"), "utf8"));
  const before = await look(server);
  const total = [...before.rows.values()].reduce((sum, n) => sum + n, 0);
  say(`3 schemas, ${before.rows.size - 1} tables, ${total.toLocaleString("en")} rows, 20 large objects`);

  step("Its settings, in a file that only you can read");
  const folder = tempDir("demo");
  const file = join(folder, "demo.env.sh");
  const settings = {
    SITE_NAME: "web-shop",
    DATABASE_URL: server.url("shop"),
    BACKUP_DIR: join(folder, "backups"),
    S3_URL: storage.url,
    S3_BUCKET: await storage.newBucket(),
    S3_PATH: "shop",
    S3_ACCESS_KEY: storage.key,
    S3_SECRET_KEY: storage.secret,
    ...mail.settings,
  };
  writeFileSync(file, settingsFile(settings), { mode: 0o600 });
  const shown = { ...settings, DATABASE_URL: hidePassword(settings.DATABASE_URL), S3_SECRET_KEY: "********" };
  say(`$ cat ${file}\n${settingsFile(shown)}`);
  const script = (name: string, ...args: string[]) => run(`./backup_scripts/${name}`, "--env-file", file, ...args);

  step("A backup");
  await script("backup");
  await run("ls", "-l", settings.BACKUP_DIR);
  step("A disaster");
  await destroy(server);
  step("The restore");
  await script("restore", "--yes");
  await compare(server, before);

  step("Off-site: the backup goes to S3");
  await script("sync");
  step("A worse disaster: the database and the backup folder");
  await destroy(server);
  await run("rm", "-r", settings.BACKUP_DIR);
  step("The restore from S3");
  await script("restore", "--from-s3", "--yes");
  await compare(server, before);

  step(`And the mails that told of it all: ${mail.mails.length}; the last one`);
  const last = mail.mails.at(-1)?.parsed;
  say(`Subject: ${last?.subject}\n\n${last?.text}`);
}

const hidePassword = (url: string) => url.replace(/:[^:@]*@/, ":********@");

installPrograms(["pg_dump", "psql"]);
step("A throw-away PostgreSQL 15, an S3 server and a mail server on this machine");
const server = await startPostgres(15);
const storage = startS3Server();
const mail = await startMailServer({ security: "none" });
say(`they listen on 127.0.0.1: ${server.port}, ${new URL(storage.url).port} and ${mail.port}`);
try {
  await demo(server, storage, mail);
} finally {
  await Promise.all([server.stop(), storage.stop(), mail.stop()]);
}
step("The servers and all that they held are removed. What to do next, for your own database");
say(`cd backup_scripts
install -m 600 example.env.sh .env.sh     then write your DATABASE_URL into it
./backup --dry-run                        checks everything, changes nothing
./backup                                  takes a backup
./restore --dry-run                       checks the newest backup
./help                                    explains the rest`);
process.exit(0);
