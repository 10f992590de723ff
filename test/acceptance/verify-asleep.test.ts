/** Nothing of a copy acts on the world: each of these would write into the database `witness`. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { installScripts } from "../support/machine/executables.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";

let server: PostgresServer;
beforeAll(async () => {
  // has event triggers on login
  server = await startPostgres(17);
});
afterAll(() => server.stop());

const witness = `
  CREATE TABLE log (what text);
  CREATE TABLE source AS SELECT 7 AS n;
  CREATE FUNCTION seen() RETURNS int LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.log VALUES ('read'); RETURN 1; END $$;
  CREATE VIEW watched AS SELECT seen() AS n;`;

const literal = (text: string) => text.replaceAll("'", "''");
const restless = ({ socketDir, port, password, url }: PostgresServer) => `
  CREATE EXTENSION dblink; CREATE EXTENSION postgres_fdw; COMMENT ON EXTENSION dblink IS NULL;
  CREATE FUNCTION tell(what text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    PERFORM public.dblink_exec('${literal(url("witness"))}', 'INSERT INTO public.log VALUES (' || quote_literal(what) || ')');
  END $$;
  CREATE FUNCTION on_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.tell('trigger'); RETURN NEW; END $$;
  CREATE FUNCTION on_event() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.tell(tg_event); END $$;
  CREATE TABLE t (id int PRIMARY KEY);
  INSERT INTO t SELECT generate_series(1, 10);
  CREATE TRIGGER row_trigger AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION on_row();
  CREATE MATERIALIZED VIEW own AS SELECT count(*) FROM t;
  CREATE SERVER "else where" FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '${socketDir}', port '${port}', dbname 'witness');
  CREATE USER MAPPING FOR postgres SERVER "else where" OPTIONS (user 'postgres', password '${literal(password)}');
  CREATE FOREIGN TABLE remote (n int) SERVER "else where" OPTIONS (table_name 'watched');
  CREATE MATERIALIZED VIEW copied AS SELECT n FROM remote;
  CREATE SUBSCRIPTION pull CONNECTION '${literal(url("witness"))}' PUBLICATION p WITH (connect = false, slot_name = 'of_production');
  CREATE EVENT TRIGGER "on ddl" ON ddl_command_end EXECUTE FUNCTION on_event();
  CREATE EVENT TRIGGER on_login ON login EXECUTE FUNCTION on_event();
  ALTER EVENT TRIGGER on_login ENABLE ALWAYS;`;

test("triggers, event triggers, subscriptions and foreign tables of a copy do nothing; the proof names what is left out", async () => {
  await server.createDatabase("witness", witness);
  await server.createDatabase("restless", restless(server));
  const log = () => server.sql("witness", "SELECT coalesce(string_agg(what, ','), 'nothing') FROM log");
  // the witness sees all of them in the database itself
  await server.sql("restless", "INSERT INTO t VALUES (11)");
  await server.sql("restless", "REFRESH MATERIALIZED VIEW copied");
  const awake = await log();
  for (const what of ["trigger", "ddl_command_end", "login", "read"]) expect(awake).toContain(what);

  const scripts = installScripts(server.settings("restless"));
  const backup = (await scripts.run("backup")).stdout.trim();
  // the program's own sessions in the database are no deeds of a copy
  await server.sql("postgres", "ALTER DATABASE restless SET event_triggers = off");
  await server.sql("witness", "TRUNCATE log");
  const ran = await scripts.run("verify");
  expect(ran.status, ran.stderr).toBe(0);
  expect(await log()).toBe("nothing");
  const proof = readFileSync(`${backup}.proof.json`, "utf8");
  expect(proof).toContain("subscription pull is left out of the copy");
  expect(proof).toContain('the copy reaches no foreign server \\"else where\\"');
  expect(await server.sql("postgres", "SELECT string_agg(datname, ',') FROM pg_database")).not.toContain("_verify_");
  scripts.remove();
});
