/** Shell 1.4 with MariaDB and MySQL: what a backup reads is all there is, whatever the server's settings, locks and privileges. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Installation, installScripts, type Ran } from "../support/executables.ts";
import { families, type MysqlServer, startMysql } from "../support/mysql.ts";
import { until } from "../support/until.ts";

const rows = Array.from({ length: 9 }, (_, at) => `(${at})`).join(", ");
const content = ["a", "b", "c", "d", "e"]
  .map((table) => `CREATE TABLE ${table} (id int PRIMARY KEY); INSERT INTO ${table} VALUES ${rows};`)
  .join("\n");
const triggers = ["x", "y", "z", "u", "v"]
  .map((name) => `CREATE TRIGGER ${name} BEFORE INSERT ON a FOR EACH ROW SET @a = 1;`)
  .join("\n");

describe.each([...families])("%s", (family) => {
  let server: MysqlServer;
  let scripts: Installation;
  beforeAll(async () => {
    server = await startMysql(family);
    await server.createDatabase("app", `${content} ${triggers} CREATE PROCEDURE p() SELECT 1;`);
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
