/** Shell 2.3 to 2.5 with MariaDB: what cannot be loaded is refused before; what fails in the middle can be taken back. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { sealing } from "../support/expect/age.ts";
import { clientsWith } from "../support/servers/clients.ts";
import { type Installation, installScripts, type Ran, startOnTerminal } from "../support/machine/executables.ts";
import { expectState, stateOf } from "../support/expect/mysql-oracle.ts";
import { families, type MysqlServer, startMysql } from "../support/servers/mysql.ts";
import type { State } from "../support/expect/oracle.ts";
import { tempDir } from "../support/machine/temp.ts";
import { until } from "../support/machine/until.ts";
import { describeWhere } from "../support/machine/where.ts";

const content = `
  CREATE TABLE t (a int PRIMARY KEY, b text); INSERT INTO t VALUES (1, 'present'), (2, 'state');
  CREATE TABLE only_here (a int); INSERT INTO only_here VALUES (1);
  CREATE VIEW v AS SELECT a FROM t;
  CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.b = upper(NEW.b);
  CREATE PROCEDURE p() SELECT 1;`;
const dumpName = "dump.sql";
const programs = ["mariadb-dump", "mariadb"];

let server: MysqlServer;
let scripts: Installation;
let before: State;
/** A plain dump of another state of the database, made elsewhere. */
let dump = "";
let dir = "";

beforeAll(async () => {
  server = await startMysql("mariadb");
  await server.createDatabase(
    "other",
    "CREATE TABLE t (a int PRIMARY KEY, b text); INSERT INTO t VALUES (7, 'other');",
  );
  await server.sql("other", "CREATE TABLE u (a int); CREATE VIEW w AS SELECT a FROM u; CREATE PROCEDURE p() SELECT 2;");
  dump = await server.client("mariadb-dump", ["--routines", "--triggers", "other"]);
});
afterAll(() => server.stop());
beforeEach(async () => {
  scripts?.remove();
  await server.dropDatabase("app");
  await server.createDatabase("app", content);
  before = await stateOf(server, "app");
  scripts = installScripts(server.settings("app"));
  dir = tempDir("dumps");
});
afterAll(() => scripts.remove());

/** Writes a changed dump; returns its path. */
function write(change: (text: string) => string, name = dumpName): string {
  const file = join(dir, name);
  writeFileSync(file, change(dump));
  return file;
}
/** Puts SQL before the dump's last words. */
const withEnd = (sql: string) => (text: string) => text.replace(/(?=\n-- Dump completed)/, `\n${sql}\n`);
const safetyBackups = () => {
  const folder = join(scripts.backups, "before-restore");
  return existsSync(folder)
    ? readdirSync(folder).filter((name) => /\.sql(\.gz)?(\.age)?$/.test(name) && name[0] !== ".")
    : [];
};

async function expectRefused(ran: Ran, status: number, message: RegExp): Promise<void> {
  expect(ran.status, ran.stderr).toBe(status);
  expect(ran.stderr).toMatch(message);
  expect(ran.stderr).toContain("hint: ");
  expect(safetyBackups()).toEqual([]);
  await expectState(server, "app", before);
}

test("shell 2.3, 2.4: no backups, no such file", async () => {
  await expectRefused(await scripts.run("restore"), 4, /no backups of app are available/);
  await expectRefused(await scripts.run("restore", ["nothing.sql"]), 4, /backup file not found/);
});

