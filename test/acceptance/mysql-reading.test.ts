/** Shell 1.4 with MariaDB and MySQL: what a backup reads is all there is, whatever the server's settings, locks and privileges. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { clientsWith } from "../support/servers/clients.ts";
import { type Installation, installScripts, type Ran } from "../support/machine/executables.ts";
import { expectState, stateOf } from "../support/expect/mysql-oracle.ts";
import { clientName, dumpName, families, type MysqlServer, startMysql } from "../support/servers/mysql.ts";
import { tempDir } from "../support/machine/temp.ts";
import { until } from "../support/machine/until.ts";

const rows = Array.from({ length: 9 }, (_, at) => `(${at})`).join(", ");
const content = ["a", "b", "c", "d", "e"]
  .map((table) => `CREATE TABLE ${table} (id int PRIMARY KEY); INSERT INTO ${table} VALUES ${rows};`)
  .join("\n");
const triggers = ["x", "y", "z", "u", "v"]
  .map((name) => `CREATE TRIGGER ${name} BEFORE INSERT ON a FOR EACH ROW SET @a = 1;`)
  .join("\n");

/** MariaDB dumps it as it stands here. */
const odd = "create trigger /* odd */ app . odd after insert on app.b for each row set @a = 1;";

describe.each([...families])("%s", (family) => {
  let server: MysqlServer;
  let scripts: Installation;
  beforeAll(async () => {
    server = await startMysql(family);
    await server.createDatabase("app", `${content} ${triggers} ${odd} CREATE PROCEDURE p() SELECT 1;`);
    scripts = installScripts({ ...server.settings("app"), BACKUP_COMPRESSION: "none" });
  });
  afterAll(async () => {
    await server.stop();
    scripts.remove();
  });

  const sqlOf = async (ran: Ran) => {
    expect(ran.status, ran.stderr).toBe(0);
    return Bun.file(ran.stdout.trim()).text();
  };
  const count = (text: string, what: RegExp) => text.match(what)?.length ?? 0;

  test("M3: sql_select_limit and other limits of the server cut nothing, over TCP and the socket", async () => {
    const limits = { sql_select_limit: "3", sql_big_selects: "0", max_join_size: "2" };
    for (const [name, value] of Object.entries(limits)) await server.sql("mysql", `SET GLOBAL ${name} = ${value}`);
    const { DB_PORT: _, ...settings } = server.settings("app");
    const socket = await scripts.run("backup", [], { env: { ...settings, DB_PORT: "", DB_HOST: server.socket } });
    const ran = await scripts.run("backup");
    for (const name of Object.keys(limits)) await server.sql("mysql", `SET GLOBAL ${name} = DEFAULT`);
    for (const text of [await sqlOf(ran), await sqlOf(socket)]) {
      expect(count(text, /^CREATE TABLE/gm)).toBe(5);
      expect(count(text, /\(\d\)[,;]/g)).toBe(45);
      expect(count(text, /TRIGGER `?[xyzuv]`? /g)).toBe(5);
    }
  });

  // MariaDB's take them by the host
  if (family === "mysql")
    test("M3: a dump program that takes no settings for its session is refused while the server cuts results", async () => {
      const older = `# no init-command\n[ "$2" != --help ] || { "$REAL" "$@" | grep -v init-command; exit; }\nexec "$REAL" "$@"`;
      const clients = clientsWith(server.clientDir, { mysqldump: older }, ["mysql", "mysqldump"]);
      const run = () => scripts.run("backup", [], { env: { DB_CLIENT_DIR: clients } });
      await server.sql("mysql", "SET GLOBAL sql_select_limit = 3");
      const refused = await run();
      await server.sql("mysql", "SET GLOBAL sql_select_limit = DEFAULT");
      expect([refused.status, refused.stderr]).toEqual([
        1,
        expect.stringMatching(/sql_select_limit is 3, and mysqldump/),
      ]);
      expect(count(await sqlOf(await run()), /\(\d\)[,;]/g)).toBe(45);
    });

  test("M4: a role that is not active, and a grant on one table, hide nothing silently; an active role counts", async () => {
    const login = { user: "reader", password: "reader-pass" };
    const grant =
      "CREATE ROLE everything; GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON app.* TO everything; GRANT everything TO reader;" +
      "GRANT SELECT ON app.a TO reader; GRANT EVENT ON app.* TO reader; GRANT SELECT ON mysql.time_zone_name TO reader";
    await server.sql("mysql", `CREATE USER reader IDENTIFIED BY '${login.password}'; ${grant}`);
    const env = server.settings("app", login);
    const refused = await scripts.run("backup", [], { env });
    expect(refused.status, refused.stderr).toBe(1);
    expect(refused.stderr).toContain("lacks SELECT, TRIGGER on the whole database app");
    expect(refused.stderr).toContain("SET DEFAULT ROLE");
    await server.sql("mysql", `SET DEFAULT ROLE everything ${family === "mysql" ? "TO" : "FOR"} reader`);
    const ran = await scripts.run("backup", [], { env });
    expect(count(await sqlOf(ran), /^CREATE TABLE/gm)).toBe(5);
    expect(ran.stderr).toMatch(/WARN .*stored procedures and functions, if there are any, are not in the backup/);
    expect(ran.stderr).not.toContain(`${dumpName(family)} says`);
  });

  test("M4: a dump that lacks what the server lists fails, with the names; what was dropped meanwhile is a warning", async () => {
    const without = `"$REAL" "$@" | sed '/TRIGGER \`*x/,/;;/d' | sed '/^CREATE TABLE .c/,/^) /d'`;
    const cut = clientsWith(server.clientDir, { [dumpName(family)]: without }, [clientName(family), dumpName(family)]);
    const ran = await scripts.run("backup", [], { env: { DB_CLIENT_DIR: cut } });
    expect(ran.status, ran.stderr).toBe(1);
    expect(ran.stderr).toContain("the dump lacks what the server lists: table c, trigger x");
    const left = await scripts.run("backup", [], { env: { DB_DUMP_OPTIONS: "--ignore-table=app.c --skip-triggers" } });
    expect(left.status, left.stderr).toBe(0);
    await server.sql("app", "CREATE TABLE gone (a int)");
    const dropping = `[ "$1" = --version ] || mariadb --defaults-file='${server.loginFile}' app -e 'DROP TABLE IF EXISTS gone'; exec "$REAL" "$@"`;
    const drops = clientsWith(server.clientDir, { [dumpName(family)]: dropping }, [
      clientName(family),
      dumpName(family),
    ]);
    const tolerated = await scripts.run("backup", [], { env: { DB_CLIENT_DIR: drops } });
    expect(tolerated.status, tolerated.stderr).toBe(0);
    expect(tolerated.stderr).toContain("dropped while the backup ran, and not in it: table gone");
  });

  test("M5, M6: the dry run notes FLOAT; views over other databases are named; the nightly log is silent", async () => {
    await server.createDatabase("other", "CREATE TABLE o (id int PRIMARY KEY); INSERT INTO o VALUES (1)");
    await server.createDatabase("views", "CREATE TABLE f (id int PRIMARY KEY, weight float, price double)");
    await server.sql("views", "CREATE VIEW away AS SELECT o.id FROM f JOIN other.o ON o.id = f.id");
    const env = server.settings("views");
    const note = /note: .*FLOAT .*: f\.weight;/;
    const dry = await scripts.run("backup", ["--dry-run"], { env });
    expect([dry.status, dry.stderr]).toEqual([0, expect.stringMatching(note)]);
    const ran = await scripts.run("backup", [], { env });
    expect(ran.stderr).not.toContain("FLOAT");
    const restored = await scripts.run("restore", ["--dry-run", ran.stdout.trim()], { env });
    expect([restored.status, restored.stderr]).toEqual([0, expect.stringContaining("keep reading them: away (other)")]);
  });

  test("M8: a dump with rows alone is refused; one with none takes the place of the database only with --replace", async () => {
    const dump = async (...words: string[]) => {
      const file = join(tempDir("half"), "dump.sql");
      await server.client(dumpName(family), [`--result-file=${file}`, "--skip-triggers", ...words, "app"]);
      return file;
    };
    const rowsOnly = await dump("--no-create-info");
    for (const args of [[], ["--replace"], ["--in-place", "--replace"], ["--into", "halves"]]) {
      const ran = await scripts.run("restore", [rowsOnly, ...args]);
      expect([ran.status, ran.stderr]).toEqual([
        1,
        expect.stringContaining("rows of 5 tables that it does not create (a, b, c, d, e)"),
      ]);
    }
    const noRows = await dump("--no-data");
    const refused = await scripts.run("restore", [noRows]);
    expect([refused.status, refused.stderr]).toEqual([
      1,
      expect.stringMatching(
        /holds no rows of tables that have some in the database: .*\be \(about 9 rows\).*: add --replace .*--into NAME/,
      ),
    ]);
    expect(refused.stderr).not.toContain("--in-place");
    expect(await server.sql("app", "SELECT count(*) FROM e")).toBe("9");
    const into = await scripts.run("restore", [noRows, "--into", "halves"]);
    expect(into.status, into.stderr).toBe(0);
    await server.createDatabase("halved", "CREATE TABLE e (a int)");
    // MySQL remembers for a day what it has answered
    const counted = "SELECT table_rows FROM information_schema.tables WHERE table_schema = 'halved'";
    await server.sql("halved", `${counted}; INSERT INTO e VALUES (1)`);
    const env = server.settings("halved");
    const kept = await scripts.run("restore", [noRows], { env });
    expect([kept.status, kept.stderr]).toEqual([1, expect.stringContaining("in the database: e (about 1 row): add")]);
    const replaced = await scripts.run("restore", [noRows, "--replace"], { env });
    expect(replaced.status, replaced.stderr).toBe(0);
    expect(await server.sql("halved", "SELECT count(*) FROM e")).toBe("0");
    for (const name of ["halves", "halved"]) expect(await server.sql(name, "SHOW TABLES")).toBe("a\nb\nc\nd\ne");
  });

  test("M9: with a broken view the database is restored, beside and in place; the safety backup goes without the view", async () => {
    await server.createDatabase("broken", "CREATE TABLE b (i int); INSERT INTO b VALUES (1)");
    const env = server.settings("broken");
    const taken = await scripts.run("backup", [], { env });
    const spoil = () =>
      server.sql(
        "broken",
        "INSERT INTO b VALUES (2); CREATE TABLE a (i int); CREATE VIEW lost AS SELECT i FROM a; CREATE VIEW kept AS SELECT i FROM b; DROP TABLE a",
      );
    const there = () => server.sql("broken", "SHOW TABLES; SELECT count(*) FROM b");
    await spoil();
    const beside = await scripts.run("restore", [taken.stdout.trim()], { env });
    expect(beside.status, beside.stderr).toBe(0);
    expect(await there()).toBe("b\n1");
    await spoil();
    const inPlace = await scripts.run("restore", [taken.stdout.trim(), "--in-place"], { env });
    expect(inPlace.status, inPlace.stderr).toBe(0);
    expect(inPlace.stderr).toMatch(
      /WARN .*the view lost cannot be used .*: it is left out; its definition: CREATE .*VIEW .*lost/,
    );
    expect(await there()).toBe("b\n1");
    const [, safety = ""] = /the state before is kept in (\S+)/.exec(inPlace.stderr) ?? [];
    const back = await scripts.run("restore", [safety, "--in-place", "--no-safety-backup"], { env });
    expect(back.status, back.stderr).toBe(0);
    expect(await there()).toBe("b\nkept\n2");
  });

  test("S5: names and programs of every shape are no second statements: backed up and restored", async () => {
    const text = readFileSync(join(import.meta.dir, "odd-mysql.sql"), "utf8");
    await server.createDatabase("odd", text);
    await server.createDatabase("odd2");
    const before = await stateOf(server, "odd");
    const ran = await scripts.run("backup", [], { env: server.settings("odd") });
    expect(ran.status, ran.stderr).toBe(0);
    const restored = await scripts.run("restore", [ran.stdout.trim()], { env: server.settings("odd2") });
    expect(restored.status, restored.stderr).toBe(0);
    await expectState(server, "odd2", before);
    const env = server.settings("odd");
    expect((await scripts.run("list", [ran.stdout.trim().split("/").at(-1) ?? ""], { env })).stdout).toMatch(
      /^__proto__ +2$/m,
    );
    const again = await scripts.run("restore", [ran.stdout.trim()], { env });
    expect(again.status, again.stderr).toBe(0);
    await expectState(server, "odd", before);
  });

  test("S11: a dump that waits for a lock says for which table and whose, while it waits", async () => {
    const holder = server.sql("app", "LOCK TABLES b WRITE; SELECT sleep(120)").catch(() => "");
    const session = await until("the table is locked", async () => {
      const text = await server.sql(
        "mysql",
        "SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT sleep%'",
      );
      return text.split("\n")[0];
    });
    const running = scripts.start("backup");
    await until("it says so", () => running.stderr().includes("waits for the table b"));
    expect(running.stderr()).toMatch(
      new RegExp(`locked by probably session ${session} of admin@127.0.0.1 \\(SELECT sleep`),
    );
    await server.sql("mysql", `KILL ${session}`);
    await holder;
    expect(count(await sqlOf(await running.done), /^CREATE TABLE/gm)).toBe(5);
  });
});

test("M2: tables that differ in capital letters alone are not put into one another", async () => {
  const server = await startMysql("mariadb", { "lower-case-table-names": "1" });
  try {
    await server.createDatabase("app", "CREATE TABLE kept (a int)");
    const scripts = installScripts(server.settings("app"));
    const file = join(tempDir("case"), "dump.sql");
    const table = (name: string) => `CREATE TABLE \`${name}\` (a int);\nINSERT INTO \`${name}\` VALUES (1);\n`;
    const head = "-- MariaDB dump 10.19\n--\n-- Host: h    Database: app\n-- Server version\t10.11.1-MariaDB\n";
    writeFileSync(file, `${head}${table("Customers")}${table("customers")}\n-- Dump completed\n`);
    const ran = await scripts.run("restore", [file]);
    expect([ran.status, ran.stderr]).toEqual([1, expect.stringContaining("Customers and customers")]);
    expect(await server.sql("app", "SHOW TABLES")).toBe("kept");
    scripts.remove();
  } finally {
    await server.stop();
  }
});
