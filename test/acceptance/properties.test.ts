/** R15: a database comes back on another server with its owner, settings, privileges and comment; the application goes on working. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { expectSuccess } from "../support/expect/expect.ts";
import { readManifest } from "../support/machine/files.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";

setDefaultTimeout(180_000);

let old: PostgresServer;
let fresh: PostgresServer;
let scripts: Installation;
beforeAll(async () => {
  [old, fresh] = await Promise.all([startPostgres(15), startPostgres(17)]);
  for (const server of [old, fresh])
    await server.sql("postgres", "CREATE ROLE app LOGIN PASSWORD 'secret'; CREATE ROLE reader");
  await old.sql("postgres", "CREATE ROLE gone");
  scripts = installScripts(old.settings("shop"));
});
afterAll(async () => {
  await Promise.all([old.stop(), fresh.stop()]);
  scripts.remove();
});

/** What pg_dump --create writes of a database, as the server says it. */
const properties = (server: PostgresServer, name: string) =>
  server.sql(
    "postgres",
    `SELECT pg_encoding_to_char(encoding), datcollate, datctype, pg_get_userbyid(datdba), datconnlimit, datistemplate,
      (SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest(datacl) a), shobj_description(d.oid, 'pg_database'),
      (SELECT string_agg(coalesce(rolname, '-') || ' ' || array_to_string(setconfig, ';'), '|' ORDER BY rolname)
        FROM pg_db_role_setting LEFT JOIN pg_roles r ON r.oid = setrole WHERE setdatabase = d.oid)
     FROM pg_database d WHERE datname = '${name}'`,
  );

test("R15: owner, encoding, locale, settings, privileges, limit and comment come back; a role that is missing is warned of", async () => {
  await old.createDatabase(
    "shop",
    `CREATE SCHEMA app; CREATE TABLE app.t AS SELECT 1 AS id; GRANT USAGE ON SCHEMA app TO app; GRANT SELECT ON app.t TO app;
     ALTER DATABASE shop OWNER TO app; ALTER DATABASE shop SET search_path TO app, "We ird", public; ALTER DATABASE shop SET work_mem = '5MB';
     ALTER DATABASE shop SET my.setting TO 'it''s \\ ü'; ALTER ROLE app IN DATABASE shop SET statement_timeout = '9min';
     ALTER DATABASE shop SET default_transaction_read_only = on;
     REVOKE ALL ON DATABASE shop FROM PUBLIC; GRANT CONNECT ON DATABASE shop TO reader WITH GRANT OPTION;
     COMMENT ON DATABASE shop IS 'the "shop"'; ALTER DATABASE shop CONNECTION LIMIT 17;`,
    "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0",
  );
  const backup = await scripts.run("backup");
  expectSuccess(backup);
  expect(readManifest(backup.stdout.trim())).toMatchObject({
    create: { owner: "app", encoding: "LATIN1", connectionLimit: 17, comment: 'the "shop"' },
  });
  scripts.configure({ ...fresh.settings("shop"), DB_CLIENT_DIR: fresh.clientDir });
  const restored = await scripts.run("restore", ["--yes"]);
  expectSuccess(restored);
  expect(restored.stderr).not.toContain("properties");
  expect(await properties(fresh, "shop")).toBe(await properties(old, "shop"));
  const login = new Bun.SQL(fresh.url("shop", { user: "app", password: "secret" }), { max: 1 });
  expect(await login`SELECT id FROM t`.values()).toEqual([[1]]);
  await login.close();
});

test("a property that the new server refuses costs a warning, not the restore; a manifest's text is never run as SQL", async () => {
  await old.createDatabase(
    "odd",
    `CREATE TABLE t AS SELECT 1 AS id; ALTER DATABASE odd OWNER TO gone; GRANT CONNECT ON DATABASE odd TO gone`,
  );
  scripts.configure(old.settings("odd"));
  const path = (await scripts.run("backup")).stdout.trim();
  const manifest = readManifest(path) as { create: Record<string, unknown> };
  Object.assign(manifest.create, {
    collate: "xx_YY",
    ctype: "xx_YY",
    comment: "'; CREATE ROLE evil; --\\",
    settings: [
      { role: null, name: 'search_path TO x; CREATE ROLE evil; --"', value: "x" },
      { role: null, name: "search_path", value: "x; CREATE ROLE evil" },
      { role: 'a"; CREATE ROLE evil; --', name: "work_mem", value: "1MB'; CREATE ROLE evil; --" },
    ],
  });
  await Bun.write(`${path}.json`, `${JSON.stringify(manifest, null, 2)}\n`);
  scripts.configure({ ...fresh.settings("odd"), DB_CLIENT_DIR: fresh.clientDir });
  const restored = await scripts.run("restore", ["--yes"]);
  expectSuccess(restored);
  expect(restored.stderr).toMatch(/WARN restore: the new database sorts and compares texts differently: .*xx_YY/);
  expect(restored.stderr).toMatch(
    /WARN restore: not restored of the database's properties: .*role "gone" does not exist/,
  );
  expect(await fresh.sql("odd", "SELECT id FROM public.t")).toBe("1");
  expect(await fresh.sql("postgres", "SELECT count(*) FROM pg_roles WHERE rolname = 'evil'")).toBe("0");
  expect(await properties(fresh, "odd")).toContain("'; CREATE ROLE evil; --\\");
});

