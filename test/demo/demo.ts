/** `bun run demo`: a throw-away PostgreSQL, a backup of it, a disaster, a restore, and the proof that all is back. */
import { readFileSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { settingsFile } from "../support/settings-file.ts";
import { stateOf } from "../support/oracle.ts";
import { type PostgresServer, startPostgres } from "../support/postgres.ts";
import { installPrograms } from "../support/setup.ts";
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
    `SELECT format('SELECT %L, count(*) FROM %I.%I', schemaname || '.' || relname, schemaname, relname)
     FROM pg_stat_user_tables JOIN pg_class c ON c.oid = relid WHERE NOT relispartition`,
  );
  const queries = [...tables.split("\n"), "SELECT 'large objects', count(*) FROM pg_largeobject_metadata"];
  const rows = await server.sql("shop", `${queries.join(" UNION ALL ")} ORDER BY 1`);
  return new Map(rows.split("\n").map((row) => [row.split("|")[0] ?? "", Number(row.split("|")[1])]));
}

async function demo(server: PostgresServer): Promise<boolean> {
  step("A sample database: a web shop");
  await server.createDatabase("shop", readFileSync(join(import.meta.dir, "shop.sql"), "utf8"));
  const before = { rows: await countRows(server), state: await stateOf(server, "shop") };
  const total = [...before.rows.values()].reduce((sum, n) => sum + n, 0);
  say(`3 schemas, ${before.rows.size - 1} tables, ${total.toLocaleString("en")} rows, 20 large objects`);

  step("Its settings, in a file that only you can read");
  const folder = tempDir("demo");
  const settings = join(folder, "demo.env.sh");
  const values = { DATABASE_URL: server.url("shop"), BACKUP_DIR: join(folder, "backups") };
  writeFileSync(settings, settingsFile(values), { mode: 0o600 });
  say(`$ cat ${settings}\n${settingsFile({ ...values, DATABASE_URL: hidePassword(values.DATABASE_URL) })}`);

  step("A backup");
  const file = await run("./backup_scripts/backup", "--env-file", settings);
  await run("ls", "-l", values.BACKUP_DIR);

  step("A disaster");
  say(`$ psql shop <<SQL${disaster.replaceAll("\n  ", "\n")}\nSQL`);
  await server.sql("shop", disaster);

  step("The restore");
  await run("./backup_scripts/restore", "--env-file", settings, "--yes");

  step("Is everything back?");
  const after = { rows: await countRows(server), state: await stateOf(server, "shop") };
  for (const [table, rows] of before.rows) {
    say(`${after.rows.get(table) === rows ? "✓" : "✗"} ${table.padEnd(28)} ${rows} → ${after.rows.get(table) ?? 0}`);
  }
  const same = before.state.sha256 === after.state.sha256;
  say(
    same
      ? "✓ a dump of the database is byte for byte what it was before the disaster"
      : `✗ the dumps differ: diff ${before.state.file} ${after.state.file}`,
  );
  say(`(${relative(folder, file)} and the database are removed now)`);
  return same;
}

const hidePassword = (url: string) => url.replace(/:[^:@]*@/, ":********@");

installPrograms(["pg_dump", "psql"]);
step("A throw-away PostgreSQL 15 on this machine");
const server = await startPostgres(15);
say(`it listens on ${server.host}:${server.port}`);
let good = false;
try {
  good = await demo(server);
} finally {
  await server.stop();
}
if (good) {
  step("What to do next, for your own database");
  say(`cd backup_scripts
cp example.env.sh .env.sh && chmod 600 .env.sh     then write your DATABASE_URL into it
./backup --dry-run                                 checks everything, changes nothing
./backup                                           takes a backup
./restore --dry-run                                checks the newest backup
./help                                             explains the rest`);
}
process.exit(good ? 0 : 1);
