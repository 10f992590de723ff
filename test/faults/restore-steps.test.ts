/**
 * What happens to the client program, to its session or to the run at each step of a restore beside and of a proof, on both engines. The
 * run succeeds, or fails with its reason; the database holds all of the one state or of the other; no proof is given that was not earned;
 * and the next run succeeds and leaves nothing of this one. FAULTS_STEPS=all: every fault at every step.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, rmSync } from "node:fs";
import { type Installation, installScripts, type Ran, type Running } from "../support/machine/executables.ts";
import { expectSuccess } from "../support/expect/expect.ts";
import { isListing } from "../support/expect/registered.ts";
import { type Engine, mariadb, postgresql } from "../support/servers/engines.ts";
import type { DatabaseServer } from "../support/servers/server.ts";
import { type StatementGate, statementGate, type Verdict } from "./statement-gate.ts";

interface Steps extends Engine {
  /** Sessions that are stopped, as a pattern of their command line. */
  sessions: string;
  /** Statements that end every session but the one that asks for them, a line each. */
  endings: string;
  /** A statement that fails as one does where the server's disk is full. */
  full: string;
  /** How the line of each step begins. */
  lines: Record<"create" | "compare" | "exchange" | "drop" | "create a role", string>;
  /** How a row of the table begins on its way. */
  row: string;
  content: string;
  role: string;
  noRole: string;
  hasRole: string;
}

const engines: Record<string, Steps> = {
  PostgreSQL: {
    ...postgresql,
    sessions: "*",
    endings: `SELECT 'SELECT pg_terminate_backend(' || pid || ');' FROM pg_stat_activity
      WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'`,
    full: "DO $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;",
    lines: {
      create: "CREATE DATABASE",
      // the rows that a COPY has taken are compared
      compare: String.raw`\.`,
      exchange: 'ALTER DATABASE "app" RENAME',
      drop: "DROP DATABASE",
      "create a role": "     DO ",
    },
    row: "17\t",
    content: "CREATE TABLE t (id int, word text); INSERT INTO t SELECT i, 'backed up' FROM generate_series(1, 30) i;",
    role: "CREATE ROLE team",
    noRole: "DROP ROLE team",
    hasRole: "SELECT count(*) FROM pg_roles WHERE rolname = 'team'",
  },
  MariaDB: {
    ...mariadb,
    sessions: "*--unbuffered*",
    endings:
      "SELECT concat('KILL ', id, ';') FROM information_schema.processlist WHERE user = 'admin' AND id <> connection_id()",
    full: "SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1021, MESSAGE_TEXT = 'Disk full; waiting for someone to free some space';",
    lines: {
      create: "CREATE DATABASE",
      compare: "SELECT count(*) FROM `app",
      exchange: "RENAME TABLE",
      drop: "DROP DATABASE",
      "create a role": "CREATE ROLE",
    },
    row: "(17,",
    content:
      "CREATE TABLE t (id int PRIMARY KEY, word text); INSERT INTO t SELECT seq, 'backed up' FROM seq_1_to_30; CREATE VIEW v AS SELECT id FROM t;",
    role: "CREATE ROLE team",
    noRole: "DROP ROLE team",
    hasRole: "SELECT count(*) FROM user WHERE user = 'team'",
  },
};