test("R15: a restore beside gives the new database all that the present one has, its tablespace and locale provider too", async () => {
  await fresh.sql("postgres", "ALTER SYSTEM SET allow_in_place_tablespaces = on");
  await fresh.sql("postgres", "SELECT pg_reload_conf()");
  await fresh.sql("postgres", "CREATE TABLESPACE \"Fast\" LOCATION ''");
  await fresh.createDatabase(
    "wide",
    `CREATE TABLE t AS SELECT 1 AS id; CREATE TABLE parted (id int) PARTITION BY LIST (id) TABLESPACE pg_default;
     ALTER DATABASE wide OWNER TO app; ALTER DATABASE wide SET my.setting TO 'ü';
     ALTER ROLE reader IN DATABASE wide SET work_mem = '5MB'; REVOKE ALL ON DATABASE wide FROM PUBLIC;
     GRANT CONNECT ON DATABASE wide TO reader WITH GRANT OPTION; COMMENT ON DATABASE wide IS 'ours'`,
    `ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'de-DE' ICU_RULES '&a < g' LC_COLLATE 'C' LC_CTYPE 'C' TABLESPACE "Fast" TEMPLATE template0`,
  );
  const all = async () =>
    `${await properties(fresh, "wide")} ${await fresh.sql(
      "wide",
      `SELECT datlocprovider, datlocale, daticurules, (SELECT spcname FROM pg_tablespace t WHERE t.oid = dattablespace),
         (SELECT spcname FROM pg_tablespace t, pg_class WHERE t.oid = reltablespace AND relname = 'parted')
       FROM pg_database WHERE datname = 'wide'`,
    )}`;
  const before = await all();
  expect(before).toContain("i|de-DE|&a < g|Fast|pg_default");
  scripts.configure({ ...fresh.settings("wide"), DB_CLIENT_DIR: fresh.clientDir });
  expectSuccess(await scripts.run("backup"));
  const restored = await scripts.run("restore", ["--yes"]);
  expectSuccess(restored);
  expect(restored.stderr).toContain("wide_before_");
  expect(await all()).toBe(before);
  // a copy lies in the server's usual tablespace, which no partitioned table may name there
  expectSuccess(await scripts.run("verify"));
  expectSuccess(await scripts.run("restore", ["--into", "wide_look"]));
});

test("what an administrator has set for an owner's database: restored in place, and why; a copy goes without; no value is said", async () => {
  const login = { user: "keeper", password: "secret-of-keeper" };
  await fresh.sql("postgres", "CREATE ROLE keeper LOGIN CREATEDB PASSWORD 'secret-of-keeper'");
  await fresh.createDatabase(
    "kept",
    `ALTER DATABASE kept OWNER TO keeper; SET ROLE keeper; CREATE TABLE t AS SELECT 1 AS id; RESET ROLE;
     ALTER DATABASE kept SET work_mem = '5MB'; ALTER ROLE reader IN DATABASE kept SET work_mem = '77MB'`,
  );
  const before = await properties(fresh, "kept");
  scripts.configure({ ...fresh.settings("kept", login), DB_CLIENT_DIR: fresh.clientDir });
  expectSuccess(await scripts.run("backup"));
  await fresh.sql("kept", "DELETE FROM t");
  const restored = await scripts.run("restore", ["--yes"]);
  expectSuccess(restored);
  const setting = 'ALTER ROLE "reader" IN DATABASE "kept" SET "work_mem"';
  expect(restored.stderr).toContain(
    `in place, because keeper may not give a new database what an administrator has set: ${setting}\n`,
  );
  expect(await fresh.sql("kept", "SELECT id FROM t")).toBe("1");
  expect(await properties(fresh, "kept")).toBe(before);
  const copied = await scripts.run("restore", ["--yes", "--into", "kept_look"]);
  expectSuccess(copied);
  expect(copied.stderr).toMatch(
    /not restored of the database's properties: [^]*\(ALTER ROLE "reader" .* SET "work_mem"\)$/m,
  );
  expect(await fresh.sql("kept_look", "SELECT id FROM t")).toBe("1");
  expect(restored.stderr + copied.stderr).not.toContain("77MB");
});

test("a database whose name holds a line break is exchanged as every other one", async () => {
  const name = "odd\nname";
  await fresh.createDatabase(name, "CREATE TABLE t AS SELECT 1 AS id");
  scripts.configure({
    DATABASE_URL: fresh.url("NAME").replace("/NAME", `/${encodeURIComponent(name)}`),
    DB_CLIENT_DIR: fresh.clientDir,
  });
  expectSuccess(await scripts.run("backup"));
  await fresh.sql(name, "DELETE FROM t");
  const restored = await scripts.run("restore", ["--yes"]);
  expectSuccess(restored);
  expect(await fresh.sql(name, "SELECT id FROM t")).toBe("1");
  expect(
    await fresh.sql("postgres", String.raw`SELECT count(*) FROM pg_database WHERE datname LIKE E'odd\nname_before_%'`),
  ).toBe("1");
});