test("truncated, changed and strange files", async () => {
  const good = (await scripts.run("backup")).stdout.trim();
  const backup = join(scripts.backups, "app_2099-01-01_00-00-00.sql.gz");
  copyFileSync(good, backup);
  truncateSync(backup, 900);
  await expectRefused(await scripts.run("restore", [backup]), 1, /cut short|unexpected end|breaks off|truncated/i);
  const bytes = readFileSync(good);
  bytes[bytes.length >> 1]! ^= 1;
  writeFileSync(good, bytes);
  await expectRefused(await scripts.run("restore", [good]), 1, /damaged/);
  const cases: [RegExp, (text: string) => string][] = [
    [/incomplete/, (text) => text.slice(0, text.lastIndexOf("-- Dump"))],
    [/breaks off/, (text) => text.slice(0, text.indexOf("VALUES") + 10)],
    [/is a dump of PostgreSQL/, () => "--\n-- PostgreSQL database dump\n--\n"],
    [/no dump of mysqldump/, () => "SELECT 1;\n"],
    [/holds several databases \(other, a …\), a restore takes one/, withEnd("USE `a`;\nUSE `b`;")],
    [
      /Unknown collation: 'nowhere_ci'.*hint: the server does not take what the dump holds/s,
      withEnd("CREATE TABLE `x` (`a` int) COLLATE=nowhere_ci;"),
    ],
    [/storage engine RocksDB/, withEnd("CREATE TABLE `x` (`a` int) ENGINE=RocksDB;")],
  ];
  for (const [message, change] of cases)
    await expectRefused(await scripts.run("restore", ["--replace", write(change)]), 1, message);
});

test("no command of the client program runs", async () => {
  const mark = join(dir, "was-here");
  const commands = [`\\! touch ${mark}`, `SELECT 1 \\! touch ${mark}`, `/*!50000 SELECT 1 \\! touch ${mark} */;`];
  for (const command of commands)
    await expectRefused(await scripts.run("restore", [write(withEnd(command))]), 1, /which a restore does not run/);
  const ran = await scripts.run("restore", [write(withEnd(`system touch ${mark};\nsource /etc/passwd;`))]);
  expect(ran.status, ran.stderr).toBe(1);
  expect(existsSync(mark)).toBe(false);
});

/** What a failed load cannot take back is done only when it is asked for. */
const inPlace = ["--in-place", "--replace"];

test("accounts that are not there: refused with their names; with --no-owner all belongs to the user", async () => {
  const file = write((text) => text.replaceAll("`admin`@`%`", "`gone`@`10.%`"));
  await expectRefused(
    await scripts.run("restore", [...inPlace, file]),
    1,
    /accounts not on the server: `gone`@`10\.%`; create them/,
  );
  const ran = await scripts.run("restore", [...inPlace, file, "--no-owner"]);
  expect(ran.status, ran.stderr).toBe(0);
  const definers = await server.sql(
    "mysql",
    "SELECT definer FROM information_schema.routines WHERE routine_schema = 'app'",
  );
  expect(definers).toBe("admin@%");
});

test("a user that owns the database alone restores it, and is told what it lacks", async () => {
  const login = { user: "owner", password: "owner-pass" };
  await server.sql(
    "mysql",
    `CREATE OR REPLACE USER owner IDENTIFIED BY '${login.password}'; GRANT ALL ON app.* TO owner`,
  );
  const env = server.settings("app", login);
  const file = write((text) => text);
  await expectRefused(
    await scripts.run("restore", [...inPlace, file], { env }),
    1,
    /may not create any in the name of others/,
  );
  const ran = await scripts.run("restore", [...inPlace, file, "--no-owner", "--no-safety-backup"], { env });
  expect(ran.status, ran.stderr).toBe(0);
  const restored = await stateOf(server, "app");
  await server.sql("mysql", "SET GLOBAL read_only = ON");
  const replica = await scripts.run("restore", [...inPlace, file, "--no-owner", "--no-safety-backup"], { env });
  await server.sql("mysql", "SET GLOBAL read_only = OFF");
  expect([replica.status, replica.stderr]).toEqual([1, expect.stringContaining("hint: the server is read-only")]);
  await expectState(server, "app", restored);
  await server.sql("mysql", "REVOKE DROP, TRIGGER ON app.* FROM owner");
  const refused = await scripts.run("restore", [...inPlace, file, "--no-owner"], { env });
  expect(refused.stderr).toContain("owner@% lacks DROP on the database");
  await server.sql("mysql", "DROP USER owner");
});

