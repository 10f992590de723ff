/**
 * kill -9 while a restore exchanges databases, on MariaDB and MySQL: of the restore (or of the undo) at a line that it sends, and of the
 * server in the RENAME. The next run always ends with all of the old state or all of the new one, compared by dump. FAULTS_SEED repeats,
 * FAULTS_SECONDS sets how long, FAULTS_LINES=all kills at every line and FAULTS_LINES=100-200 at those.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { type Installation, installScripts, type Ran } from "../support/machine/executables.ts";
import { expectSuccess } from "../support/expect/expect.ts";
import { killer, limit, loop } from "../support/machine/kill.ts";
import { type StatementGate, statementGate } from "./statement-gate.ts";
import { expectState, stateOf } from "../support/expect/mysql-oracle.ts";
import { clientName, dumpName, type Family, families, type MysqlServer, startMysql } from "../support/servers/mysql.ts";
import type { State } from "../support/expect/oracle.ts";

const { below, next, seed } = killer("kill -9, exchange");

/** Of the time, for each of the loops here. */
const share = 0.02;

/** Where a kill comes, by number or beginning of a line, and whether that line still reaches the server. */
interface Kill {
  at?: number;
  line?: string;
  passes: boolean;
  /** The server that dies; else the restore does. */
  server?: number;
  /** How long (ms) the server lives on once the line is on its way. */
  delay?: number;
}

/** One of each kind that an exchange treats in a way of its own; everything holds `v`. */
const content = (family: Family, v: 1 | 2) => `
  CREATE TABLE p (id int PRIMARY KEY, v int); INSERT INTO p VALUES (1, ${v}), (2, ${v});
  CREATE TABLE t (id int PRIMARY KEY, p int, CONSTRAINT fk_p FOREIGN KEY (p) REFERENCES p (id)); INSERT INTO t VALUES (1, 1), (2, 2);
  CREATE TABLE audit (id int AUTO_INCREMENT PRIMARY KEY, x int); INSERT INTO audit (x) VALUES (${v});
  CREATE TABLE mi (id int PRIMARY KEY) ENGINE=MyISAM; INSERT INTO mi VALUES (${v});
  ${
    v === 1
      ? "CREATE TABLE only_old (a int); INSERT INTO only_old VALUES (1); CREATE VIEW newer AS SELECT 1 AS a;"
      : "CREATE TABLE newer (a int); INSERT INTO newer VALUES (5);"
  }
  CREATE TRIGGER tr BEFORE INSERT ON \`t\` FOR EACH ROW SET NEW.p = ${v};
  CREATE TRIGGER tp AFTER UPDATE ON \`p\` FOR EACH ROW INSERT INTO audit (x) VALUES (NEW.v);
  CREATE VIEW v AS SELECT id, ${v} AS v FROM p; CREATE VIEW a_over AS SELECT * FROM v;
  CREATE PROCEDURE pr() SELECT ${v}; CREATE FUNCTION fu() RETURNS int DETERMINISTIC RETURN ${v};
  CREATE VIEW uses AS SELECT fu() AS f;
  CREATE EVENT ev ON SCHEDULE EVERY ${v} DAY STARTS '2030-01-01 00:00:00' DO DELETE FROM p WHERE id < 0;
  ${
    family === "mariadb"
      ? `CREATE SEQUENCE s START WITH ${v};
         CREATE TABLE numbers (id bigint PRIMARY KEY DEFAULT nextval(s), a int); INSERT INTO numbers (a) VALUES (${v});`
      : ""
  }`;