describe.each(Object.entries(engines))("%s", (_, engine) => {
  let server: DatabaseServer;
  let scripts: Installation;
  let gate: StatementGate;
  let file: string;

  beforeAll(async () => {
    server = await engine.start();
    gate = statementGate(server.clientDir, engine);
    await server.createDatabase("app", engine.content);
    await server.sql(engine.admin, engine.role);
    scripts = installScripts({ ...server.settings("app"), BACKUP_ROLES: "true" });
    const ran = await scripts.run("backup");
    expectSuccess(ran);
    file = ran.stdout.trim();
    scripts.configure({ ...server.settings("app"), DB_CLIENT_DIR: gate.clientDir, BACKUP_ROLES: "true" });
  });
  afterAll(async () => {
    scripts.remove();
    await server.stop();
  });

  /** What happens at a stop. */
  const faults = {
    async "its client is killed"(_running: Running, client: number): Promise<Verdict> {
      process.kill(client, "SIGKILL");
      return "drop";
    },
    async "its client ends with status 0"(): Promise<Verdict> {
      return "exit 0";
    },
    async "the server ends every session"(): Promise<Verdict> {
      await server.sql(engine.admin, await server.sql(engine.admin, engine.endings));
      return "pass";
    },
    async "the server's disk is full"(): Promise<Verdict> {
      return { instead: engine.full };
    },
    async "it is told to stop"(running: Running): Promise<Verdict> {
      running.kill("SIGTERM");
      await Bun.sleep(200);
      return "pass";
    },
    async "the server is slow"(): Promise<Verdict> {
      await Bun.sleep(1_000);
      return "pass";
    },
  };
  type Fault = keyof typeof faults;

  /** Runs a script; what happens to it at a line that it sends does. Fails unless it gets there. */
  async function run(script: string, args: string[], line: string, fault: Fault, env = {}): Promise<Ran> {
    gate.set({ line });
    const running = scripts.start(script, args, { env });
    const stop = await gate.stopped(running.done, ({ client }) => faults[fault](running, client));
    const ran = await running.done;
    gate.set();
    expect(stop, `it sends ${line}\n${ran.stderr}`).toBeDefined();
    expect(ran.stderr).not.toMatch(/^\s+at .*:\d+:\d+/m);
    if (fault === "the server is slow") expectSuccess(ran);
    if (ran.status !== 0 && ran.status !== 143) expect(ran.stderr).toMatch(/ ERROR \w+: hint: \S/);
    return ran;
  }

  const databases = () => server.databases("app%");
  const state = () => server.sql("app", "SELECT word, count(*) FROM t GROUP BY word");
  const [old, backedUp] = ["mine\t1", "backed up\t30"];

  /** The database with one row of its own, and no proof; what an earlier run has left stays, unless nothing may lie beside it. */
  async function startAgain({ alone = false } = {}): Promise<void> {
    for (const name of await databases()) if (alone || name === "app") await server.dropDatabase(name);
    await server.createDatabase("app", "CREATE TABLE t (id int, word text); INSERT INTO t VALUES (1, 'mine');");
    rmSync(`${file}.proof.json`, { force: true });
  }

  const stateNow = async () => (await state()).replace("|", "\t");

  /** After success the state is the backup's; else one of the two, and the old one where the message says so. */
  async function expectWhole(ran: Ran): Promise<void> {
    const now = await stateNow();
    expect([old, backedUp], ran.stderr).toContain(now);
    if (ran.status === 0) expect(now, ran.stderr).toBe(backedUp);
    if (/nothing was changed|is as it was/.test(ran.stderr)) expect(now, ran.stderr).toBe(old);
  }

  const killed = "its client is killed";
  const exits = "its client ends with status 0";
  const ended = "the server ends every session";
  const full = "the server's disk is full";
  const stopped = "it is told to stop";
  const slow = "the server is slow";
  const usual = [killed, exits, ended, full] as const;
  /** With FAULTS_STEPS=all all of them, else those that differ most. */
  const some = (few: readonly Fault[], all: readonly Fault[] = usual) =>
    process.env.FAULTS_STEPS === "all" || isListing ? all : few;
  describe.each([
    ["drop", some([killed, stopped], [...usual, stopped])],
    ["create", some([killed, full])],
    ["compare", some([ended])],
    ["exchange", [...usual, stopped, slow]],
  ] as const)("restore: %s", (step, chosen) => {
    // the first one dropped is then the state before
    const alone = step === "drop";

    test.each([...chosen])(`restore, ${step}: %s`, async (fault) => {
      await startAgain({ alone });
      await expectWhole(await run("restore", ["--replace", "--drop-before", file], engine.lines[step], fault));
    });
  });

  test("restore: the next run succeeds, and names or removes what these have left", async () => {
    const next = await scripts.run("restore", ["--replace", file]);
    expectSuccess(next);
    expect(await stateNow()).toBe(backedUp);
    for (const name of await databases())
      if (!/^app(?:_before_.*)?$/.test(name)) expect(next.stderr).toMatch(new RegExp(`WARN .*${name}`));
  });

  test("restore: a row that is lost on its way is found by comparing", async () => {
    await startAgain({ alone: true });
    gate.set({ line: engine.row });
    const running = scripts.start("restore", ["--replace", file]);
    await gate.stopped(running.done, () => "drop");
    const ran = await running.done;
    expect(ran.status).toBe(1);
    expect(ran.stderr).toMatch(/\bt\b.*30.*29|29.*30/);
    expect(await stateNow()).toBe(old);
    expect(await databases()).toEqual(["app"]);
  });

  describe.each([
    ["create", some([killed], [killed, full, stopped])],
    ["compare", some([exits], [exits, ended])],
    ["drop", some([full], [killed, full])],
  ] as const)("verify: %s", (step, chosen) => {
    test.each([...chosen])(`verify, ${step}: %s`, async (fault) => {
      await startAgain();
      const ran = await run("verify", [file], engine.lines[step], fault);
      expect(existsSync(`${file}.proof.json`), ran.stderr).toBe(ran.status === 0);
      expect(await stateNow()).toBe(old);
    });
  });

  test("verify: the next proof succeeds, and leaves nothing of these", async () => {
    expectSuccess(await scripts.run("verify", [file]));
    expect(existsSync(`${file}.proof.json`)).toBe(true);
    expect((await databases()).filter((name) => name.includes("_verify_"))).toEqual([]);
  });

  test.each([...some([killed, exits], [...usual, stopped, slow])])(
    "restore --all, a role is created: %s",
    async (fault) => {
      await startAgain();
      await server.sql(engine.admin, engine.noRole);
      const settings = { DB_NAMES: "app", DB_NAME: "" };
      const all = ["--all", "--replace", "--yes"];
      const ran = await run("restore", all, engine.lines["create a role"], fault, settings);
      expect([old, backedUp], ran.stderr).toContain(await stateNow());
      const hasRole = async () => (await server.sql(engine.admin, engine.hasRole)) === "1";
      if (ran.status === 0 && !(await hasRole())) expect(ran.stderr).toContain("WARN restore: not restored: ");
      expectSuccess(await scripts.run("restore", all, { env: settings }));
      expect(await hasRole()).toBe(true);
      expect(await stateNow()).toBe(backedUp);
    },
  );
});
