/** verify with MariaDB and MySQL: equal to the last row, what is not equal is found and named, and the copy sleeps. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { clientsWith } from "../support/servers/clients.ts";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { createNasty } from "../support/expect/mysql-oracle.ts";
import { until } from "../support/machine/until.ts";
import { clientName, dumpName, families, type MysqlServer, startMysql } from "../support/servers/mysql.ts";

/** Everything that can go wrong on the way, in a small database; its event and its trigger say where they ran. */
const shop = `
  CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, n varchar(40), CONSTRAINT small CHECK (n <> '')) COMMENT='all the things';
  INSERT INTO t (n) VALUES ${Array.from({ length: 50 }, (_, i) => `('name ${i + 1}')`).join(",")};
  CREATE VIEW v AS SELECT id FROM t WHERE id > 3;
  CREATE TRIGGER tr AFTER INSERT ON t FOR EACH ROW INSERT INTO witness.log VALUES (concat('trigger ', NEW.n));
  CREATE FUNCTION f() RETURNS int DETERMINISTIC RETURN 42;
  CREATE DEFINER=ghost@nowhere PROCEDURE p() SELECT 1;
  CREATE EVENT e ON SCHEDULE EVERY 1 SECOND DO INSERT INTO witness.log VALUES (DATABASE());
  ALTER DATABASE COLLATE utf8mb4_bin;`;

