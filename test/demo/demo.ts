/**
 * `bun run demo`: a throw-away PostgreSQL (`-- --mysql`: MariaDB), a backup, a disaster, a restore, the proof that all is
 * back; then from S3.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { settingsFile } from "../support/machine/settings-file.ts";
import { type S3Server, startS3Server } from "../support/servers/s3-server.ts";
import { installPrograms } from "../support/setup.ts";
import { type MailServer, startMailServer } from "../support/servers/smtp.ts";
import { tempDir } from "../support/machine/temp.ts";
import type { DemoDatabase, Snapshot } from "./database.ts";
import { openMariadbDemo } from "./mariadb.ts";
import { openPostgresDemo } from "./postgres.ts";

const root = resolve(import.meta.dir, "../..");
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

/** Shows what is back, and whether all of it is. */
async function compare(database: DemoDatabase, before: Snapshot): Promise<void> {
  step("Is everything back?");
  const after = await database.look();
  for (const [table, rows] of before.rows) {
    say(`${after.rows.get(table) === rows ? "✓" : "✗"} ${table.padEnd(28)} ${rows} → ${after.rows.get(table) ?? 0}`);
  }
  if (linesOf(before.state.file) !== linesOf(after.state.file)) {
    throw new Error(`the dumps differ: diff ${before.state.file} ${after.state.file}`);
  }
  say("✓ a dump of the database holds the same lines as before the disaster");
}

/** Rows come back over several connections, so in any order. */
const linesOf = (file: string) => readFileSync(file, "latin1").split("\n").toSorted().join("\n");

async function destroy({ client, disaster, destroy: doIt }: DemoDatabase): Promise<void> {
  say(`$ ${client} <<SQL${disaster}\nSQL`);
  await doIt();
}

async function demo(database: DemoDatabase, storage: S3Server, mail: MailServer): Promise<void> {
  step("A sample database: a web shop");
  const more = await database.create();
  const before = await database.look();
  const total = [...before.rows].reduce((sum, [table, n]) => (table === "large objects" ? sum : sum + n), 0);
  say(`${total.toLocaleString("en")} rows in tables, ${more}`);

  step("Its settings, in a file that only you can read");
  const folder = tempDir("demo");
  const file = join(folder, "demo.env.sh");
  const settings = {
    SITE_NAME: "web-shop",
    DATABASE_URL: database.url,
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
  step("The proof: the backup is restored into a new database, compared to the last row, and the copy is dropped");
  await script("verify");
  step("A disaster");
  await destroy(database);
  step("The restore");
  await script("restore", "--yes");
  await compare(database, before);

  step("Off-site: the backup goes to S3");
  await script("sync");
  step("A worse disaster: the database and the backup folder");
  await destroy(database);
  await run("rm", "-r", settings.BACKUP_DIR);
  step("The restore from S3");
  await script("restore", "--from-s3", "--yes");
  await compare(database, before);

  step(`And the mails that told of it all: ${mail.mails.length}; the last one`);
  const last = mail.mails.at(-1)?.parsed;
  say(`Subject: ${last?.subject}\n\n${last?.text}`);
}

const hidePassword = (url: string) => url.replace(/:[^:@]*@/, ":********@");

const mysql = process.argv.includes("--mysql");
installPrograms(mysql ? ["mariadbd", "mariadb-install-db", "mariadb-dump", "mariadb"] : ["pg_dump", "psql"]);
step(`A throw-away ${mysql ? "MariaDB" : "PostgreSQL 15"}, an S3 server and a mail server on this machine`);
const database = await (mysql ? openMariadbDemo() : openPostgresDemo());
const storage = startS3Server();
const mail = await startMailServer({ security: "none" });
say(`they listen on 127.0.0.1: ${database.port}, ${new URL(storage.url).port} and ${mail.port}`);
try {
  await demo(database, storage, mail);
} finally {
  await Promise.all([database.stop(), storage.stop(), mail.stop()]);
}
step("The servers and all that they held are removed. What to do next, for your own database");
say(`cd backup_scripts
install -m 600 example.env.sh .env.sh     then write your DATABASE_URL into it
./backup --dry-run                        checks everything, changes nothing
./backup                                  takes a backup
./restore --dry-run                       checks the newest backup
./help                                    explains the rest`);
process.exit(0);
