/** What is decided about a MySQL or MariaDB server and a dump before anything happens. */
import { describe, expect, test } from "bun:test";
import { type Client, type Family, rankClients, type ServerKind } from "../../scripts-src/database/mysql/clients.ts";
import type { Connection } from "../../scripts-src/database/mysql/connection.ts";
import { DumpContents, dumpForm, dumpReader } from "../../scripts-src/database/mysql/contents.ts";
import { checkDumped, dumpOptionsFrom, dumpWords } from "../../scripts-src/database/mysql/dump.ts";
import { kindOf, readDump } from "../../scripts-src/database/read-dump.ts";
import { clientFailure, isTemporary } from "../../scripts-src/database/mysql/explain.ts";
import { loadable, type LoadRules } from "../../scripts-src/database/mysql/filter.ts";
import { Grants } from "../../scripts-src/database/mysql/grants.ts";
import { warnings, findProblems } from "../../scripts-src/database/mysql/plan.ts";
import type { ServerInfo } from "../../scripts-src/database/mysql/probe.ts";
import { splitStatements } from "../../scripts-src/database/mysql/statements.ts";

async function* stream(text: string) {
  yield Buffer.from(text);
}
const client = (family: Family, version: string, options: string[] = []): Client => ({
  path: `/bin/${family}`,
  name: family === "mysql" ? "mysqldump" : "mariadb-dump",
  family,
  version,
  setsAside: undefined,
  knows: (option) => options.includes(option),
});
const header = (version: string, database = "app") =>
  `-- MySQL dump 10.13  Distrib 8.0.36, for Linux (x86_64)\n--\n-- Host: localhost    Database: ${database}\n-- Server version\t${version}\n`;
const dumpOf = (version: string, sql: string) =>
  `${header(version)}${sql}\n--\n-- Dumping data for table \`t\`\n--\n-- Dump completed on 2026-01-31  3:00:00\n`;

describe("which client program fits", () => {
  const all = [
    client("mysql", "8.0.36"),
    client("mysql", "9.7.4"),
    client("mariadb", "10.6.1"),
    client("mariadb", "11.8.2"),
  ];
  const first = (family: Family, version: string, among = all) => {
    const [best] = rankClients(among, { family, version });
    return `${best?.family} ${best?.version}`;
  };
  test("the server's family, its release, else the next newer one, else the newest older one", () => {
    expect(first("mysql", "8.0.11")).toBe("mysql 8.0.36");
    expect(first("mysql", "8.4.0")).toBe("mysql 8.0.36");
    expect(first("mysql", "5.7.44")).toBe("mysql 8.0.36");
    expect(first("mysql", "10.1.0")).toBe("mysql 9.7.4");
    expect(first("mariadb", "10.6.20")).toBe("mariadb 10.6.1");
    expect(first("mariadb", "10.11.9")).toBe("mariadb 11.8.2");
    expect(first("mariadb", "12.3.1")).toBe("mariadb 11.8.2");
    expect(first("mysql", "8.0.36", [client("mariadb", "10.11.1")])).toBe("mariadb 10.11.1");
  });
});

describe("the words for the dump program", () => {
  const words = (dump: Client, kind: ServerKind, options: string[] = []) =>
    dumpWords({ dump, kind } as ServerInfo, options, "app");
  const mysql8 = ["no-tablespaces", "set-gtid-purged", "column-statistics"];
  test("what the two families' programs know differs", () => {
    const always =
      "--single-transaction --quick --routines --triggers --events --hex-blob --default-character-set=utf8mb4";
    const of8 = words(client("mysql", "8.0.36", mysql8), { family: "mysql", version: "8.0.36" }, ["--x"]).join(" ");
    expect(of8).toStartWith(always);
    expect(of8).toEndWith("--no-tablespaces --set-gtid-purged=OFF --column-statistics=0 --x -- app");
    const old = words(client("mysql", "5.6.1"), { family: "mysql", version: "5.6.1" }).join(" ");
    expect(old).toEndWith("--skip-add-locks -- app");
  });

  test("history of system-versioned tables, where program and server have it", () => {
    const knowing = client("mariadb", "11.8.2", ["no-tablespaces", "dump-history"]);
    expect(words(knowing, { family: "mariadb", version: "10.11.1" })).toContain("--dump-history");
    expect(words(knowing, { family: "mariadb", version: "10.6.1" })).not.toContain("--dump-history");
    expect(words(client("mariadb", "10.6.1"), { family: "mariadb", version: "11.4.1" })).not.toContain(
      "--dump-history",
    );
  });

  test.each(["--ignore-table=app.log", "--where=a > 1", "--no-data", "--skip-triggers", "--compatible=ansi"])(
    "DB_DUMP_OPTIONS may be %s",
    (word) => {
      expect(dumpOptionsFrom(`'${word}'`)).toEqual([word]);
    },
  );
  const forbidden =
    "--result-file=x --res=x --tab=x --xml --all-databases --databases --force --compact --skip-comments --comments=0 " +
    "--host=x --password=x --ssl-mode=DISABLED --defaults-file=x -r -dr other --default_character_set=latin1";
  test.each(forbidden.split(" "))("DB_DUMP_OPTIONS may not be %s", (word) => {
    expect(() => dumpOptionsFrom(word)).toThrow(word);
  });
});

