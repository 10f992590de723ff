/**
 * restore beside: into a new database that takes the place of the present one, which stays; until then nobody notices. On every
 * server version: round-trip.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { besideName } from "../../scripts-src/database/postgres/names.ts";
import { clientsWith } from "../support/servers/clients.ts";
import { type Installation, installScripts, type Running } from "../support/machine/executables.ts";
import { expectFailure, expectSuccess } from "../support/expect/expect.ts";
import { closeGate, type Gate } from "./gate.ts";
import { dumpOf } from "../support/expect/hostile-dumps.ts";
import { expectState, type State, stateOf } from "../support/expect/oracle.ts";
import { identifier, type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { expectNoSecrets } from "../support/expect/secrets.ts";
import { tempDir } from "../support/machine/temp.ts";
import { until } from "../support/machine/until.ts";

const databasesOf = (server: PostgresServer, pattern = "app%") =>
  server.sql("postgres", `SELECT datname FROM pg_database WHERE datname LIKE '${pattern}' ORDER BY 1`);

/** The one that was there before. */
async function keptBy(server: PostgresServer): Promise<string> {
  const kept = await databasesOf(server, "app\\_before\\_%");
  expect(kept).toMatch(/^app_before_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d$/);
  return kept;
}

describe("with large tables and a slow index", () => {
  let server: PostgresServer;
  let scripts: Installation;
  let original: State;
  let rows: string;
  let gate: Gate | undefined;

  /** Rows from 60 bytes to 3 MB: turns end between rows, and a row can be longer than a turn. */
  const data = `
    CREATE TABLE large AS SELECT i, md5(i::text) AS hash, E'tab\\t, newline\\n, \\\\.\\n' AS odd FROM generate_series(1, 30000) i;
    INSERT INTO large SELECT -i, repeat(md5(i::text), 90000), NULL FROM generate_series(1, 3) i;
    ALTER TABLE large ADD PRIMARY KEY (i); CREATE INDEX large_hash ON large (left(hash, 32)); CREATE UNIQUE INDEX large_i ON large (i DESC);
    CREATE TABLE empty (a int UNIQUE);
    CREATE TABLE child AS SELECT i AS parent FROM generate_series(1, 20000) i;
    ALTER TABLE child ADD FOREIGN KEY (parent) REFERENCES large;
    CREATE MATERIALIZED VIEW sums AS SELECT count(*), sum(i) FROM large;
    SELECT lo_from_bytea(5000 + i, decode(md5(i::text), 'hex')) FROM generate_series(1, 20) i;
    CREATE SEQUENCE counter; SELECT setval('counter', 4711);`;
  const everyRow = `SELECT count(*), sum(hashtext(t::text)::bigint) FROM large t;
    SELECT count(*), sum(parent) FROM child; SELECT * FROM sums; SELECT last_value FROM counter;
    SELECT count(*), sum(hashtext(encode(lo_get(oid), 'hex'))::bigint) FROM pg_largeobject_metadata;
    SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1; SELECT conname FROM pg_constraint ORDER BY 1`;

  /** A restore stands at this index until the gate of another database is open. */
  const slowIndex = `
    CREATE FUNCTION public.slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
      WHILE current_database() LIKE '%\\_restoring\\_%' AND EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711)
        LOOP PERFORM pg_sleep(0.05); END LOOP; RETURN $1; END $$;
    CREATE TABLE one AS SELECT 1 AS a; CREATE INDEX one_slow ON one (public.slow(a));`;

  beforeAll(async () => {
    server = await startPostgres(15, { wal_level: "logical", max_wal_senders: "4" });
    await server.sql("postgres", "CREATE ROLE owner LOGIN CREATEDB PASSWORD 'secret-of-owner'");
  });
  beforeEach(async () => {
    await server.createDatabase("app", data, "OWNER owner");
    rows = await server.sql("app", everyRow);
    scripts = installScripts(server.settings("app"));
  });
  afterEach(async () => {
    await gate?.open();
    gate = undefined;
    scripts.remove();
    for (const name of (await databasesOf(server)).split("\n")) await server.dropDatabase(name);
  });
  afterAll(() => server.stop());

  /** A backup of what is there, then a restore that stands at the slow index; `change` comes in between. */
  async function standing(
    login?: { user: string; password: string },
    change: () => Promise<unknown> = async () => {},
  ): Promise<Running> {
    await server.sql("app", slowIndex);
    if (login)
      await server.sql(
        "app",
        "ALTER SCHEMA public OWNER TO owner; DO $$ DECLARE t text; BEGIN FOR t IN SELECT format('ALTER %s %I OWNER TO owner', " +
          "CASE relkind WHEN 'r' THEN 'TABLE' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'SEQUENCE' END, relname) FROM pg_class " +
          "WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'm', 'S') LOOP EXECUTE t; END LOOP; END $$; " +
          "ALTER FUNCTION slow OWNER TO owner; SELECT lo_unlink(oid) FROM pg_largeobject_metadata",
      );
    scripts.configure(server.settings("app", login));
    expectSuccess(await scripts.run("backup"));
    original = await stateOf(server, "app");
    await change();
    gate = await closeGate(server, "postgres");
    const running = scripts.start("restore");
    await until("the restore stands at the slow index", async () =>
      Number(
        await server.sql(
          "postgres",
          `SELECT count(*) FROM pg_stat_activity WHERE datname LIKE 'app\\_restoring%' AND query LIKE '%CREATE INDEX one_slow%' AND state = 'active'`,
        ),
      ),
    );
    return running;
  }

  /** Another session in the present database that does not end; what becomes of it. */
  async function busySession(): Promise<{ ended: Promise<string> }> {
    const ended = server.sql("app", "SELECT pg_sleep(600)").catch((error: unknown) => String(error));
    await until("the session is there", () => sessions("datname = 'app' AND query LIKE '%pg_sleep(600)%'"));
    return { ended };
  }

  test.each(["1", "2", "5"])("BACKUP_JOBS=%s: every row, large object, index, key and view is there", async (jobs) => {
    expectSuccess(await scripts.run("backup"));
    expectSuccess(await scripts.run("restore", [], { env: { BACKUP_JOBS: jobs } }));
    expect(await server.sql("app", everyRow)).toBe(rows);
    expect(await server.sql(await keptBy(server), everyRow)).toBe(rows);
  });

  test("dumps made with --inserts, and by pg_dump without --clean", async () => {
    await server.sql("app", "TRUNCATE child; DELETE FROM large WHERE abs(i) > 2000; REFRESH MATERIALIZED VIEW sums");
    const now = await server.sql("app", everyRow);
    scripts.configure({ ...server.settings("app"), DB_DUMP_OPTIONS: "--inserts --rows-per-insert=100" });
    expectSuccess(await scripts.run("backup"));
    expectSuccess(await scripts.run("restore"));
    expect(await server.sql("app", everyRow)).toBe(now);
    const { file } = await stateOf(server, "app");
    expectSuccess(await scripts.run("restore", [file]));
    expect(await server.sql("app", everyRow)).toBe(now);
  });

  test("a dump of INSERTs by a pg_dump before 10.3, which names tables without their schema", async () => {
    const file = join(tempDir("old"), "old.sql");
    const text =
      "SET search_path = public, pg_catalog;\nCREATE TABLE t (a integer);\nINSERT INTO t VALUES (1);\nINSERT INTO t VALUES (2);";
    writeFileSync(file, dumpOf(text));
    expectSuccess(await scripts.run("restore", ["--into", "old_dump", file]));
    expect(await server.sql("old_dump", "SELECT string_agg(a::text, ' ') FROM public.t")).toBe("1 2");
    await server.dropDatabase("old_dump");
  });

  test("sessions in the present database go on until the exchange, which ends them", async () => {
    const running = await standing();
    await server.sql("app", "INSERT INTO child VALUES (1)");
    const session = await busySession();
    await gate?.open();
    const ran = await running.done;
    expectSuccess(ran);
    expect(await session.ended).toContain("terminating connection");
    expect(await server.sql(await keptBy(server), "SELECT count(*) FROM child")).toBe("20001");
    expect(await server.sql("app", "SELECT count(*) FROM child")).toBe("20000");
  });

  test("a database that was empty is dropped, but for one that somebody has filled during the load", async () => {
    const running = await standing(undefined, async () => {
      await server.dropDatabase("app");
      await server.createDatabase("app");
      const { stdout } = await scripts.run("restore", ["--dry-run"]);
      expect(stdout).toContain(
        "the present one is empty: it is kept as app_before_TIME only if something is written into it",
      );
    });
    await server.sql("app", "CREATE TABLE orders AS SELECT 42 AS id");
    await gate?.open();
    expectSuccess(await running.done);
    expect(await server.sql("app", "SELECT count(*) FROM child")).toBe("20000");
    expect(await server.sql(await keptBy(server), "SELECT id FROM orders")).toBe("42");
  });

  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("%s drops the new database and changes nothing", async (signal, status) => {
    const running = await standing();
    running.kill(signal);
    const ran = await running.done;
    expect({ status: ran.status, stdout: ran.stdout }).toEqual({ status, stdout: "" });
    await expectState(server, "app", original);
    expect(await databasesOf(server)).toBe("app");
  });

  test("what kill -9 has left is dropped by the next restore, with the sessions that still work there", async () => {
    const running = await standing();
    running.kill("SIGKILL");
    expect((await running.done).status).toBe(137);
    await expectState(server, "app", original);
    const left = await databasesOf(server, "app\\_restoring%");
    await server.sql("app", "DROP TABLE one; DROP FUNCTION slow");
    expectSuccess(await scripts.run("backup"));
    const ran = await scripts.run("restore");
    expectSuccess(ran);
    expect(ran.stderr).toContain(`dropped ${left}`);
    expect(await databasesOf(server, "app\\_restoring%")).toBe("");
    expect(await server.sql("app", everyRow)).toBe(rows);
  });

  /** Sessions of others of which that is true. */
  const sessions = async (condition: string) =>
    Number(
      await server.sql(
        "postgres",
        `SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND ${condition}`,
      ),
    );

  /** Does `work` while nobody can create a database. */
  async function withoutCreation(work: () => Promise<unknown>): Promise<void> {
    const lock = "BEGIN; COMMENT ON DATABASE template0 IS 'locked'; SELECT pg_sleep(600)";
    const locked = server.sql("postgres", lock).catch(() => "ended");
    try {
      await until("template0 is locked", () => sessions("wait_event = 'PgSleep'"));
      await work();
    } finally {
      const unlock = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
      await server.sql("postgres", unlock);
      await locked;
    }
  }

  test.each([
    ["SIGTERM", 143],
    ["SIGKILL", 137],
  ] as const)(
    "%s while the new database is being created leaves none that no run would drop",
    async (signal, status) => {
      expectSuccess(await scripts.run("backup"));
      let running: Running | undefined;
      await withoutCreation(async () => {
        running = scripts.start("restore");
        await until("the server waits to create it", () =>
          sessions("query LIKE 'CREATE DATABASE%' AND state = 'active' AND wait_event_type = 'Lock'"),
        );
        running.kill(signal);
        if (signal === "SIGKILL") await running.done;
      });
      expect((await running?.done)?.status).toBe(status);
      await until("it is created", async () => (await sessions("query LIKE '%DATABASE \"app\\_restoring%'")) === 0);
      if (signal === "SIGKILL") {
        expect(await databasesOf(server, "app\\_restoring%")).not.toBe("");
        const ran = await scripts.run("restore");
        expectSuccess(ran);
        expect(ran.stderr).toContain("dropped app_restoring_");
      }
      expect(await databasesOf(server, "app\\_restoring%")).toBe("");
      expect(await server.sql("app", everyRow)).toBe(rows);
    },
  );

  test("a server that cannot create a database for long is not waited for", async () => {
    expectSuccess(await scripts.run("backup"));
    await withoutCreation(async () => {
      expectFailure(await scripts.run("restore"), /cannot create the database app_restoring_.*lock timeout/);
    });
    expect(await databasesOf(server)).toBe("app");
  });

  test("names of this second that earlier restores have left are passed over", async () => {
    expectSuccess(await scripts.run("backup"));
    const now = Date.now();
    const left = [
      ["before", 1],
      ["restoring", 2],
      ["restoring", 3],
    ] as const;
    for (const [what, seconds] of left)
      await server.createDatabase(besideName("app", what, new Date(now + seconds * 1000)));
    await until("these seconds have begun", () => Date.now() > now + 1000);
    expectSuccess(await scripts.run("restore"));
    expect(await server.sql("app", everyRow)).toBe(rows);
    expect((await databasesOf(server)).split("\n")).toHaveLength(5);
  });

  test("on a standby nothing can be restored, and that is said", async () => {
    expectSuccess(await scripts.run("backup"));
    const standby = join(server.socketDir, "data/standby.signal");
    // a crash loses what was committed in the last moments: the test servers do not wait for the disk
    await server.sql("app", "CHECKPOINT");
    await server.crash();
    writeFileSync(standby, "");
    try {
      await server.restart();
      for (const words of [["--in-place", "--no-safety-backup"], ["--swap"]])
        expectFailure(await scripts.run("restore", words), /cannot execute .*hint: .*restore on its primary/s);
    } finally {
      rmSync(standby);
      await server.crash();
      await server.restart();
    }
    expect(await databasesOf(server)).toBe("app");
    expect(await server.sql("app", everyRow)).toBe(rows);
  });

  test("a load that fails half-way leaves no new database", async () => {
    const { file } = await stateOf(server, "app");
    const sql = (await Bun.file(file).text()).replace("CREATE INDEX large_hash", "CREATE INDEX large_hash_of nowhere");
    await Bun.write(file, sql);
    const before = await stateOf(server, "app");
    expectFailure(await scripts.run("restore", [file]), /syntax error at or near "nowhere"/);
    await expectState(server, "app", before);
    expect(await databasesOf(server)).toBe("app");
  });

  test("the owner, who is no superuser, with CREATEDB", async () => {
    const running = await standing({ user: "owner", password: "secret-of-owner" });
    await gate?.open();
    expectSuccess(await running.done);
    await expectState(server, await keptBy(server), original);
    const owners = `SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname LIKE 'app%'`;
    expect(await server.sql("postgres", owners)).toBe("owner\nowner");
  });

  test("a session that does not go: nothing is exchanged, the restored database stays, and how to go on is said", async () => {
    const running = await standing({ user: "owner", password: "secret-of-owner" });
    const session = await busySession();
    await gate?.open();
    const ran = await running.done;
    expectFailure(ran, /is being accessed by other users/);
    await expectState(server, "app", original);
    const fresh = await databasesOf(server, "app\\_restoring%");
    expect(ran.stderr).toContain(`the restored database is complete and stays as ${fresh}`);
    const byHand = /exchange them as its owner: psql .* -c '(.*)'$/m.exec(ran.stderr)?.[1] ?? "";
    await server.sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'app'");
    await session.ended;
    await server.sql("postgres", byHand);
    expect(await server.sql("app", "SELECT count(*) FROM child")).toBe("20000");
    await expectState(server, await keptBy(server), original);
  });

  test("what is in the way is said before anything is created", async () => {
    expectSuccess(await scripts.run("backup"));
    await server.sql("app", "SELECT pg_create_logical_replication_slot('feed', 'pgoutput')");
    await server.sql("postgres", "CREATE ROLE plain LOGIN PASSWORD 'secret-of-plain'");
    try {
      const login = { user: "plain", password: "secret-of-plain" };
      const session = await busySession();
      const ran = await scripts.run("restore", [], { env: server.settings("app", login) });
      expectFailure(ran, /cannot restore .* nothing was changed/);
      expect(ran.stderr).toContain("plain cannot create databases");
      expect(ran.stderr).toContain("plain does not own the database");
      expect(ran.stderr).toContain("replication slot feed would stay with the present database");
      expect(ran.stderr).toContain("sessions of postgres are open, which plain cannot end");
      expect(await databasesOf(server)).toBe("app");
      await server.sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'app'");
      await session.ended;
    } finally {
      await server.sql("app", "SELECT pg_drop_replication_slot('feed')");
      await server.sql("postgres", "DROP ROLE plain");
    }
  });

  test("a secret that is a setting of the database is an argument of no program", async () => {
    await server.sql("postgres", "ALTER DATABASE app SET \"app.jwt_secret\" = 'hunter2-of-the-app'");
    const seen = join(tempDir("arguments"), "seen");
    const psql = `printf '%s\\n' "$*" >> '${seen}'; exec "$REAL" "$@"`;
    scripts.configure({ ...server.settings("app"), DB_CLIENT_DIR: clientsWith(server.clientDir, { psql }) });
    expectSuccess(await scripts.run("backup"));
    const ran = await scripts.run("restore", [], { env: { LOG_LEVEL: "debug" } });
    expectSuccess(ran);
    const words = readFileSync(seen, "utf8");
    expect(words).toContain("dbname=app_restoring_");
    expectNoSecrets(words + ran.stderr, ["hunter2-of-the-app"]);
    expect(await server.sql("app", "SHOW app.jwt_secret")).toBe("hunter2-of-the-app");
  });

  test("a database that is read-only by default: said by a restore in place, the same afterwards beside", async () => {
    expectSuccess(await scripts.run("backup"));
    await server.sql("app", "TRUNCATE child");
    await server.sql("postgres", "ALTER DATABASE app SET default_transaction_read_only = on");
    const before = await stateOf(server, "app");
    const refused = await scripts.run("restore", ["--in-place", "--no-safety-backup"]);
    expectFailure(refused, /failed and changed nothing: .*read-only transaction/);
    expect(refused.stderr).toContain("RESET default_transaction_read_only");
    await expectState(server, "app", before);
    expectSuccess(await scripts.run("restore"));
    expect(await server.sql("app", everyRow)).toBe(rows);
    expect(await server.sql("app", "SHOW default_transaction_read_only")).toBe("on");
  });

  test("a connection that breaks behind the exchange does not hide that it was done", async () => {
    const seen = join(tempDir("sql"), "seen");
    const psql = `case "$*" in *--command*) exec "$REAL" "$@"; esac
sql='${seen}'.$$; tee "$sql" | "$REAL" "$@" || exit
if grep -q 'RENAME TO' "$sql"; then echo 'server closed the connection unexpectedly' >&2; exit 2; fi`;
    scripts.configure({ ...server.settings("app"), DB_CLIENT_DIR: clientsWith(server.clientDir, { psql }) });
    expectSuccess(await scripts.run("backup"));
    await server.sql("app", "TRUNCATE child");
    const ran = await scripts.run("restore");
    expectSuccess(ran);
    const kept = await keptBy(server);
    expect(ran.stderr).toContain(`the state before is kept as ${kept}`);
    expect(await server.sql("app", everyRow)).toBe(rows);
  });

  test("--dry-run says what would be exchanged, and changes nothing", async () => {
    expectSuccess(await scripts.run("backup"));
    const before = await stateOf(server, "app");
    const ran = await scripts.run("restore", ["--dry-run"]);
    expectSuccess(ran);
    expect(ran.stdout).toContain("is loaded into a new database, which then takes the place of the present one");
    await expectState(server, "app", before);
    expect(await databasesOf(server)).toBe("app");
  });
});