describe("a dump that fails in the middle", () => {
  const failing = () => write(withEnd("ALTER TABLE `u` ADD COLUMN `a` int COMMENT 'private data';"));

  test("the message names the state before and the command that brings it back, and it does", async () => {
    const settings = join(dir, "other settings.sh");
    renameSync(join(scripts.dir, ".env.sh"), settings);
    const ran = await scripts.run("restore", [...inPlace, failing(), "--env-file", basename(settings)], { cwd: dir });
    expect(ran.status, ran.stderr).toBe(1);
    expect(ran.stderr).toContain("Duplicate column name 'a'");
    expect(ran.stderr).not.toContain("private data");
    const [kept = ""] = safetyBackups();
    const path = join(scripts.backups, "before-restore", kept);
    expect(ran.stderr).toContain(`the state before the restore lies in ${path}`);
    const command = /hint: to bring back the state before the restore: (.*)$/m.exec(ran.stderr)?.[1] ?? "";
    expect(await server.sql("app", "SELECT b FROM t")).toBe("other");
    const back = Bun.spawnSync(["/bin/sh", "-c", command], { env: { PATH: process.env.PATH }, stderr: "pipe" });
    expect(back.exitCode, back.stderr.toString()).toBe(0);
    await expectState(server, "app", before);
    // it is not taken for a regular backup, by a restore or as the one before
    expect(scripts.list()).toEqual([]);
    expect((await scripts.run("restore", ["--env-file", settings])).status).toBe(4);
  });

  test("--no-safety-backup goes without", async () => {
    const ran = await scripts.run("restore", [...inPlace, failing(), "--no-safety-backup"]);
    expect(ran.status, ran.stderr).toBe(1);
    expect(ran.stderr).toContain("neither as it was nor as in the backup");
    expect(safetyBackups()).toEqual([]);
  });
});

test("the safety backup is whole, whatever regular backups leave out", async () => {
  const env = { DB_DUMP_OPTIONS: "--ignore-table=app.only_here" };
  const ran = await scripts.run("restore", [...inPlace, write((text) => text), "--keep-safety-backup"], { env });
  expect(ran.status, ran.stderr).toBe(0);
  const path = join(scripts.backups, "before-restore", safetyBackups()[0] ?? "");
  expect((await scripts.run("restore", [...inPlace, path])).status).toBe(0);
  await expectState(server, "app", before);
});

test("a restore into a database of another name leaves the first one's sequences alone", async () => {
  await server.sql("app", "CREATE SEQUENCE seq; CREATE TABLE numbered (a int DEFAULT nextval(seq), b int)");
  const taken = await scripts.run("backup");
  await server.createDatabase("copy");
  const ran = await scripts.run("restore", [taken.stdout.trim()], { env: server.settings("copy") });
  expect(ran.status, ran.stderr).toBe(0);
  const numbers = await server.sql(
    "copy",
    "INSERT INTO numbered (b) VALUES (1), (2); SELECT group_concat(a) FROM numbered",
  );
  expect(numbers).toBe("1,2");
  expect(await server.sql("app", "SELECT nextval(seq)")).toBe("1");
  await server.dropDatabase("copy");
});

test.each([
  ["", {}],
  [", encrypted and signed where backups are", sealing()],
])("N1: --keep-safety-backup keeps it also after success, with a manifest%s", async (_, sealed) => {
  scripts.configure({ ...server.settings("app"), ...sealed });
  const file = write((text) => text);
  const ran = await scripts.run("restore", [...inPlace, file, "--keep-safety-backup", "--unsigned"]);
  expect(ran.status, ran.stderr).toBe(0);
  const [kept = ""] = safetyBackups();
  const path = join(scripts.backups, "before-restore", kept);
  expect(ran.stderr).toContain(`the state before is kept in ${path}`);
  expect(existsSync(`${path}.json`)).toBe(true);
  expect(path.endsWith(".age")).toBe("AGE_RECIPIENTS" in sealed);
  const back = await scripts.run("restore", [...inPlace, path, "--no-safety-backup"]);
  expect(back.status, back.stderr).toBe(0);
  await expectState(server, "app", before);
});

test("the safety backup stays after success, and is named; to keep it and to take none is a contradiction", async () => {
  const ran = await scripts.run("restore", [...inPlace, write((text) => text)]);
  expect(ran.status, ran.stderr).toBe(0);
  const [, told = ""] = /the state before the restore lies in (\S+);/.exec(ran.stderr) ?? [];
  expect(ran.stderr).toContain(`the state before is kept in ${told}`);
  expect(safetyBackups()).toEqual([basename(told)]);
  const both = await scripts.run("restore", ["--keep-safety-backup", "--no-safety-backup"]);
  expect([both.status, both.stderr.includes("contradict each other")]).toEqual([2, true]);
});