describe("privileges", () => {
  const has = (line: string, privilege: string, database = "app") => new Grants([line], database).has(privilege);
  test.each([
    ["GRANT SELECT, LOCK TABLES ON `app`.* TO `u`@`%`", "SELECT", true],
    ["GRANT SELECT, LOCK TABLES ON `app`.* TO `u`@`%`", "TRIGGER", false],
    ["GRANT ALL PRIVILEGES ON `app`.* TO `u`@`%`", "TRIGGER", true],
    ["GRANT SELECT ON `app`.`t` TO `u`@`%`", "SELECT", false],
    ["GRANT SELECT ON `other`.* TO `u`@`%`", "SELECT", false],
    ["GRANT SELECT ON `a%`.* TO `u`@`%`", "SELECT", true],
    ["GRANT SELECT ON `a_p`.* TO `u`@`%`", "SELECT", true],
    ["GRANT SELECT ON `a\\_p`.* TO `u`@`%`", "SELECT", false],
    ["GRANT SELECT ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD '*AB'", "SELECT", true],
    ["GRANT USAGE ON *.* TO `u`@`%`", "SELECT", false],
    ["GRANT `backup_role`@`%` TO `u`@`%`", "SELECT", false],
  ])("%s: %s is %p", (line, privilege, wanted) => {
    expect(has(line, privilege)).toBe(wanted);
  });
});

describe("M4: every line of SHOW GRANTS", () => {
  const lines = [
    "GRANT SELECT, SHOW VIEW ON *.* TO `u`@`%`",
    "GRANT SHOW_ROUTINE,BACKUP_ADMIN ON *.* TO `u`@`%`",
    "GRANT EVENT ON `app`.* TO `u`@`%`",
    "GRANT SELECT (`a`, `b`), INSERT (`a`) ON `app`.`t` TO `u`@`%`",
    "GRANT TRIGGER ON `app`.`t` TO `u`@`%`",
    "GRANT SELECT ON `mysql`.`proc` TO `u`@`%`",
    "REVOKE SHOW VIEW ON `app`.* FROM `u`@`%`",
    "GRANT EXECUTE ON PROCEDURE `app`.`p` TO `u`@`%`",
    "GRANT `r`@`%` TO `u`@`%`",
    "GRANT PROXY ON ''@'%' TO 'u'@'%'",
  ];
  const grants = new Grants(lines, "app");
  test.each([
    ["SELECT", true],
    ["EVENT", true],
    // only on one table
    ["TRIGGER", false],
    ["INSERT", false],
    // taken away from this database (partial_revokes)
    ["SHOW VIEW", false],
    ["EXECUTE", false],
  ])("%s on the database: %p", (privilege, wanted) => {
    expect(grants.has(privilege)).toBe(wanted);
  });

  test("on the whole server, on a table, and what a role that is not active gives: nothing", () => {
    expect([grants.hasGlobally("SHOW_ROUTINE"), grants.hasGlobally("EVENT"), grants.roles]).toEqual([
      true,
      false,
      true,
    ]);
    expect(
      new Grants(["GRANT SELECT ON `mysql`.`time_zone_name` TO `u`@`%`"], "app").hasOn("mysql", "proc", "SELECT"),
    ).toBe(false);
    expect(grants.hasOn("mysql", "proc", "SELECT")).toBe(true);
    expect(new Grants(["GRANT SELECT ON `a_p`.* TO `u`@`%`"], "app", { literal: true }).has("SELECT")).toBe(false);
  });
});

