/** Files that others made: exports of phpMyAdmin, dumps of servers that still called utf8mb3 utf8. */
import { describe, expect, test, beforeAll, afterAll } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expectFailure, expectSuccess } from "../support/expect/expect.ts";
import { expectState, stateOf } from "../support/expect/mysql-oracle.ts";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { tempDir } from "../support/machine/temp.ts";
import { families, type MysqlServer, startMysql } from "../support/servers/mysql.ts";

const exported = join(import.meta.dir, "../support/expect/phpmyadmin.sql");

describe.each([...families])("%s", (family) => {
  let server: MysqlServer;
  let scripts: Installation;
  beforeAll(async () => {
    server = await startMysql(family);
    await server.sql("mysql", "CREATE USER IF NOT EXISTS root@localhost");
    await server.createDatabase("by_hand");
    await server.client(family === "mysql" ? "mysql" : "mariadb", ["--binary-mode", "by_hand"], Bun.file(exported));
    scripts = installScripts(server.settings("app"));
  });
  afterAll(async () => {
    scripts.remove();
    await server.stop();
  });

  test("an export of phpMyAdmin is restored as loading it by hand would, and its backup is proved", async () => {
    const expected = await stateOf(server, "by_hand");
    expect(readFileSync(expected.file, "utf8")).toMatch(/back\\\\slash[^]*TRIGGER[^]*PROCEDURE/i);
    for (const way of ["new", "beside"]) {
      expectSuccess(await scripts.run("restore", [exported, "--yes"]));
      await expectState(server, "app", expected);
      if (way === "new") await server.sql("app", "DELETE FROM orders");
    }
    expectSuccess(await scripts.run("backup"));
    expectSuccess(await scripts.run("verify"));
  });

  test("triggers are kept though the dump drops each before it makes it", async () => {
    await server.dropDatabase("app");
    await server.createDatabase("app");
    expectSuccess(await scripts.run("restore", [exported, "--yes"]));
    const before = await stateOf(server, "app");
    scripts.configure({ ...server.settings("app"), DB_DUMP_OPTIONS: "--add-drop-trigger" });
    expectSuccess(await scripts.run("backup"));
    for (const way of [[], ["--in-place"]]) {
      await server.sql("app", "DROP TRIGGER orders_upper");
      expectSuccess(await scripts.run("restore", ["--yes", ...way]));
      await expectState(server, "app", before);
    }
  });

  test("owners are found though the server fills their names up with blanks", async () => {
    await server.sql("mysql", "SET GLOBAL sql_mode = concat(@@sql_mode, ',PAD_CHAR_TO_FULL_LENGTH')");
    const ran = await scripts.run("restore", [exported, "--yes"]);
    await server.sql("mysql", "SET GLOBAL sql_mode = DEFAULT");
    expectSuccess(ran);
  });

  test("an export of phpMyAdmin that was cut short is refused, at whatever line", async () => {
    const before = await server.sql("mysql", "SHOW DATABASES");
    const lines = readFileSync(exported, "utf8").trimEnd().split("\n");
    for (const kept of [9, 60, lines.length - 8, lines.length - 1]) {
      const file = join(tempDir("exports"), "cut.sql");
      writeFileSync(file, `${lines.slice(0, kept).join("\n")}\n`);
      expectFailure(
        await scripts.run("restore", [file, "--yes"]),
        /the last line of the export of phpMyAdmin is missing|breaks off/,
      );
    }
    expect(await server.sql("mysql", "SHOW DATABASES")).toBe(before);
  });
});
