/** Two dumps are compared: that of a MySQL or MariaDB database, and that of what was restored from it. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { comparing } from "../../scripts-src/database/mysql/fingerprint.ts";
import { expectFound, expectSameDumps } from "../support/expect/comparison.ts";
import { createNasty } from "../support/expect/mysql-oracle.ts";
import { clientName, dumpName, families, type MysqlServer, startMysql } from "../support/servers/mysql.ts";
import { removeDir, tempDir } from "../support/machine/temp.ts";

describe.each([...families])("the comparison of verify, %s", (family) => {
  let server: MysqlServer;
  beforeAll(async () => {
    server = await startMysql(family, { "max-allowed-packet": "64M" });
    await createNasty(server, "nasty");
  });
  afterAll(() => server.stop());

  const words = ["--routines", "--triggers", "--events", "--hex-blob", "--single-transaction", "--skip-add-locks"];
  async function dumpOf(database: string): Promise<Buffer> {
    const file = join(tempDir("dump"), "dump.sql");
    const more = family === "mysql" ? ["--set-gtid-purged=OFF", "--no-tablespaces"] : [];
    await server.client(dumpName(family), [...words, ...more, `--result-file=${file}`, database]);
    const dump = readFileSync(file);
    removeDir(dirname(file));
    return dump;
  }

  async function restoreInto(database: string, dump: Buffer): Promise<void> {
    await server.createDatabase(database);
    const options = ["--binary-mode", "--comments", "--max-allowed-packet=64M", database];
    await server.client(clientName(family), options, new Blob([Uint8Array.from(dump)]));
  }

  test("the nasty database equals its restored copy under another name", async () => {
    const dump = await dumpOf("nasty");
    // as a load of ours does: MariaDB names the database in a default that draws from a sequence
    await restoreInto(
      "nasty_copy",
      Buffer.from(dump.toString("latin1").replaceAll("nextval(`nasty`.", "nextval(`nasty_copy`."), "latin1"),
    );
    await expectSameDumps(comparing, dump, await dumpOf("nasty_copy"));
  });

  const base = `CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, n varchar(100), k int CHECK (k < 100), KEY k (k));
    INSERT INTO t (n, k) VALUES ('a(b''c\\\\', 1), ('x),(y', 2), ('z', 3);
    CREATE VIEW v AS SELECT id FROM t WHERE id > 3;
    CREATE PROCEDURE p() SELECT 1; CREATE EVENT e ON SCHEDULE EVERY 1 YEAR DO SELECT 1;
    CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET NEW.k = 1;`;
  test.each([
    ["a row changed", "UPDATE t SET n = 'other' WHERE id = 3", "3 rows in both"],
    ["a row missing", "DELETE FROM t WHERE id = 3", "3 rows in the backup, 2 rows in the copy"],
    ["values swapped", "UPDATE t SET n = IF(id = 1, 'z', 'a(b''c\\\\') WHERE id IN (1, 3)", "3 rows in both"],
    ["the next number off by one", "ALTER TABLE t AUTO_INCREMENT = 5", "AUTO_INCREMENT=5"],
    [
      "a constraint gone",
      family === "mysql" ? "ALTER TABLE t DROP CONSTRAINT t_chk_1" : "ALTER TABLE t MODIFY k int",
      "CHECK",
    ],
    ["a default gone", "ALTER TABLE t ALTER k SET DEFAULT 7", "DEFAULT"],
    ["a key gone", "ALTER TABLE t DROP KEY k", "KEY"],
    ["a key altered", "ALTER TABLE t DROP KEY k, ADD KEY k (n)", "KEY"],
    ["a view altered", "CREATE OR REPLACE VIEW v AS SELECT id FROM t WHERE id > 4", "> 4"],
    ["a routine altered", "DROP PROCEDURE p; CREATE PROCEDURE p() SELECT 2", "SELECT 2"],
    ["a trigger gone", "DROP TRIGGER g", "TRIGGER"],
    ["an event altered", "ALTER EVENT e ON SCHEDULE EVERY 2 YEAR", "EVERY 2 YEAR"],
    ["a table missing", "DROP VIEW v; DROP TABLE t", "the table is missing in the copy"],
  ])("is found: %s", (_, change, named) => expectFound(comparing, { server, dumpOf }, { base, change, named }));

  const altered = {
    "keys in another order than CREATE TABLE gives them":
      "CREATE TABLE t (a int, b int, c int, UNIQUE (a), UNIQUE (b)); ALTER TABLE t MODIFY b int NOT NULL",
    "a default taken away from a column that may be NULL":
      "CREATE TABLE t (a int, b int DEFAULT 3); ALTER TABLE t ALTER a DROP DEFAULT",
    ...(family === "mariadb" && {
      "options that the engine does not know":
        "CREATE TABLE t (a int) ENGINE=Aria TRANSACTIONAL=0; ALTER TABLE t ENGINE=InnoDB",
    }),
  };
  test.each(Object.entries(altered))("what ALTER TABLE left is no difference: %s", async (_, sql) => {
    await server.createDatabase("altered", sql);
    const dump = await dumpOf("altered");
    await restoreInto("altered_copy", dump);
    await expectSameDumps(comparing, dump, await dumpOf("altered_copy"));
    for (const name of ["altered", "altered_copy"]) await server.dropDatabase(name);
  });

  test("the lines around rows are no difference: --ignore-table-data=DATABASE.TABLE leaves them out, but not of the copy", async () => {
    await server.createDatabase("bare", "CREATE TABLE t (a int)");
    const dump = await dumpOf("bare");
    const left = dump.toString("latin1").replaceAll(/^.*(?:DISABLE|ENABLE) KEYS.*\n/gm, "");
    expect(left.length).toBeLessThan(dump.length);
    await expectSameDumps(comparing, Buffer.from(left, "latin1"), dump);
  });

  test("an event that sleeps in the copy is no difference", async () => {
    await server.createDatabase("sleepy");
    await server.sql("sleepy", "CREATE EVENT e ON SCHEDULE EVERY 1 YEAR ON COMPLETION NOT PRESERVE ENABLE DO SELECT 1");
    const dump = await dumpOf("sleepy");
    await server.sql("sleepy", "ALTER EVENT e ON COMPLETION PRESERVE DISABLE");
    await expectSameDumps(comparing, dump, await dumpOf("sleepy"));
  });
});