describe("what a load leaves out or changes", () => {
  const rules: LoadRules = {
    database: "app",
    dumped: "old`app",
    noOwner: false,
    forgetModes: false,
    asleep: false,
  };
  const load = async (sql: string, changed: Partial<LoadRules> = {}) => {
    const parts: string[] = [];
    for await (const piece of splitStatements(stream(sql)))
      parts.push(Buffer.from(loadable(piece, { ...rules, ...changed }) ?? "").toString());
    return parts.join("").trim();
  };

  test.each([
    "LOCK TABLES `t` WRITE;",
    "START TRANSACTION;",
    "COMMIT;",
    "SET @OLD_AUTOCOMMIT=@@AUTOCOMMIT, @@AUTOCOMMIT=0;",
    "USE x;",
    "CREATE SCHEMA IF NOT EXISTS x;",
    "UNLOCK TABLES;",
    "CREATE DATABASE /*!32312 IF NOT EXISTS*/ `x` /*!40100 DEFAULT CHARACTER SET utf8mb4 */;",
    "/*!40000 DROP DATABASE IF EXISTS `x`*/;",
    "USE `x`;",
    "SET @MYSQLDUMP_TEMP_LOG_BIN = @@SESSION.SQL_LOG_BIN;",
    "SET @@SESSION.SQL_LOG_BIN= 0;",
    "SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ 'ab:1-5';",
    "CHANGE MASTER TO MASTER_LOG_FILE='x', MASTER_LOG_POS=1;",
    "-- a comment\n",
    "/*M!999999\\- enable the sandbox mode */ \n",
  ])("%p is left out", async (sql) => {
    expect(await load(sql)).toBe("");
  });

  test.each([
    "INSERT INTO `t` VALUES ('USE `x`;\\nLOCK TABLES');",
    "CREATE TABLE `t` (`a` int COMMENT 'SET SQL_LOG_BIN = 0');",
    "/*!40000 ALTER TABLE `t` DISABLE KEYS */;",
  ])("%p stays", async (sql) => {
    expect(await load(sql, { noOwner: true, forgetModes: true })).toBe(sql);
  });

  test("ALTER DATABASE is about the target, whatever the dump calls it", async () => {
    const sql = "ALTER DATABASE `x``y` CHARACTER SET latin1 COLLATE latin1_swedish_ci ;";
    expect(await load(sql, { database: "ä`p" })).toBe(
      "ALTER DATABASE `ä``p` CHARACTER SET latin1 COLLATE latin1_swedish_ci ;",
    );
  });

  test("a table takes its numbers from the sequence beside it, whatever the database is called", async () => {
    const text = "concat('it''s nextval(`old``app`.`seq`)')";
    const table = (name: string) =>
      `CREATE TABLE \`t\` (\`a\` int DEFAULT (nextval(${name}.\`seq\`) * 2), \`b\` text DEFAULT ${text});`;
    expect(await load(table("`old``app`"))).toBe(table("`app`"));
    expect(await load(table("`another`"))).toBe(table("`another`"));
  });

  test.each([
    [
      "/*!50003 CREATE*/ /*!50017 DEFINER=`a`@`%`*/ /*!50003 TRIGGER t AFTER INSERT ON x FOR EACH ROW SET @a = 'DEFINER=`b`@`c`' */;",
      "/*!50003 CREATE*/ /*!50017 */ /*!50003 TRIGGER t AFTER INSERT ON x FOR EACH ROW SET @a = 'DEFINER=`b`@`c`' */;",
    ],
    ["CREATE DEFINER=`a`@`%` PROCEDURE `p`() SELECT 1;", "CREATE  PROCEDURE `p`() SELECT 1;"],
    [
      `SET sql_mode = 'ANSI_QUOTES';\nCREATE DEFINER="a"@"b" FUNCTION "f"() RETURNS int RETURN 1;`,
      `SET sql_mode = 'ANSI_QUOTES';\nCREATE  FUNCTION "f"() RETURNS int RETURN 1;`,
    ],
    [
      "/*!50001 CREATE ALGORITHM=UNDEFINED */\n/*!50013 DEFINER=`a`@`%` SQL SECURITY INVOKER */\n/*!50001 VIEW `v` AS select 1 */;",
      "/*!50001 CREATE ALGORITHM=UNDEFINED */\n/*!50013  SQL SECURITY INVOKER */\n/*!50001 VIEW `v` AS select 1 */;",
    ],
    [
      "CREATE TABLE `t` (`a` text DEFAULT 'DEFINER=`a`@`b`');",
      "CREATE TABLE `t` (`a` text DEFAULT 'DEFINER=`a`@`b`');",
    ],
  ])("--no-owner leaves out the definer of %p", async (sql, wanted) => {
    expect(await load(sql, { noOwner: true })).toBe(wanted);
    expect(await load(sql)).toBe(sql);
  });

  test("a trigger that was created with its database's name goes into the target", async () => {
    const trigger = (database: string) =>
      `/*!50003 CREATE*/ /*!50017 DEFINER=\`a\`@\`%\`*/ /*!50003 trigger ${database}q before insert on ${database}t for each row set @a=1 */;`;
    const wanted = trigger("").replace("trigger", "TRIGGER");
    expect(await load(trigger("app . "), { dumped: "app", database: "new" })).toBe(wanted);
    expect(await load(trigger("`app`."), { dumped: "app", database: "new" })).toBe(wanted);
    await expect(load(trigger("other."), { dumped: "app" })).rejects.toThrow("a trigger of another database: other");
  });

  test.each([
    ["'STRICT_TRANS_TABLES,NO_AUTO_CREATE_USER'", "'STRICT_TRANS_TABLES'"],
    ["'NO_AUTO_CREATE_USER,NO_ENGINE_SUBSTITUTION'", "'NO_ENGINE_SUBSTITUTION'"],
    ["'NO_AUTO_CREATE_USER'", "''"],
  ])("modes that MySQL 8 refuses: %s", async (mode, wanted) => {
    const set = (value: string) => `/*!50003 SET sql_mode              = ${value} */ ;`;
    expect(await load(set(mode), { forgetModes: true })).toBe(set(wanted));
  });
});

