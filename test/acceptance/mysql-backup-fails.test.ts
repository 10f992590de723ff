/** Shell 1.4 with MariaDB: a backup that cannot be whole fails, says why, and leaves nothing; earlier ones stay. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { clientsWith, pausingDump } from "../support/servers/clients.ts";
import { type Installation, installScripts, type Ran } from "../support/machine/executables.ts";
import { type MysqlServer, startMysql } from "../support/servers/mysql.ts";
import { freePort } from "../support/servers/postgres.ts";
import { expectNoSecrets } from "../support/expect/secrets.ts";
import { tempDir } from "../support/machine/temp.ts";

const password = "s3cret-Pass#word";
const earlier = "app_2024-01-01_00-00-00.sql.gz";
let server: MysqlServer;
let scripts: Installation;

beforeAll(async () => {
  server = await startMysql("mariadb");
  await server.createDatabase("app", "CREATE TABLE t (a int PRIMARY KEY, b text); CREATE TABLE hidden (a int);");
  await server.sql("app", "INSERT INTO t SELECT seq, repeat('x', 1000) FROM seq_1_to_3000");
  await server.sql("mysql", `CREATE USER backup IDENTIFIED BY '${password}'`);
});
afterAll(() => server.stop());
beforeEach(async () => {
  scripts?.remove();
  scripts = installScripts(server.settings("app"));
  mkdirSync(scripts.backups, { mode: 0o700 });
  for (const name of [earlier, `${earlier}.json`]) writeFileSync(join(scripts.backups, name), "of last year");
  await server.sql("mysql", "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON app.* TO backup");
});
afterAll(() => scripts.remove());

const limited = () => server.settings("app", { user: "backup", password });
const programs = ["mariadb-dump", "mariadb"];
/** A folder of client programs in which the dump program is that script. */
const withDump = (script: string) => clientsWith(server.clientDir, { "mariadb-dump": script }, programs);

/** Failed with a status, a message and a hint; the earlier backup is there alone and untouched. */
function expectFailed(ran: Ran, status: number, message: RegExp, hint: RegExp): void {
  expect(ran.status, ran.stderr).toBe(status);
  expect(ran.stderr).toMatch(message);
  expect(ran.stderr).toMatch(new RegExp(`hint: .*${hint.source}`));
  expect(ran.stdout).toBe("");
  const left = scripts.everything().filter((name) => !name.endsWith(".lock") && !name.endsWith(".lock.holder"));
  expect(left).toEqual([earlier, `${earlier}.json`]);
  expect(readFileSync(join(scripts.backups, earlier), "utf8")).toBe("of last year");
  expectNoSecrets(ran.stderr, [password, server.password]);
}