describe.each([...families])("%s", (family) => {
  let server: MysqlServer;
  let scripts: Installation;
  let gate: StatementGate;
  let file = "";
  let before: State;
  let after: State;

  beforeAll(async () => {
    // what a statement has done survives the server's death
    server = await startMysql(family, {
      "innodb-flush-log-at-trx-commit": "1",
      "log-bin-trust-function-creators": "1",
      // as users have it: with its log MySQL renames MyISAM tables only in statements of their own
      ...(family === "mysql" ? { "skip-log-bin": "OFF", "log-bin": "binlog", "enforce-gtid-consistency": "ON" } : {}),
    });
    gate = statementGate(server.clientDir, {
      client: clientName(family),
      dump: dumpName(family),
      // those that change what belongs to an exchange
      sessions: "*--unbuffered*--database=information_schema*",
    });
    scripts = installScripts(server.settings("app"));
    await server.createDatabase("app", content(family, 2));
    after = await stateOf(server, "app");
    const taken = await scripts.run("backup");
    expectSuccess(taken);
    file = taken.stdout.trim();
    scripts.configure({ ...server.settings("app"), DB_CLIENT_DIR: gate.clientDir });
    await startAgain();
    before = await stateOf(server, "app");
  });
  afterEach(startAgain);
  afterAll(async () => {
    scripts.remove();
    await server.stop();
  });

  /** The old state, alone. */
  async function startAgain(): Promise<void> {
    gate.set();
    for (const name of await server.databases("app%")) await server.dropDatabase(name);
    await server.createDatabase("app", content(family, 1));
  }

  async function holds(state: State): Promise<boolean> {
    return expectState(server, "app", state).then(
      () => true,
      () => false,
    );
  }

  /** Runs a restore that is killed, or whose server is. */
  async function killAt(args: string[], { at, line, passes, server: pid, delay = 0 }: Kill): Promise<Ran> {
    gate.set({ at, line });
    const running = scripts.start("restore", args);
    await gate.stopped(running.done, () => {
      if (pid === undefined) running.kill("SIGKILL");
      else setTimeout(() => process.kill(pid, "SIGKILL"), delay);
      return passes ? "pass and end" : "end";
    });
    const ran = await running.done;
    gate.set();
    return ran;
  }

  /** Runs what is killed, then the next run; fails unless that ends with one of the two states, and leaves nothing half done. */
  async function killed(args: string[], kill: Kill): Promise<{ ran: Ran; isNew: boolean }> {
    const ran = await killAt(args, kill);
    if (kill.server !== undefined) {
      await server.crash();
      await server.restart();
    }
    const story = `${JSON.stringify(kill)}\n${ran.stderr}`;
    // whatever is named, first it mends what an earlier run has left
    const mend = () => scripts.run("restore", ["--undo", "app_before_nothing"]);
    let next = await mend();
    if (
      kill.server !== undefined &&
      next.stderr.includes("hint: restart the server: after a crash it may miss a table")
    ) {
      await server.crash();
      await server.restart();
      next = await mend();
    }
    expect(next.stderr, story).toContain("app_before_nothing is not a state of app");
    const isNew = await holds(after);
    if (!isNew)
      await expectState(server, "app", before).catch((error: unknown) => {
        throw new Error(`${story}\n${next.stderr}\n${String(error)}`);
      });
    expect(await server.databases("app\\_restoring%"), story).toEqual([]);
    return { ran, isNew };
  }

  const newest = async () => (await server.databases("app\\_before%")).at(-1) ?? "";

  /** Takes a restore back with the command for it. */
  async function undo(): Promise<void> {
    expectSuccess(await scripts.run("restore", ["--undo", await newest()]));
    await expectState(server, "app", before);
    for (const name of await server.databases("app\\_before%")) await server.dropDatabase(name);
  }

  /** How many lines a run sends that is not killed. */
  async function linesOf(args: string[]): Promise<number> {
    gate.set();
    expectSuccess(await scripts.run("restore", args));
    return gate.count();
  }

  /** Which lines the environment names; undefined: chance chooses. */
  function wanted(lines: number): { at: number; passes: boolean }[] | undefined {
    const { FAULTS_LINES: words } = process.env;
    if (words === undefined) return undefined;
    const [from = 1, to = lines] = words === "all" ? [] : words.split("-").map(Number);
    return Array.from({ length: to - from + 1 }, (_, i) => ({ at: from + i, passes: (from + i + seed) % 2 === 0 }));
  }

  /** Kills at chosen lines, or at one by chance again and again. */
  async function everyLine(what: string, lines: number, once: (kill: Kill) => Promise<boolean>): Promise<void> {
    const chosen = wanted(lines);
    for (const kill of chosen ?? []) if (!(await once(kill))) throw new Error(`survived ${JSON.stringify(kill)}`);
    if (chosen) return console.log(`${what}: killed at ${chosen.length} lines of ${lines}`);
    return loop(
      what,
      share,
      () => once({ at: 1 + below(lines), passes: next() < 0.5 }),
      () => {},
      1,
    );
  }

  test(
    "the restore and its undo, at a line that they send",
    async () => {
      const lines = await linesOf([file]);
      await expectState(server, "app", after);
      const linesOfUndo = await linesOf(["--undo", await newest()]);
      await expectState(server, "app", before);
      await everyLine(`undo, ${family}`, linesOfUndo, async (kill) => {
        const old = await server.databases("app\\_before%");
        for (const name of old.slice(0, -1)) await server.dropDatabase(name);
        return (await killed(["--undo", await newest()], kill)).ran.status === 137;
      });
      await startAgain();
      await everyLine(`restore beside, ${family}`, lines, async (kill) => {
        const { ran, isNew } = await killed([file], kill);
        if (isNew) await undo();
        return ran.status === 137;
      });
    },
    limit,
  );

  test(
    "restore --all finishes what a killed restore has begun, though the database holds data by then",
    async () => {
      expect((await killAt([file], { line: "RENAME TABLE", passes: true })).status).toBe(137);
      const backup = await scripts.run("backup", ["--dry-run"]);
      expect(backup.stderr).toMatch(
        /WARN .*a restore was killed while it exchanged app for app_before_.*restore --undo app_before_/,
      );
      const next = await scripts.run("restore", ["--all", "--yes"]);
      expectSuccess(next);
      expect(next.stderr).toContain("finished it: app holds what that restore loaded");
      expect((await scripts.run("backup", ["--dry-run"])).stderr).not.toContain("exchanged");
      await expectState(server, "app", after);
    },
    limit,
  );

  test.each(["INSERT INTO `app_before", "RENAME TABLE"])(
    "after a kill at %s an administrator drops the database: the next restore does not stumble over what is left",
    async (line) => {
      expect((await killAt([file], { line, passes: true })).status).toBe(137);
      await server.sql("mysql", "SET foreign_key_checks = 0; DROP DATABASE app");
      expectSuccess(await scripts.run("restore", [file]));
      await expectState(server, "app", after);
      expect(await server.databases("app\\_restoring%")).toEqual([]);
    },
    limit,
  );

  test(
    "the server, in the RENAME",
    async () => {
      const pid = () => Number(readFileSync(join(server.data, "../server.pid"), "utf8"));
      await loop(
        `server of a restore beside, ${family}`,
        share,
        async () => {
          const kill = { line: "RENAME TABLE", passes: true, server: pid(), delay: below(30) };
          const { ran, isNew } = await killed([file], kill);
          if (isNew) await undo();
          return ran.status !== 0;
        },
        () => {},
        1,
      );
    },
    limit,
  );
});