describe("a dump and its target", () => {
  const state: Parameters<typeof findProblems>[2] = {
    user: "app@%",
    programs: ["PROCEDURE p", "EVENT e", "PACKAGE x", "PACKAGE BODY x"],
    engines: new Set(["innodb", "myisam"]),
    accounts: new Set(["app@%", "root@localhost"]),
    variables: new Map(),
  };
  const serverInfo = (kind: ServerKind, grants = "GRANT ALL PRIVILEGES ON *.* TO `u`@`%`") =>
    ({
      kind,
      grants: new Grants([grants], "app"),
      maxPacket: 1 << 24,
      server: { version: `server ${kind.version}`, major: Number.parseInt(kind.version, 10) },
    }) as ServerInfo;
  const maria: ServerKind = { family: "mariadb", version: "10.11.1" };
  const mysql8: ServerKind = { family: "mysql", version: "8.0.36" };

  async function problemsOf(
    sql: string,
    { from = "10.11.1-MariaDB", to = serverInfo(maria), target = state, noOwner = false } = {},
  ) {
    return findProblems(await readDump(dumpReader(), stream(dumpOf(from, sql))), to, target, noOwner);
  }

  const view =
    "/*!50001 CREATE ALGORITHM=UNDEFINED */\n/*!50013 DEFINER=`gone`@`10.%` */\n/*!50001 VIEW `v` AS select 1 */;";
  test("accounts that are missing, with the remedy; not with --no-owner", async () => {
    expect(await problemsOf(view)).toEqual([
      "accounts not on the server: `gone`@`10.%`; create them (CREATE USER `gone`@`10.%`;) or restore with --no-owner",
    ]);
    expect(await problemsOf(view, { noOwner: true })).toEqual([]);
    const owner = serverInfo(maria, "GRANT ALL PRIVILEGES ON `app`.* TO `u`@`%`");
    expect((await problemsOf(view, { to: owner }))[0]).toContain("may not create any in the name of others");
  });

  test("engines, privileges, packets, binary logs", async () => {
    const table = (options: string) => `CREATE TABLE \`t\` (\`ENGINE=x\` text COMMENT 'ENGINE=x') ${options};`;
    expect(await problemsOf(table("ENGINE=InnoDB"))).toEqual([]);
    expect((await problemsOf(table("ENGINE=RocksDB")))[0]).toContain("RocksDB (table t)");
    const poor = serverInfo(maria, "GRANT SELECT, INSERT ON `app`.* TO `u`@`%`");
    expect((await problemsOf(table(""), { to: poor }))[0]).toContain("lacks CREATE, DROP, ALTER, CREATE ROUTINE");
    const long = `${table("")}INSERT INTO \`t\` VALUES ('${"x".repeat(20_000_000)}');`;
    expect((await problemsOf(long))[0]).toContain("SET GLOBAL max_allowed_packet = 33554432");
    const owner = serverInfo(maria, "GRANT ALL PRIVILEGES ON `app`.* TO `u`@`%`");
    const logging = { ...state, variables: new Map([["log_bin", "ON"]]) };
    const trigger = "CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW SET @a = 1;";
    expect((await problemsOf(trigger, { to: owner, target: logging }))[0]).toContain("log_bin_trust_function_creators");
  });

  test("constraints that MySQL does not enforce are refused by MariaDB, which would", async () => {
    const sql = "CREATE TABLE `t` (`a` int, CONSTRAINT `c` CHECK ((`a` > 1)) /*!80016 NOT ENFORCED */);";
    expect((await problemsOf(sql, { from: "8.0.36" })).join()).toContain("does not enforce (t)");
    expect(await problemsOf(sql, { from: "8.0.36", to: serverInfo(mysql8) })).toEqual([]);
  });

  // one of each kind
  const refused = [
    "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t",
    "LOAD DATA INFILE '/etc/passwd' INTO TABLE t",
    "LOAD XML INFILE '/x' INTO TABLE t",
    "/*!99999 CREATE VIEW v AS SELECT */ LOAD DATA INFILE '/x' INTO TABLE t",
    "CREATE /*!999999 TABLE t (a int) COMMENT = */ USER root",
    "SELECT 1 INTO OUTFILE '/tmp/x'",
    "SELECT 1 INTO DUMPFILE '/tmp/x'",
    "(SELECT 1)",
    "CREATE FUNCTION f RETURNS STRING SONAME 'lib.so'",
    "CREATE AGGREGATE FUNCTION f RETURNS REAL SONAME 'lib.so'",
    "INSTALL PLUGIN p SONAME 'lib.so'",
    "INSTALL COMPONENT 'file://x'",
    "SET GLOBAL local_infile = 1",
    "SET @@GLOBAL.local_infile = 1",
    "SET @a = 1, GLOBAL local_infile = 1",
    "SET PERSIST local_infile = 1",
    "SET PASSWORD = 'x'",
    "SET sql_mode = concat('ANSI', '_QUOTES')",
    "SET sql_mode = @unknown",
    "/*!999999 SET sql_mode = 'NO_BACKSLASH_ESCAPES' */",
    "CREATE USER x",
    "GRANT ALL ON *.* TO x",
    "SHUTDOWN",
    "KILL 1",
    "HANDLER t OPEN",
    "CALL p()",
    "PREPARE s FROM 'DROP DATABASE other'",
    "EXECUTE IMMEDIATE 'DROP DATABASE other'",
    "DROP TABLE other.t",
    'DROP TABLE "other".t',
    "DROP TABLE t, `other`.`t`",
    "DROP TABLE other . t",
    "DROP TABLE /* x */ other/**/.t",
    "CREATE TABLE `other`.`t` (a int)",
    "CREATE TABLE t LIKE other.t",
    "CREATE TABLE t (a int) SELECT load_file('/etc/passwd')",
    "INSERT INTO `other`.`t` VALUES (1)",
    "INSERT INTO t SELECT * FROM other.t",
    "INSERT INTO t SET a = 1",
    "INSERT INTO t VALUES (load_file('/etc/passwd'))",
    "INSERT INTO t VALUES ((SELECT 1))",
    "INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a = 1",
    "INSERT INTO t VALUES (1 /* x */)",
    "INSERT INTO t VALUES (@@datadir)",
    "UPDATE mysql.user SET a = 1",
    "DELETE FROM t",
    "ALTER TABLE t RENAME other.t",
    "ALTER TABLE t EXCHANGE PARTITION p WITH TABLE other.t",
    "ALTER DATABASE other CHARACTER SET utf8mb4",
    "RENAME TABLE t TO other.t",
    "CREATE TRIGGER tr BEFORE INSERT ON other.t FOR EACH ROW SET @a = 1",
    "CREATE TRIGGER other.tr BEFORE INSERT ON app.t FOR EACH ROW SET @a = 1",
    "CREATE VIEW other.v AS SELECT 1",
    "CREATE EVENT other.e ON SCHEDULE EVERY 1 DAY DO SELECT 1",
    "XA START 'x'",
    "ROLLBACK",
    "CREATE VIEW v AS SELECT 1\ndelimiter -- x\n",
  ];
  test.each(refused)("S5, S12a: %p is refused while reading", async (sql) => {
    await expect(problemsOf(`${sql};`)).rejects.toThrow("the dump");
    await expect(problemsOf(`DELIMITER ;;\n${sql};;\nDELIMITER ;`)).rejects.toThrow("the dump");
  });

  const trigger = "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW";
  test.each([
    `${trigger} SET @a = 1; DROP DATABASE other`,
    `${trigger} BEGIN SET @a = 1; END; DROP DATABASE other`,
    `${trigger} IF NEW.a THEN SET @a = CASE WHEN 1 THEN 2 ELSE 3 END; END IF; BEGIN NOT ATOMIC DROP DATABASE other; END`,
    `${trigger} BEGIN END; BEGIN; DROP DATABASE other; END`,
    "CREATE VIEW v AS SELECT 1; LOAD DATA INFILE '/x' INTO TABLE t",
    "SET @a = @@sql_mode; DROP TABLE other.t",
    "CREATE PROCEDURE begin() SELECT 1; DROP DATABASE other",
    "CREATE PROCEDURE p(begin int) SELECT 1; DROP DATABASE other",
    "CREATE PROCEDURE p() SELECT begin FROM t; DROP DATABASE other",
    "CREATE PROCEDURE p() DO IF(1, 2, 3); DROP DATABASE other",
    "CREATE PROCEDURE p() BEGIN DECLARE x int DEFAULT begin; END; DROP DATABASE other",
    "CREATE PROCEDURE p() BEGIN DECLARE EXIT HANDLER FOR begin SET @a = 1; END; DROP DATABASE other",
    "CREATE VIEW begin AS SELECT 1; DROP DATABASE other",
    `${trigger} SET @a = 1; BEGIN DROP DATABASE other; END`,
    "CREATE PROCEDURE p() SELECT 1 AS a; BEGIN DROP DATABASE other; END",
    "CREATE PACKAGE p AS FUNCTION f RETURN int; END; DROP DATABASE other",
    // MariaDB in the mode ORACLE runs blocks
    "CREATE PACKAGE p AS FUNCTION f RETURN int; END; BEGIN DROP DATABASE other; END",
    "CREATE PACKAGE p AS FUNCTION f RETURN int; END; DECLARE a int; BEGIN DROP DATABASE other; END",
    "CREATE PACKAGE BODY p AS CURSOR c IS SELECT 1 AS begin; END; DROP DATABASE other",
    "CREATE PACKAGE BODY p AS PROCEDURE q AS CURSOR c IS SELECT 1 AS begin; BEGIN NULL; END; END; DROP DATABASE other",
    "CREATE PACKAGE BODY p AS a int; BEGIN a := 1; END; BEGIN DROP DATABASE other; END",
    "CREATE FUNCTION f() RETURN int AS BEGIN RETURN 1; END; BEGIN DROP DATABASE other; END",
    "CREATE PROCEDURE p() AS BEGIN NULL; END; DECLARE a int; BEGIN DROP DATABASE other; END",
    `${trigger} DECLARE a int; BEGIN NULL; END; DECLARE b int; BEGIN DROP DATABASE other; END`,
    "CREATE FUNCTION f() RETURNS int RETURN 1; DROP DATABASE other",
    "CREATE FUNCTION f() RETURN int AS a int; DROP DATABASE other",
    // what some clients or servers skip and others read
    "CREATE VIEW v AS SELECT 1 /*!999999 ' */ ; DROP DATABASE other; -- '",
    "CREATE VIEW v AS SELECT 1 /*!80000 ' */ ; DROP DATABASE other; -- '",
    "CREATE VIEW v AS SELECT 1 /*!999999 -- */ ; DROP DATABASE other\n*/",
    "CREATE VIEW v AS SELECT 1 /*M!100100 ' */ ; DROP DATABASE other; -- '",
    "CREATE VIEW v AS SELECT /*+ ' */ 1",
  ])("S5: a second statement behind another DELIMITER is refused: %s", async (sql) => {
    await expect(problemsOf(`DELIMITER ;;\n${sql} ;;\nDELIMITER ;`)).rejects.toThrow("the dump holds");
    if (!/--|\/\*/.test(sql)) return;
    await expect(problemsOf(`${sql};`)).rejects.toThrow("the dump");
  });

  test.each([
    "CREATE VIEW v AS SELECT * FROM other.t; INSERT INTO v VALUES (1)",
    "/*!50001 CREATE VIEW v AS SELECT * FROM other.t */; INSERT INTO `v` VALUES (1)",
    "CREATE TABLE m (a int) ENGINE=MERGE UNION=(other.t); INSERT INTO m VALUES (1)",
    "CREATE TABLE m (a int) ENGINE=FEDERATED CONNECTION='x'; INSERT INTO `M` VALUES (1)",
    `CREATE TABLE t (a int); ${trigger} INSERT INTO other.t VALUES (1); INSERT INTO t VALUES (1)`,
  ])("S5: rows that would lead into another database are refused: %s", async (sql) => {
    await expect(problemsOf(`${sql};`)).rejects.toThrow("behind what would lead them elsewhere");
  });

  test.each([
    `${trigger} IF NEW.a > 1 THEN SET NEW.a = IF(1, 2, 3); ELSEIF NEW.a = 2 THEN SET NEW.a = 1; ELSE SET NEW.b = 2; END IF`,
    `${trigger} BEGIN DECLARE EXIT HANDLER FOR NOT FOUND BEGIN END; l: LOOP LEAVE l; END LOOP l; SET @a = 1; END`,
    "CREATE PROCEDURE p(begin date, `end` date) BEGIN CASE 1 WHEN 1 THEN SELECT 1; ELSE BEGIN END; END CASE; SELECT 2; END",
    "CREATE PROCEDURE p() BEGIN REPEAT SET @a = 1; UNTIL @a END REPEAT; WHILE 0 DO SET @b = 1; END WHILE; CALL q(); END",
    "CREATE FUNCTION f() RETURNS int BEGIN RETURN CASE WHEN 1 THEN IF(1, 2, 3) ELSE 4 END; END",
    "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO BEGIN DELETE FROM t WHERE a < now(); OPTIMIZE TABLE t; END",
    "CREATE PACKAGE BODY p AS a int := 1; FUNCTION f RETURN int AS BEGIN RETURN 1; END; BEGIN a := 2; END",
    "CREATE PACKAGE BODY p AS PROCEDURE q(a OUT int) AS b int; BEGIN b := f(a); UPDATE t SET c = a; END; FUNCTION f RETURN int AS BEGIN UPDATE t SET c = 1; RETURN 0; END; END",
    "CREATE PACKAGE p AS PROCEDURE q(a OUT int); FUNCTION f RETURN int; END",
    "CREATE FUNCTION f() RETURN varchar(4000) CHARSET utf8mb4 AS a int; BEGIN SELECT 1 INTO a; RETURN 'a'; EXCEPTION WHEN NO_DATA_FOUND THEN RETURN 'b'; END",
    "CREATE PROCEDURE p() AS CURSOR c IS SELECT a FROM t1; b varchar(10) := ''; BEGIN OPEN c; SELECT c%ROWCOUNT; END",
    "CREATE PROCEDURE p(padlen int) AS str text CHARACTER SET utf8 := ''; BEGIN SELECT length(str); END",
    "CREATE PROCEDURE p(lim int) AS a int; BEGIN <<lab9>> IF lim = -1 THEN GOTO lab9; END IF; SELECT 1 << 2 >> 1; END",
    `${trigger} DECLARE cnt int := 0; BEGIN IF :NEW.a = 5 THEN SELECT count(*) INTO cnt FROM t1; END IF; END`,
    "CREATE PROCEDURE p AS x int := 1; BEGIN SELECT x; END",
  ])("programs of every shape are one statement: %s", async (sql) => {
    expect(await problemsOf(`DELIMITER ;;\n${sql} ;;\nDELIMITER ;`)).toEqual([]);
  });

  test.each([
    "DROP LIBRARY IF EXISTS `l`;",
    "DELIMITER ;;\nCREATE DEFINER=`a`@`%` PROCEDURE `p`()\n    LANGUAGE JAVASCRIPT\nAS $$ let a = 1; drop(a); $$ ;;\nDELIMITER ;",
    "DELIMITER ;;\nCREATE DEFINER=`a`@`%` PROCEDURE `p`()\n    LANGUAGE JAVASCRIPT\nAS $$ // it's\n $$ ;;\nDELIMITER ;",
  ])("what MySQL has in JavaScript is named: %s", async (sql) => {
    await expect(problemsOf(sql)).rejects.toThrow("holds a program in JavaScript, or a library of such");
  });

  test("M2: names that differ in capital letters alone, on a server that does not tell them apart", async () => {
    const sql = "CREATE TABLE `Customers` (a int); CREATE TABLE `customers` (a int); CREATE TABLE `t` (a int);";
    const folding = { ...state, variables: new Map([["lower_case_table_names", "1"]]) };
    expect(await problemsOf(sql)).toEqual([]);
    expect((await problemsOf(sql, { target: folding })).join()).toMatch(
      /differ in nothing else: Customers and customers;/,
    );
  });

  test("M8: rows without their tables are refused with the numbers", async () => {
    const text = `${header("8.0.1")}INSERT INTO \`a\` VALUES (1);\n-- Dump completed on 2026-01-31  3:00:00\n`;
    const contents = await readDump(dumpReader(), stream(text));
    const problems = findProblems(contents, serverInfo(mysql8), state, false);
    expect(problems.join()).toContain("holds rows of 1 table that it does not create (a)");
  });

  test("M6: a view over another database is named", async () => {
    const view = (name: string, text: string) => `/*!50001 CREATE */\n/*!50001 VIEW \`${name}\` AS ${text} */;`;
    const sql = [
      view("own", "select `t`.`a` AS `a` from `t`"),
      view("away", "select `o`.`a` AS `a` from (`app`.`t` join `prod`.`o` on(`app`.`t`.`a` = `prod`.`o`.`a`))"),
      view("calls", "select `prod`.`f`(`t`.`a`) AS `a` from `t`"),
      view("ours", "select `INFORMATION_SCHEMA`.`TABLES`.`TABLE_NAME` AS `a` from `INFORMATION_SCHEMA`.`TABLES`"),
    ].join("\n");
    const contents = await readDump(dumpReader(), stream(dumpOf("10.11.1-MariaDB", sql)));
    const warned = (database: string) => warnings(contents, serverInfo(maria), database).join();
    expect(warned("app")).toContain("read other databases and will keep reading them: away (prod), calls (prod)");
    expect(warned("new")).toContain("them: away (prod), calls (prod)");
  });

  test("M11: a definer that is a role is created as one", async () => {
    const definer = view.replace("`gone`@`10.%`", "`keepers`@``");
    expect((await problemsOf(definer)).join()).toContain("create them (CREATE ROLE `keepers`;)");
  });

  test("what both have goes from one to the other", async () => {
    const sql =
      "CREATE TABLE `t` (`a` int DEFAULT NULL, `d` datetime DEFAULT current_timestamp(), KEY `k` (`a`(10))) ENGINE=InnoDB;";
    expect(await problemsOf(sql, { to: serverInfo(mysql8) })).toEqual([]);
    expect(await problemsOf(sql, { from: "8.0.36" })).toEqual([]);
  });

  test("a dump of several databases is refused, one of another name is not", async () => {
    const trigger = "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET @a = 1;";
    const other = `${trigger}\nUSE \`b\`;\nINSERT INTO t VALUES (1);`;
    await expect(problemsOf(other)).rejects.toThrow("holds several databases (app, b …), a restore takes one");
    expect(await problemsOf("USE `app`;")).toEqual([]);
    await expect(problemsOf("USE other;")).rejects.toThrow("several databases (app, other …)");
    const all = "-- MySQL dump 10.13\n--\n-- Host: 127.0.0.1    Database: \n-- -----\n";
    expect(() => kindOf(dumpForm, Buffer.from(all))).toThrow("a dump of all databases of a server (--all-databases)");
  });

  test("rows in a character set whose characters hold backslashes are refused", async () => {
    const rows = "/*!40101 SET NAMES gbk */; INSERT INTO t VALUES (1);";
    await expect(problemsOf(rows)).rejects.toThrow("is written in a character set that cannot be read for certain");
  });

  test.each([
    [`${header("8.0.1")}TRUNCATE a;`, "incomplete"],
    [`${header("8.0.1")}SELECT '-- Dump completed\n`, "breaks off"],
    ["--\n-- PostgreSQL database dump\n--\n", "is a dump of PostgreSQL"],
    ["PGDMP\x01\x0e", "custom format"],
    ["SELECT 1;", "no dump of mysqldump"],
    [
      dumpOf("8.0.1", "mysqldump: Got error: 1356: View 'v'").replace(/(mysqldump: .*\n)([^]*)/, "$2$1"),
      "goes on behind",
    ],
    ["-- phpMyAdmin SQL Dump\n-- version 5.2.1\n", "the last line of the export of phpMyAdmin"],
    ["-- Adminer 4.8.1 MySQL 10.11.2-MariaDB dump\n", "is an export of Adminer"],
    ["-- Server OS: Win64\n-- HeidiSQL Version:             12.6.0.6765\n", "is an export of HeidiSQL"],
    ["/*\n Navicat Premium Data Transfer\n\n Source Server : x\n", "is an export of Navicat"],
    ["/*\nSQLyog Community v13.1.9 (64 bit)\nMySQL - 8.0.30 : Database - shop\n", "is an export of SQLyog"],
    ["# ****\n# Sequel Ace SQL dump\n# Version 20062\n", "is an export of Sequel Ace"],
    ["# WordPress MySQL database backup\n# Created by UpdraftPlus version 1.23.1\n", "is an export of UpdraftPlus"],
    ['<?xml version="1.0"?>\n<mysqldump>\n', "is a dump in XML"],
  ])("%p is refused", async (text, words) => {
    await expect(readDump(dumpReader(), stream(text))).rejects.toThrow(words);
  });
});