test("the server is down: three tries, each logged", async () => {
  const ran = await scripts.run("backup", [], { env: { ...server.settings("app"), DB_PORT: String(freePort()) } });
  expectFailed(ran, 1, /Can't connect/, /is the server running/);
  expect(ran.stderr).toMatch(/try 1 of 3[\s\S]*try 2 of 3/);
});

test("a wrong password: one try is enough", async () => {
  const ran = await scripts.run("backup", [], { env: { ...limited(), DB_PASSWORD: "wrong-secret" } });
  expectFailed(ran, 1, /Access denied/, /check user and password/);
  expect(ran.stderr).not.toContain("try 1 of 3");
  expectNoSecrets(ran.stderr, ["wrong-secret"]);
});

test("TLS is required and the server has none: nothing is dumped in the clear", async () => {
  const { DB_HOST, DB_PORT, DB_USER, DB_PASSWORD = "" } = server.settings("app");
  const login = `${DB_USER}:${encodeURIComponent(DB_PASSWORD)}@${DB_HOST}:${DB_PORT}`;
  const backUp = async (mode: string) => {
    scripts.configure({ DATABASE_URL: `mariadb://${login}/app?ssl-mode=${mode}` });
    return scripts.run("backup");
  };
  for (const mode of ["REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"])
    expectFailed(await backUp(mode), 1, /is not encrypted|SSL|TLS/, /enable TLS on the server|TLS failed/);
  expect((await backUp("REQUIRED")).stderr).toContain("is not encrypted, but ssl-mode=REQUIRED asks for that");
  const preferred = await backUp("PREFERRED");
  expect(preferred.status, preferred.stderr).toBe(0);
});

test("no such database", async () => {
  const ran = await scripts.run("backup", [], { env: { ...server.settings("app"), DB_NAME: "nowhere" } });
  expectFailed(ran, 1, /Unknown database 'nowhere'/, /check the name of the database/);
});

test("no privilege on one table: it would be missing without a word", async () => {
  await server.sql(
    "mysql",
    "REVOKE ALL PRIVILEGES, GRANT OPTION FROM backup; GRANT SELECT, SHOW VIEW, TRIGGER ON app.t TO backup",
  );
  const ran = await scripts.run("backup", [], { env: limited() });
  expectFailed(ran, 1, /lacks SELECT, TRIGGER, EVENT on the whole database app/, /GRANT SELECT/);
});

test("no privilege for events, for the text of a view, for triggers", async () => {
  const without = async (privilege: string) => {
    await server.sql("mysql", `REVOKE ${privilege} ON app.* FROM backup`);
    const ran = await scripts.run("backup", [], { env: limited() });
    await server.sql("mysql", `GRANT ${privilege} ON app.* TO backup`);
    return ran;
  };
  await server.sql("app", "CREATE OR REPLACE VIEW v AS SELECT a FROM t");
  expectFailed(await without("EVENT"), 1, /lacks EVENT/, /GRANT SELECT/);
  expectFailed(await without("SHOW VIEW"), 1, /SHOW VIEW command denied/, /lacks a privilege/);
  expectFailed(await without("TRIGGER"), 1, /lacks TRIGGER/, /GRANT SELECT/);
  await server.sql("app", "DROP VIEW v");
  const ran = await scripts.run("backup", [], { env: limited() });
  expect(ran.status, ran.stderr).toBe(0);
  expect(ran.stderr).toMatch(/WARN .*stored procedures and functions/);
});

test("a broken view is named", async () => {
  await server.sql("app", "CREATE TABLE gone (a int); CREATE VIEW broken AS SELECT a FROM gone; DROP TABLE gone");
  const ran = await scripts.run("backup");
  await server.sql("app", "DROP VIEW broken");
  expectFailed(ran, 1, /app\.broken/, /fix or drop it/);
});

test("mariadb-dump is killed in the middle", async () => {
  const dir = withDump(`"$REAL" "$@" 2>&- | head -c 500000; kill -9 $$`);
  const ran = await scripts.run("backup", [], { env: { DB_CLIENT_DIR: dir } });
  expectFailed(ran, 1, /killed by signal 9/, /it was killed/);
});

test("mariadb-dump exits with 0 but stopped early", async () => {
  const dir = withDump(`"$REAL" "$@" | head -n -1`);
  const ran = await scripts.run("backup", [], { env: { DB_CLIENT_DIR: dir } });
  expectFailed(ran, 1, /exited with status 0, but the dump is incomplete/, /it stopped early/);
});

test("mariadb-dump is missing", async () => {
  const ran = await scripts.run("backup", [], { env: { DB_CLIENT_DIR: tempDir("nothing") } });
  expectFailed(ran, 3, /neither mariadb-dump nor mysqldump was found/, /apt-get install mariadb-client/);
});

test("MySQL's program does not fit MariaDB", async () => {
  const dir = tempDir("clients");
  const script = "#!/bin/sh\n[ \"$1\" = --version ] && echo 'mysqldump  Ver 8.0.36 for Linux on x86_64'\nexit 0\n";
  writeFileSync(join(dir, "mysqldump"), script, { mode: 0o755 });
  const ran = await scripts.run("backup", [], { env: { DB_CLIENT_DIR: dir } });
  expectFailed(ran, 3, /mysqldump 8\.0\.36 .* does not fit/, /apt-get install mariadb-client/);
});

test("options that would break the promise are refused before anything happens", async () => {
  const ran = await scripts.run("backup", [], { env: { DB_DUMP_OPTIONS: "--skip-comments" } });
  expectFailed(ran, 2, /DB_DUMP_OPTIONS: --skip-comments cannot be used/, /set by the backup itself/);
});

test("options that leave no backup: rows without their tables", async () => {
  const ran = await scripts.run("backup", [], { env: { DB_DUMP_OPTIONS: "--no-create-info --skip-triggers" } });
  expectFailed(ran, 1, /a restore would refuse this backup: .* that it does not create/, /check DB_DUMP_OPTIONS/);
});

/** A backup that stands still in the middle of its dump; `first` is what the dump program does before. */
async function inTheMiddle(first = "") {
  const dump = pausingDump(server.clientDir, 200_000, programs, first);
  const running = scripts.start("backup", [], { env: { DB_CLIENT_DIR: dump.clientDir } });
  await dump.paused();
  return { running, goOn: dump.resume };
}

test("the server stops in the middle", async () => {
  // more than fits into the pipes between server and client
  await server.sql("app", "CREATE TABLE more AS SELECT seq, repeat('x', 100000) AS b FROM seq_1_to_1000");
  const { running, goOn } = await inTheMiddle();
  await server.crash();
  goOn();
  const ran = await running.done;
  await server.restart();
  await server.sql("app", "DROP TABLE more");
  expectFailed(ran, 1, /Lost connection|gone away/, /the server ended the connection/);
});

const signals = [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const;
test.each(signals)("%s in the middle", async (signal, status) => {
  const { running, goOn } = await inTheMiddle();
  running.kill(signal);
  const ran = await running.done;
  goOn();
  expect(ran.status, ran.stderr).toBe(status);
  expect(scripts.list()).toEqual([earlier]);
  expect(scripts.everything().filter((name) => name.endsWith(".partial"))).toEqual([]);
});

test("two runs at once: the second says who is at it", async () => {
  const { running, goOn } = await inTheMiddle();
  const second = await scripts.run("backup");
  expect(second.status, second.stderr).toBe(5);
  expect(second.stderr).toContain(`backup, process ${running.pid}`);
  goOn();
  expect((await running.done).status).toBe(0);
  expect(scripts.list()).toHaveLength(2);
});

test("the login is on no command line and in no environment, and its file has no name", async () => {
  const seen = tempDir("seen");
  const record = (name: string) => `
    tr '\\0' '\\n' < /proc/self/environ > '${seen}/${name}.env'; echo "$@" > '${seen}/${name}.args'
    stat -Lc '%a %h' "\${1#--defaults-file=}" > '${seen}/${name}.mode'\n`;
  const read = (name: string) => readFileSync(join(seen, name), "utf8");
  const { running, goOn } = await inTheMiddle(record("middle"));
  goOn();
  expect((await running.done).status).toBe(0);
  const exec = `exec "$REAL" "$@"`;
  const scriptsOf = { "mariadb-dump": `${record("dump")}${exec}`, mariadb: `${record("client")}${exec}` };
  const dir = clientsWith(server.clientDir, scriptsOf, programs);
  expect((await scripts.run("backup", [], { env: { DB_CLIENT_DIR: dir } })).status).toBe(0);
  for (const name of ["middle", "dump", "client"]) {
    expectNoSecrets(read(`${name}.args`) + read(`${name}.env`), [server.password]);
    expect(read(`${name}.mode`)).toBe("600 0\n");
  }
});

test("foreign keys with a backtick in their name, which MariaDB cannot read back: the backup fails and names the key", async () => {
  const key = (name: string) => `CONSTRAINT \`${name}\` FOREIGN KEY (a) REFERENCES odd_parent (a)`;
  await server.sql("app", "CREATE TABLE odd_parent (a int PRIMARY KEY)");
  for (const keys of [key("we``ird"), `${key("we``ird")}, ${key("we``ird2")}`]) {
    await server.sql("app", `CREATE OR REPLACE TABLE odd (a int, ${keys})`);
    expectFailed(await scripts.run("backup"), 1, /foreign key with a backtick in its name, `we`ird`, /, /drop the key/);
  }
  await server.sql("app", "DROP TABLE odd, odd_parent");
});