test("a safety backup that fails: nothing is touched", async () => {
  const bin = clientsWith(server.clientDir, { "mariadb-dump": "exit 3" }, programs);
  const ran = await scripts.run("restore", [...inPlace, write((text) => text)], { env: { DB_CLIENT_DIR: bin } });
  await expectRefused(ran, 1, /could not back up the present state; nothing was changed/);
  expect(ran.stderr).toContain("hint: --no-safety-backup restores without one");
});

test("a dry run and a terminal tell what goes before anything is touched", async () => {
  const file = write((text) => text);
  const dry = await scripts.run("restore", [...inPlace, file, "--dry-run"]);
  expect(dry.status, dry.stderr).toBe(0);
  const told = "then everything in the database (2 tables) is replaced by the backup (2 tables)";
  expect(dry.stdout).toContain(told);
  const terminal = startOnTerminal([join(scripts.dir, "restore"), ...inPlace, file], {});
  await terminal.sees("Type yes to go on");
  expect(terminal.shown().replaceAll(/\s+/g, " ")).toContain(told);
  terminal.type("no\r");
  expect(await terminal.exited).toBe(1);
  expect(safetyBackups()).toEqual([]);
  await expectState(server, "app", before);
});

/** A restore whose first loading client stands still once it has taken the head of the dump. */
async function inTheMiddle() {
  const marks = tempDir("marks");
  const pause = `case " $* " in *--unbuffered*--database=app*) mkdir '${marks}/first' 2>/dev/null && {
    { head -c 1500; : > '${marks}/reached'; while [ ! -e '${marks}/go' ]; do sleep 0.05; done; cat; } | "$REAL" "$@"; exit $?; };; esac
    exec "$REAL" "$@"`;
  const bin = clientsWith(server.clientDir, { mariadb: pause }, programs);
  const running = scripts.start("restore", [...inPlace, write((text) => text)], { env: { DB_CLIENT_DIR: bin } });
  await until("the load is under way", () => existsSync(join(marks, "reached")));
  return { running, goOn: () => writeFileSync(join(marks, "go"), "") };
}

test.each([
  ["SIGTERM", 143],
  ["SIGINT", 130],
  ["SIGKILL", 137],
] as const)("%s in the middle: no success, and the way back is in the log", async (signal, status) => {
  const { running, goOn } = await inTheMiddle();
  running.kill(signal);
  goOn();
  const ran = await running.done;
  expect(ran.status, ran.stderr).toBe(status);
  expect(ran.stderr).not.toContain("restore done");
  const command = ran.stderr.match(/to bring it back: (.*)$/m)?.[1] ?? "";
  const [kept = ""] = safetyBackups();
  expect(command).toEndWith(`--no-safety-backup ${join(scripts.backups, "before-restore", kept)}`);
  const back = Bun.spawnSync(["/bin/sh", "-c", command], { env: { PATH: process.env.PATH }, stderr: "pipe" });
  expect(back.exitCode, back.stderr.toString()).toBe(0);
  await expectState(server, "app", before);
});

test("the client exits with 0 before it has taken all: no success", async () => {
  const cut = `case " $* " in *--unbuffered*--database=app*) head -c 1500 | "$REAL" "$@"; exit 0;; esac; exec "$REAL" "$@"`;
  const bin = clientsWith(server.clientDir, { mariadb: cut }, programs);
  const ran = await scripts.run("restore", [...inPlace, write((text) => text)], { env: { DB_CLIENT_DIR: bin } });
  expect(ran.status, ran.stderr).toBe(1);
  expect(safetyBackups()).toHaveLength(1);
});

test("a restore that another session holds up ends, and nothing was changed", async () => {
  const holder = server.sql("app", "START TRANSACTION; SELECT * FROM t; SELECT sleep(600)").catch(() => "");
  const id = () =>
    server
      .sql("mysql", "SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT sleep%'")
      .then((text) => text.split("\n")[0]);
  const session = await until("the other session holds the table", id);
  const ran = await scripts.run("restore", [...inPlace, write((text) => text)]);
  await server.sql("mysql", `KILL ${session}`);
  await holder;
  expect(ran.status, ran.stderr).toBe(1);
  expect(ran.stderr).toMatch(/is in use, and nothing was changed: .*Lock wait timeout exceeded/);
  expect(ran.stderr).toContain("hint: another session was in the way");
  await expectState(server, "app", before);
});

