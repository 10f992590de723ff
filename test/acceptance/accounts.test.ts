/** A whole MariaDB server: its accounts, roles and grants and its databases come back on another, and the application logs in. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { gunzipSync } from "node:zlib";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { expectSuccess } from "../support/expect/expect.ts";
import { type MysqlServer, startMysql } from "../support/servers/mysql.ts";

setDefaultTimeout(180_000);

let old: MysqlServer;
let fresh: MysqlServer;
let scripts: Installation;
beforeAll(async () => {
  [old, fresh] = await Promise.all([startMysql("mariadb", { "sql-mode": "ANSI" }), startMysql("mariadb")]);
  scripts = installScripts();
});
afterAll(async () => {
  await Promise.all([old.stop(), fresh.stop()]);
  scripts.remove();
});

const settings = (server: MysqlServer) => {
  const { DB_NAME: _, ...login } = server.settings("information_schema");
  return { ...login, DB_NAMES: "*", SITE_NAME: "shop" };
};

test("R15, M10: accounts with passwords, roles, grants, databases with their collation", async () => {
  await old.createDatabase(
    "shop",
    "CREATE TABLE t (id int); INSERT INTO t VALUES (1); ALTER DATABASE shop COLLATE utf8mb4_bin",
  );
  await old.sql(
    "mysql",
    `CREATE USER 'app'@'%' IDENTIFIED BY 'sec''ret' WITH MAX_USER_CONNECTIONS 7; CREATE USER 'o''dd; \`x\`'@'10.0.%' REQUIRE SUBJECT '/CN=a''b';
     CREATE ROLE reader; CREATE ROLE other; GRANT SELECT ON shop.* TO reader; GRANT other TO reader; GRANT SELECT (id), INSERT ON shop.t TO 'app'@'%' WITH GRANT OPTION;
     GRANT reader TO 'app'@'%'; SET DEFAULT ROLE reader FOR 'app'@'%'; CREATE USER here@'%' IDENTIFIED BY 'old';
     CREATE USER ''@'10.1.%' IDENTIFIED BY 'x'; GRANT SELECT ON shop.* TO ''@'10.1.%'; GRANT EXECUTE ON shop.* TO PUBLIC; GRANT other TO PUBLIC; CREATE USER viewer@'%'; GRANT SELECT ON shop.* TO viewer@'%'; CREATE DEFINER = viewer@'%' VIEW shop.inner_one AS SELECT id FROM shop.t;
     CREATE VIEW shop.outer_one AS SELECT id FROM shop.inner_one`,
  );
  await fresh.sql("mysql", "CREATE USER here@'%' IDENTIFIED BY 'new'");
  scripts.configure(settings(old));
  const ran = await scripts.run("backup");
  expectSuccess(ran);
  // MariaDB does not escape the subject
  expect(ran.stderr.match(/lacks .*/g)).toEqual([
    "lacks CREATE USER `o'dd; ``x```@`10.0.%`: it could not be read back safely",
  ]);
  const file = scripts.list().find((name) => name.startsWith("@roles_")) ?? "";
  expect(gunzipSync(readFileSync(join(scripts.backups, file))).toString()).toContain("CREATE ROLE `reader`;");
  const grants =
    "SET sql_mode = ''; SHOW GRANTS FOR 'app'@'%'; SHOW CREATE USER 'app'@'%'; SHOW GRANTS FOR reader; SHOW GRANTS FOR PUBLIC; SHOW GRANTS FOR ''@'10.1.%'; SHOW CREATE DATABASE shop";
  const expected = await old.sql("mysql", grants);
  await old.stop();

  // the database to log in through is lost, too
  scripts.configure({ ...settings(fresh), DB_NAME: "shop" });
  const dry = await scripts.run("restore", ["--all", "--dry-run"]);
  expectSuccess(dry);
  expect(dry.stdout).toMatch(/5 roles of @roles_\S+ are missing/);
  const restored = await scripts.run("restore", ["--all", "--yes"]);
  expectSuccess(restored);
  expect(restored.stderr).not.toContain("not restored");
  expect(await fresh.sql("mysql", grants)).toBe(expected);
  // the server creates a view over a view only when the inner one's definer has its rights
  expect(await fresh.sql("shop", "SELECT id FROM outer_one")).toBe("1");
  const app = new Bun.SQL(fresh.url("shop", { user: "app", password: "sec'ret" }).replace(/^mariadb/, "mysql"), {
    max: 1,
  });
  expect(await app`SELECT id FROM t`.values()).toEqual([[1]]);
  await app.close();
  const here = new Bun.SQL(
    fresh.url("information_schema", { user: "here", password: "new" }).replace(/^mariadb/, "mysql"),
    { max: 1 },
  );
  expect(await here`SELECT 1`.values()).toEqual([[1]]);
  await here.close();

  // as an interrupted restore leaves an account; and one from which somebody took a right since
  await fresh.sql("mysql", "REVOKE ALL PRIVILEGES, GRANT OPTION FROM reader");
  await fresh.sql("mysql", "REVOKE reader FROM 'app'@'%'; REVOKE other FROM PUBLIC");
  const again = await scripts.run("restore", ["--all", "--yes"]);
  expectSuccess(again);
  expect(again.stderr).toContain("`reader`: created by a restore that was interrupted, rights are granted now");
  expect(again.stderr).toContain(
    "WARN restore: not restored: GRANT `reader` TO `app`@`%`; (the account exists and has other rights)",
  );
  expect(again.stderr).not.toMatch(/`other`.*: created by/);
  await fresh.sql("mysql", "GRANT other TO PUBLIC; GRANT reader TO 'app'@'%'; SET DEFAULT ROLE reader FOR 'app'@'%'");
  expect(await fresh.sql("mysql", grants)).toBe(expected);

  // as a restore leaves an account when it is killed between two of its rights
  const mark = "GRANT CREATE ON backup_scripts.unfinished_restore TO 'app'@'%'";
  await fresh.sql("mysql", `REVOKE INSERT ON shop.t FROM 'app'@'%'; ${mark}`);
  expectSuccess(await scripts.run("restore", ["--all", "--yes"]));
  expect(await fresh.sql("mysql", grants)).toBe(expected);
  await fresh.sql("mysql", mark);
  expect((await scripts.run("backup")).stderr).toContain(
    "lacks rights of `app`@`%`: the restore that created it was interrupted; run restore --all again",
  );
});