describe.each([...families])("verify, %s", (family) => {
  let server: MysqlServer;
  let own: Installation;
  beforeAll(async () => {
    server = await startMysql(family, { "event-scheduler": "ON" });
    await server.createDatabase("witness", "CREATE TABLE log (what text)");
    await server.createDatabase("shop", shop);
    own = installScripts(server.settings("shop"));
  });
  afterAll(async () => {
    await server.stop();
    own.remove();
  });
  const databases = () => server.sql("mysql", "SHOW DATABASES");

  test("proves a database that holds everything; the copy is dropped, the proof lies beside the backup", async () => {
    await createNasty(server, "nasty");
    const scripts = installScripts({ ...server.settings("nasty"), BACKUP_COMPRESSION_LEVEL: "1" });
    const backup = (await scripts.run("backup")).stdout.trim();
    const before = await databases();
    const ran = await scripts.run("verify");
    expect(ran.status, ran.stderr).toBe(0);
    expect(ran.stdout.trim()).toBe(`${backup}.proof.json`);
    expect(await databases()).toBe(before);
    scripts.remove();
  });

  test("a name that is the database's and a table's, a program that names the database, a view whose definer has no rights", async () => {
    await server.createDatabase(
      "crm",
      `CREATE TABLE crm (id int, a int); CREATE TABLE t (a int, b int); INSERT INTO crm VALUES (1, 2); INSERT INTO t VALUES (2, 3);
       CREATE VIEW q AS SELECT crm.id, t.b FROM crm JOIN t ON crm.a = t.a; CREATE USER low@localhost;
       CREATE DEFINER=low@localhost VIEW v AS SELECT t.a, t.b + 1 AS c FROM t; CREATE VIEW w AS SELECT x.a, 'crm.t.a' AS s FROM t x;
       CREATE FUNCTION f() RETURNS int READS SQL DATA RETURN (SELECT max(a) FROM \`crm\`.\`t\`);`,
    );
    const scripts = installScripts(server.settings("crm"));
    expect((await scripts.run("backup")).status).toBe(0);
    for (const words of [["verify"], ["restore"], ["restore", "--into", "other"]] as const) {
      const ran = await scripts.run(words[0], words.slice(1));
      expect(ran.status, ran.stderr).toBe(0);
    }
    for (const name of ["crm", "other"]) {
      expect(await server.sql(name, "SELECT id, b FROM q")).toBe("1\t3");
      expect(await server.sql(name, "SELECT s FROM w")).toBe("crm.t.a");
      const definition = await server.sql(name, "SHOW CREATE VIEW v");
      expect(definition).toContain("DEFINER=`low`@`localhost`");
    }
    scripts.remove();
  });

  const numbers = `CREATE TABLE n (id int PRIMARY KEY, j json);
    INSERT INTO n VALUES (1, json_object('price', CAST(19.90 AS decimal(10,2)), 'all', json_array(CAST(100.00 AS decimal(10,2)), CAST(1e-7 AS decimal(10,7)))));`;
  test("numbers in JSON that no dump can write with their type are compared by their value, and that is said", async () => {
    await server.createDatabase("money", numbers);
    const scripts = installScripts(server.settings("money"));
    const backup = (await scripts.run("backup")).stdout.trim();
    const ran = await scripts.run("verify");
    expect(ran.status, ran.stderr).toBe(0);
    const says = expect(readFileSync(`${backup}.proof.json`, "utf8"));
    if (family === "mysql") says.toContain("numbers in JSON by their value: n");
    else says.not.toContain("JSON");
    // a DOUBLE has no room for these digits
    await server.sql("money", "UPDATE n SET j = json_object('price', CAST('12345678901234567.89' AS decimal(30,2)))");
    expect((await scripts.run("backup")).status).toBe(0);
    expect((await scripts.run("verify")).status).toBe(family === "mysql" ? 1 : 0);
    scripts.remove();
  });

  test("a backup of another series of versions, which spells its schema in another way, is compared by the names of its objects", async () => {
    const older = { mariadb: "10.6.1-MariaDB", mysql: "8.0.11" }[family];
    const script = `"$REAL" "$@" | sed 's/^-- Server version.*/-- Server version\t${older}/; s/^) ENGINE=InnoDB.*/) ENGINE=InnoDB;/'`;
    const scripts = installScripts(server.settings("shop"));
    const DB_CLIENT_DIR = clientsWith(server.clientDir, { [dumpName(family)]: script }, [
      dumpName(family),
      clientName(family),
    ]);
    expect((await scripts.run("backup", [], { env: { DB_CLIENT_DIR } })).status).toBe(0);
    const ran = await scripts.run("verify");
    expect(ran.status, ran.stderr).toBe(0);
    expect(readFileSync(ran.stdout.trim(), "utf8")).toContain("every object of the schema by kind and name");
    scripts.remove();
  });

  test("an event and a trigger of the copy do not run; a login that cannot give definers proves without them", async () => {
    const backup = (await own.run("backup")).stdout.trim();
    const logged = () => server.sql("witness", "SELECT group_concat(DISTINCT what) FROM log");
    // the scheduler works, in the database itself
    await until("the event has run", async () => (await logged()) === "shop");
    // each second of which the copy lives, its event would be seen
    const query = { VERIFY_QUERY: "SELECT SLEEP(3) = 0" };
    const ran = await own.run("verify", [], { env: query });
    expect(ran.status, ran.stderr).toBe(0);
    expect(await logged()).toBe("shop");

    await server.sql(
      "mysql",
      "CREATE USER prover@'%' IDENTIFIED BY 'prover'; GRANT ALL ON `shop\\_%`.* TO prover@'%'; GRANT SELECT ON shop.* TO prover@'%'",
    );
    const login = { VERIFY_DATABASE_URL: server.url("shop", { user: "prover", password: "prover" }) };
    const weak = await own.run("verify", [backup], { env: login });
    expect(weak.status, weak.stderr).toBe(0);
    expect(readFileSync(`${backup}.proof.json`, "utf8")).toContain("owners and privileges");
    expect(await databases()).not.toContain("_verify_");
  });

  const escape = (text: string) => text.replaceAll("'", String.raw`'\''`);
  test.each([
    ["a row changed", "s/(3,'name 3')/(3,'name X')/", ["table t", "only in the backup: first column 3"]],
    ["a row missing", "s/(3,'name 3'),//", ["t", "50", "49"]],
    ["a row twice", "s/(3,'name 3')/(3,'name 3'),(53,'name 3')/", ["t", "51"]],
    ["values swapped", "s/(3,'name 3')/(3,'name 4')/; s/(4,'name 4')/(4,'name 3')/", ["table t", "name 3", "name 4"]],
    ["a constraint gone", "s/CONSTRAINT `small` CHECK.*$/CHECK (1 = 1)/", ["CONSTRAINT `small`"]],
    ["a comment gone", "s/ COMMENT='all the things'//", ["COMMENT='all the things'"]],
    ["a counter off by one", "s/AUTO_INCREMENT=51/AUTO_INCREMENT=52/", ["AUTO_INCREMENT=51"]],
    ["a view altered", "s/`id` > 3/`id` > 4/", ["> 3", "> 4"]],
    ["a trigger altered", "s/'trigger '/'digger '/", ["'trigger '", "'digger '"]],
    ["a routine altered", "s/RETURN 42/RETURN 43/", ["RETURN 42", "RETURN 43"]],
  ])("finds and names what a client program altered: %s", async (_, change, named) => {
    const [client, dump] = [clientName(family), dumpName(family)];
    const script = { [client]: `sed -u '${escape(change)}' | "$REAL" "$@"` };
    const dir = clientsWith(server.clientDir, script, [dump, client]);
    const ran = await own.run("verify", [], { env: { DB_CLIENT_DIR: dir } });
    expect(ran.status, ran.stderr).toBe(1);
    for (const words of named) expect(ran.stderr).toContain(words);
    for (const name of own.list()) expect(existsSync(`${own.backups}/${name}.proof.json`)).toBe(false);
    expect(await databases()).not.toContain("_verify_");
  });
});