test("a prepared transaction holds a restore up: in place nothing was changed; beside it is tried again until the transaction is over", async () => {
  const xa = "XA START 'held'; INSERT INTO t VALUES (9, 'held'); XA END 'held'; XA PREPARE 'held'";
  await server.sql("app", xa);
  const file = write((text) => text);
  const ran = await scripts.run("restore", [...inPlace, file]);
  expect(ran.status, ran.stderr).toBe(1);
  expect(ran.stderr).toMatch(/is in use, and nothing was changed: .*Lock wait timeout exceeded/);
  expect(ran.stderr).toContain("XA RECOVER");
  await expectState(server, "app", before);
  const running = scripts.start("restore", ["--replace", file]);
  await until("it waits", () => running.stderr().includes("next try in 1 s (1 of 25)"));
  await server.sql("app", "XA ROLLBACK 'held'");
  expect(await running.done).toMatchObject({ status: 0 });
  await expectState(server, "app", await stateOf(server, "other"));
});

test("a damaged table: no safety backup can be taken, a restore without one mends it", async () => {
  await server.sql("app", "ALTER TABLE t ENGINE = MyISAM");
  const whole = await stateOf(server, "app");
  const taken = await scripts.run("backup");
  expect(taken.status, taken.stderr).toBe(0);
  await server.sql("app", "FLUSH TABLES");
  rmSync(join(server.data, "app/t.MYD"));
  const refused = await scripts.run("restore", inPlace);
  expect(refused.status, refused.stderr).toBe(1);
  expect(refused.stderr).toContain("could not back up the present state; nothing was changed");
  const ran = await scripts.run("restore", [...inPlace, "--no-safety-backup"]);
  expect(ran.status, ran.stderr).toBe(0);
  await expectState(server, "app", whole);
});

