/** R1, R2, S12: what is restored is what was backed up, checked by the server; what cannot be restored fails the backup. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { expectFailure, expectSuccess } from "../support/expect/expect.ts";
import { type Major, type PostgresServer, startPostgres } from "../support/servers/postgres.ts";

describe.each<[Major]>([[13], [15]])("PostgreSQL %d", (major) => {
  let server: PostgresServer;
  let scripts: Installation;
  beforeAll(async () => {
    server = await startPostgres(major);
    await server.sql("postgres", "CREATE ROLE owner LOGIN PASSWORD 'secret-of-owner'");
  });
  afterAll(() => server.stop());
  beforeEach(() => {
    scripts = installScripts(server.settings("app"));
  });
  afterEach(async () => {
    scripts.remove();
    await server.dropDatabase("app");
  });

  const into = async (encoding: string) => {
    await server.dropDatabase("app");
    await server.createDatabase("app", "", `ENCODING '${encoding}' TEMPLATE template0 LOCALE 'C'`);
  };

  test("R1: a function that psql cannot read fails the backup, tonight", async () => {
    await server.createDatabase("app", "CREATE FUNCTION begin() RETURNS int LANGUAGE sql AS 'SELECT 1'");
    const ran = await scripts.run("backup");
    expectFailure(ran, /a restore would refuse this backup: .*a function whose body does not end, as psql reads it/);
    expect(ran.stderr).toContain("hint: psql takes a function (or its type) with the name begin");
    expect(scripts.list()).toEqual([]);
  });

  describe("R2: a database with SQL_ASCII", () => {
    const rows = String.raw`E'caf\xe9', E'na\xefve'`;
    const backUp = async (text: string) => {
      await into("SQL_ASCII");
      await server.sql("app", `CREATE TABLE t AS SELECT unnest(ARRAY[${text}]) AS a; COMMENT ON TABLE t IS 'plain'`);
      expectSuccess(await scripts.run("backup"));
    };
    const bytes = () => server.sql("app", "SELECT string_agg(encode(a::bytea, 'hex'), ' ' ORDER BY a) FROM t");

    test.each([[[]], [["--in-place"]]])(
      "whose bytes are no UTF-8 is not restored into a UTF8 one: %p",
      async (words) => {
        await backUp(rows);
        await into("UTF8");
        const ran = await scripts.run("restore", ["--yes", ...words]);
        expectFailure(ran, /invalid byte sequence for encoding "UTF8": 0xe9/);
        expect(ran.stderr).toMatch(/hint: .*ENCODING 'SQL_ASCII'.*iconv/);
        expect(await server.sql("app", "SELECT to_regclass('t') IS NULL")).toBe("t");
      },
    );

    test("whose bytes are UTF-8 is", async () => {
      await backUp("E'caf\\xc3\\xa9'");
      await into("UTF8");
      expectSuccess(await scripts.run("restore", ["--yes"]));
      expect(await bytes()).toBe("636166c3a9");
    });

    test("comes back byte for byte into one alike, and a UTF8 one does", async () => {
      await backUp(rows);
      const before = await bytes();
      await server.sql("app", "DROP TABLE t");
      expectSuccess(await scripts.run("restore", ["--yes"]));
      expect(await bytes()).toBe(before);
      await into("UTF8");
      await server.sql("app", "CREATE TABLE t AS SELECT 'café' AS a");
      expectSuccess(await scripts.run("backup"));
      await into("SQL_ASCII");
      expectSuccess(await scripts.run("restore", ["--yes"]));
      expect(await bytes()).toBe("636166c3a9");
    });
  });

  test("R2: LATIN1 into UTF8 is converted by the server", async () => {
    await into("LATIN1");
    await server.sql("app", "SET client_encoding = 'UTF8'; CREATE TABLE t AS SELECT 'café' AS a");
    expectSuccess(await scripts.run("backup"));
    await into("UTF8");
    expectSuccess(await scripts.run("restore", ["--yes"]));
    expect(await server.sql("app", "SELECT encode(a::bytea, 'hex') FROM t")).toBe("636166c3a9");
  });

  test("S12: a superuser is warned of a file from elsewhere, not of one in BACKUP_DIR; the owner is not", async () => {
    await server.createDatabase("app", "CREATE TABLE t ()", "OWNER owner");
    await server.sql("app", "ALTER TABLE t OWNER TO owner; ALTER SCHEMA public OWNER TO owner");
    expectSuccess(await scripts.run("backup"));
    const elsewhere = join(scripts.dir, "elsewhere.sql");
    const own = join(scripts.backups, scripts.list()[0] ?? "");
    writeFileSync(elsewhere, Bun.gunzipSync(await Bun.file(own).bytes()));
    const warned = "the login is a superuser";
    const restore = (file: string, env = {}) => scripts.run("restore", [file, "--yes", "--dry-run"], { env });
    expect((await restore(elsewhere)).stderr).toContain(warned);
    expect((await restore(own)).stderr).not.toContain(warned);
    const { DB_USER = "", DB_PASSWORD = "" } = server.settings("app", { user: "owner", password: "secret-of-owner" });
    const asOwner = await restore(elsewhere, { DB_USER, DB_PASSWORD });
    expectSuccess(asOwner);
    expect(asOwner.stderr).not.toContain(warned);
  });
});