test("a row that no server takes fails the backup; one that this server does not take today is a warning", async () => {
  const warned: string[] = [];
  const connection = {
    target: { database: "app" },
    log: { warn: (text: string) => warned.push(text) },
  } as unknown as Connection;
  const server = { maxPacket: 1 << 24, listed: { tables: [], others: [] } } as unknown as ServerInfo;
  const check = (longest: number) =>
    checkDumped(connection, server, Object.assign(new DumpContents(), { longest }), []);
  await check(2 ** 30 - 1);
  expect(warned.join()).toContain("SET GLOBAL max_allowed_packet = 1073741824");
  await expect(check(2 ** 30)).rejects.toThrow("no server takes more than 1 GiB");
});

describe("what the programs say", () => {
  const failure = (stderr: string) => clientFailure("it failed", client("mariadb", "10.11.1"), 1, stderr);
  test.each([
    ["ERROR 1045 (28000): Access denied for user 'a'@'b' (using password: YES)", "check user and password", false],
    ["mysqldump: Got error: 1049: Unknown database 'x' when selecting the database", "name of the database", false],
    ["mariadb-dump: Couldn't execute 'show events': Access denied for user 'a'@'b' (1044)", "lacks a privilege", false],
    ["ERROR 2002 (HY000): Can't connect to server on 'h' (115)", "is the server running", true],
    ["ERROR 2002 (HY000): Can't connect to local server through socket '/x' (2)", "DB_PORT=3306", true],
    [
      "mysqldump: Couldn't execute 'SELECT /*!40001 SQL_NO_CACHE */ `a` FROM `t`': Table 'x.t' doesn't exist (1146)",
      "a table was changed (ALTER, TRUNCATE, DROP) while it was backed up",
      true,
    ],
    [
      "mysqldump: Error 1412: Table definition has changed, please retry transaction when dumping table `t` at row: 0",
      "a table was changed",
      true,
    ],
    ["ERROR 3548 (SR001): There's no spatial reference system with SRID 990001.", "CREATE SPATIAL REFERENCE", false],
    [
      "mysqldump: Error 2013: Lost connection to server during query when dumping table `t` at row: 5",
      "look at its log",
      true,
    ],
  ])("%s", (stderr, hint, again) => {
    expect(failure(stderr).hints.join()).toContain(hint);
    expect(isTemporary(failure(stderr))).toBe(again);
  });

  test("the statement that MariaDB's client repeats is not shown: it holds data", () => {
    const echoed = `${"-".repeat(14)}\nINSERT INTO t VALUES ('private')\n${"-".repeat(14)}\n\nERROR 1146 (42S02) at line 7: Table 'x.t' doesn't exist`;
    expect(failure(echoed).message).toBe("it failed: ERROR 1146 (42S02): Table 'x.t' doesn't exist");
    expect(failure(echoed.slice(20)).message).not.toContain("private");
  });

  test("a program that ends without a word", () => {
    expect(clientFailure("it failed", client("mysql", "8.0.1"), 137, "").message).toBe(
      "it failed: mysqldump: killed by signal 9",
    );
  });
});