describeWhere(families.includes("mysql"), "a MySQL server")("between MariaDB and MySQL", () => {
  let mysql: MysqlServer;
  beforeAll(async () => {
    mysql = await startMysql("mysql");
  });
  afterAll(() => mysql.stop());
  const simple = `CREATE TABLE t (a int PRIMARY KEY AUTO_INCREMENT, b varchar(20), c datetime DEFAULT CURRENT_TIMESTAMP)
    DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_unicode_ci; INSERT INTO t VALUES (5, 'ü😀', '2024-01-01');`;
  const generated = "CREATE TABLE g (a int, b int GENERATED ALWAYS AS (a + 1) STORED); INSERT INTO g (a) VALUES (1);";
  const rows = (at: MysqlServer) => at.sql("app", "SELECT * FROM t");

  /** Backs up `from` and restores that on `to`. */
  async function carry(from: MysqlServer, to: MysqlServer, text: string): Promise<Ran> {
    for (const at of [from, to]) {
      await at.dropDatabase("app");
      await at.createDatabase("app");
    }
    await from.sql("app", text);
    const taken = await scripts.run("backup", [], { env: from.settings("app") });
    expect(taken.status, taken.stderr).toBe(0);
    return scripts.run("restore", ["--no-owner"], { env: to.settings("app") });
  }

  test("what both know goes from one to the other, with triggers, events and procedures of MariaDB", async () => {
    const programs =
      "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.b = 'x'; CREATE PROCEDURE p() SELECT 1;";
    const there = await carry(server, mysql, `${simple} ${programs}`);
    expect(there.status, there.stderr).toBe(0);
    expect(await rows(mysql)).toBe(await rows(server));
    const back = await carry(mysql, server, simple);
    expect(back.status, back.stderr).toBe(0);
    expect(await rows(server)).toBe(await rows(mysql));
  });

  test.each([
    ["MariaDB's values of generated columns", "mariadb", generated, /ERROR 3105 .*'b' in table 'g'/],
    ["MariaDB's sequences", "mariadb", "CREATE SEQUENCE s", /ERROR 1064 /],
    ["MariaDB's system-versioned tables", "mariadb", "CREATE TABLE h (a int) WITH SYSTEM VERSIONING", /ERROR 1064 /],
    [
      "MariaDB's programs in the mode ORACLE",
      "mariadb",
      "SET sql_mode = 'ORACLE';\nDELIMITER //\nCREATE FUNCTION f RETURN int AS BEGIN RETURN 1; END //\nDELIMITER ;",
      /ERROR (1231|1064) /,
    ],
    ["MySQL's keys over expressions", "mysql", "CREATE TABLE f (a int, KEY ((a + 1)))", /ERROR 1064 /],
    ["MySQL's collations", "mysql", "CREATE TABLE f (a text COLLATE utf8mb4_0900_as_cs)", /ERROR (1273|1064) /],
    [
      "MySQL's constraints that are not enforced",
      "mysql",
      "CREATE TABLE f (a int, CHECK (a > 1) NOT ENFORCED)",
      /MariaDB would enforce constraints that the dump does not enforce \(f\)/,
    ],
  ] as const)("%s: the other server does not take them, and nothing was changed", async (_, family, text, reason) => {
    const [from, to] = family === "mysql" ? [mysql, server] : [server, mysql];
    await carry(from, to, "CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1)");
    await from.sql("app", text);
    expect((await scripts.run("backup", [], { env: from.settings("app") })).status).toBe(0);
    for (const [args, words] of [
      [["--no-owner"], reason],
      [["--in-place"], /the dump comes from .*: restore without --in-place/],
    ] as const) {
      const ran = await scripts.run("restore", [...args], { env: to.settings("app") });
      expect([ran.status, ran.stderr]).toEqual([1, expect.stringMatching(words)]);
      expect(ran.stderr).toContain("nothing was changed");
      expect(await rows(to)).toBe("1");
    }
  });

  test("a database with a collation that the other server does not know, and tables that it knows: restored, with a warning", async () => {
    await mysql.sql("mysql", "DROP DATABASE app; CREATE DATABASE app COLLATE utf8mb4_0900_ai_ci");
    await mysql.sql("app", simple);
    expect((await scripts.run("backup", [], { env: mysql.settings("app") })).status).toBe(0);
    await server.dropDatabase("app");
    const ran = await scripts.run("restore", ["--no-owner"], { env: server.settings("app") });
    expect(ran.status, ran.stderr).toBe(0);
    expect(ran.stderr).toMatch(/WARN .*compares texts differently: .*Unknown collation: 'utf8mb4_0900_ai_ci'/);
    expect(await rows(server)).toBe(await rows(mysql));
  });

  test("MariaDB's program backs MySQL up only when MySQL could take it back", async () => {
    const env = { ...mysql.settings("app"), DB_CLIENT_DIR: server.clientDir };
    await mysql.dropDatabase("app");
    await mysql.createDatabase("app", simple);
    const good = await scripts.run("backup", [], { env });
    expect(good.status, good.stderr).toBe(0);
    expect(good.stderr).toMatch(/WARN .*better install MySQL's own mysqldump/);
    const restored = await scripts.run("restore", [], { env });
    expect(restored.status, restored.stderr).toBe(0);
    await mysql.sql("app", generated);
    const refused = await scripts.run("backup", [], { env });
    expect(refused.status, refused.stderr).toBe(3);
    expect(refused.stderr).toMatch(/values of generated columns, which MySQL does not take back \(g\.b\)/);
  });
});

test("F: a dump with the line ends of Windows is restored as it was; one behind a warning is named with the command that helps", async () => {
  const file = write((text) => text.replaceAll("\n", "\r\n"));
  const ran = await scripts.run("restore", [file, "--yes", "--into", "copy"]);
  expect(ran).toMatchObject({ status: 0 });
  await expectState(server, "copy", await stateOf(server, "other"));
  await server.dropDatabase("copy");
  const warned = write((text) => `mysqldump: [Warning] Using a password on the command line\n${text}`, "warned.sql");
  await expectRefused(await scripts.run("restore", [warned, "--yes"]), 1, /error output.*hint: .*sed 1d FILE/s);
});
