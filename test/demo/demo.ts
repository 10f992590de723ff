/**
 * `bun run demo`: a throw-away PostgreSQL (`-- --mysql`: MariaDB) with two databases, a backup, a proof, the loss of the whole
 * server, one command that brings everything back on a new one, the mails, and the report. README.md has a recording of it.
 */
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { settingsFile } from "../support/machine/settings-file.ts";
import { type S3Server, startS3Server } from "../support/servers/s3-server.ts";
import { installPrograms } from "../support/setup.ts";
import { type MailServer, startMailServer } from "../support/servers/smtp.ts";
import { tempDir } from "../support/machine/temp.ts";
import type { DemoServer, Snapshot } from "./database.ts";
import { openMariadbDemo } from "./mariadb.ts";
import { openPostgresDemo } from "./postgres.ts";

const root = resolve(import.meta.dir, "../..");
const say = (text: string) => console.log(text);
const step = (text: string) => say(`\n── ${text}`);
const basics = { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "/", TERM: process.env.TERM ?? "dumb" };

/** Runs a command in the folder of the executables, as a person would type it, and shows it. */
async function run(argv: readonly string[], env: Record<string, string> = {}): Promise<void> {
  say(`$ ${argv.map((word) => (/[ *]/.test(word) ? `"${word}"` : word)).join(" ")}`);
  const cwd = join(root, "backup_scripts");
  const streams = { stdin: "ignore", stdout: "inherit", stderr: "inherit" } as const;
  const child = Bun.spawn([...argv], { cwd, env: { ...basics, ...env }, ...streams });
  if ((await child.exited) !== 0) throw new Error(`${argv[0]} ended with status ${child.exitCode}`);
}

/** Shows what is back. Throws unless all of it is. */
function compare(before: Snapshot, after: Snapshot): void {
  for (const [table, rows] of before.rows) {
    const now = after.rows.get(table) ?? 0;
    say(`${now === rows ? "✓" : "✗"} ${table.padEnd(28)} ${rows.toLocaleString("en")} → ${now.toLocaleString("en")}`);
  }
  const different = before.dumps.filter(({ file }, index) => linesOf(file) !== linesOf(after.dumps[index]?.file ?? ""));
  if (different.length > 0) throw new Error(`the dumps differ: ${different.map(({ file }) => file).join(", ")}`);
  say("✓ dumps of both databases hold the same lines as before the disaster");
}

/** Rows come back over several connections, so in any order. */
const linesOf = (file: string) => readFileSync(file, "latin1").split("\n").toSorted().join("\n");

async function demo(open: () => Promise<DemoServer>, storage: S3Server, mail: MailServer): Promise<void> {
  const old = await open();
  step(
    `A throw-away ${old.name} on port ${old.port}, with two databases: a web shop, and a CRM with a login of its own`,
  );
  await old.create();
  const before = await old.look();
  say(`${[...before.rows.values()].reduce((sum, rows) => sum + rows, 0).toLocaleString("en")} rows`);

  step("The settings, in a file that only you can read");
  const folder = tempDir("demo");
  const file = join(folder, "demo.env.sh");
  const settings = {
    DATABASE_URL: old.url,
    DB_NAMES: "*",
    BACKUP_DIR: join(folder, "backups"),
    REPORT_FILE: join(folder, "report.html"),
    S3_URL: storage.url,
    S3_BUCKET: await storage.newBucket(),
    S3_ACCESS_KEY: storage.key,
    S3_SECRET_KEY: storage.secret,
    MANIFEST_KEY: "a-secret-key-that-signs-backups",
    ...mail.settings,
    EMAIL_NOTIFY_MODE: "SUCCESS_AND_FAILURE",
  };
  const write = (all: Record<string, string>) => writeFileSync(file, settingsFile(all), { mode: 0o600 });
  write(settings);
  say(settingsFile({ ...settings, DATABASE_URL: hidePassword(old.url), S3_SECRET_KEY: "…", MANIFEST_KEY: "…" }));
  const script = (...argv: string[]) => run(argv, { BACKUP_ENV_FILE: file });

  step("A backup of every database and of the server's logins: locally, and in S3 in the same pass");
  await script("./backup", "--upload");
  step("The proof: each backup is restored into a new database and compared to the last row");
  await script("./verify");
  await script("./sync");
  await script("./list");

  step("A disaster: the server is lost, and the backup folder with it");
  await old.stop();
  await run(["rm", "-r", settings.BACKUP_DIR]);

  const fresh = await open();
  try {
    step(
      `A new, empty ${fresh.name} on port ${fresh.port}. DATABASE_URL is changed; one command brings everything back`,
    );
    write({ ...settings, DATABASE_URL: fresh.url });
    await script("./restore", "--all", "--from-s3");
    step("Is everything back?");
    compare(before, await fresh.look());
    say("and the application logs in with its old password:");
    await run(fresh.application.argv, fresh.application.env);
  } finally {
    await fresh.stop();
  }

  step(`The mails that told of it: ${mail.mails.map(({ parsed }) => `\n   ${parsed.subject}`).join("")}`);
  say(`\nThe last of them:\n\n${mail.mails.at(-1)?.parsed.text}`);
  const report = join(tmpdir(), "backup_scripts-demo.html");
  copyFileSync(settings.REPORT_FILE, report);
  step(`The report, to be opened in a browser: file://${report}`);
}

const hidePassword = (url: string) => url.replace(/:[^:@]*@/, ":…@");

const mysql = process.argv.includes("--mysql");
installPrograms(mysql ? ["mariadbd", "mariadb-install-db", "mariadb-dump", "mariadb"] : ["pg_dump", "psql"]);
const storage = startS3Server();
const mail = await startMailServer({ security: "none" });
try {
  await demo(mysql ? openMariadbDemo : openPostgresDemo, storage, mail);
} finally {
  await Promise.all([storage.stop(), mail.stop()]);
}
step("The servers and all that they held are removed. What to do next, for your own database");
say(`cd backup_scripts
install -m 600 example.env.sh .env.sh     then write your DATABASE_URL into it
./backup --dry-run                        checks everything, changes nothing
./backup                                  makes a backup
./verify                                  proves it
./help                                    explains the rest`);
process.exit(0);