describe("names", () => {
  const time = new Date("2026-01-31T03:00:00.999Z");

  test.each([
    ["app", "app_before_2026-01-31_03-00-00"],
    ["a".repeat(63), `${"a".repeat(36)}_before_2026-01-31_03-00-00`],
    ["ä€😀".repeat(7), `${"ä€😀".repeat(4)}_before_2026-01-31_03-00-00`],
  ])("%s becomes %s", (name, expected) => {
    expect(besideName(name, "before", time)).toBe(expected);
    expect(Buffer.byteLength(expected)).toBeLessThanOrEqual(63);
  });

  test("a database with a name that is long and needs quotes", async () => {
    const server = await startPostgres(15);
    try {
      const name = `Ä "quoted"; DROP 'x' = \\ %41 ${"long ".repeat(6)}`.slice(0, 60).trim();
      await server.createDatabase(name, "CREATE TABLE t AS SELECT 1 AS a");
      await server.sql("postgres", `COMMENT ON DATABASE ${identifier(name)} IS 'mine'`);
      const original = await stateOf(server, name, ["--create"]);
      const scripts = installScripts();
      const env = server.settings(name); // the settings file has no quotes for such a name
      expectSuccess(await scripts.run("backup", [], { env }));
      await server.sql(name, "DROP TABLE t");
      expectSuccess(await scripts.run("restore", [], { env }));
      await expectState(server, name, original, ["--create"]);
    } finally {
      await server.stop();
    }
  });
});
