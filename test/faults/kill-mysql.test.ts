/**
 * kill -9 at random moments of a restore in place with MariaDB, of its client or of the server: the database is as before, or the way back
 * that the log names makes it so. FAULTS_SECONDS sets how long, FAULTS_SEED repeats. A restore beside is killed in kill-mysql-exchange.
 */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { type Installation, installScripts, type Ran, startProgram } from "../support/machine/executables.ts";
import { expectSuccess } from "../support/expect/expect.ts";
import {
  clientsOf,
  expectGoodFiles,
  hiddenIn,
  killer,
  killOneOf,
  limit,
  loop,
  namesIn,
  timed,
} from "../support/machine/kill.ts";
import { expectState, stateOf } from "../support/expect/mysql-oracle.ts";
import { type MysqlServer, startMysql } from "../support/servers/mysql.ts";
import { until } from "../support/machine/until.ts";

const { below, next } = killer("kill -9, MariaDB");

let server: MysqlServer;
let scripts: Installation;

/** A table of so many rows, and one of each kind beside it. */
const content = (rows: number) => `
  CREATE TABLE large (seq int PRIMARY KEY, noise text);
  INSERT INTO large SELECT seq, concat(md5(seq), md5(-seq), md5(2 * seq), md5(3 * seq)) FROM seq_1_to_${rows};
  CREATE VIEW v AS SELECT seq FROM large;
  CREATE TRIGGER tr BEFORE INSERT ON large FOR EACH ROW SET NEW.noise = upper(NEW.noise);
  CREATE PROCEDURE p() SELECT ${rows};`;

beforeAll(async () => {
  // what a statement has done survives the server's death
  server = await startMysql("mariadb", { "innodb-flush-log-at-trx-commit": "1" });
  await server.createDatabase("app", content(67_000));
});
afterEach(() => scripts.remove());
afterAll(() => server.stop());

test(
  "restore in place: the restore, its client, or the server",
  async () => {
    scripts = installScripts(server.settings("small"));
    await server.createDatabase("small", content(20_000));
    const after = await stateOf(server, "small");
    const file = (await scripts.run("backup")).stdout.trim();
    await server.createDatabase("target", `${content(3000)} CREATE TABLE mine AS SELECT 1 AS a`);
    const before = await stateOf(server, "target");
    scripts.configure(server.settings("target"));
    const earlier = (await scripts.run("backup")).stdout.trim();
    const safety = join(scripts.backups, "before-restore");
    const restore = (...args: string[]) => scripts.run("restore", ["--in-place", ...args]);
    const isUnderWay = "the state before the restore lies in";
    let loading = 0;
    const whole = await timed(async () => {
      const running = scripts.start("restore", ["--in-place", file]);
      await until("the load begins", () => running.stderr().includes(isUnderWay));
      loading = await timed(() => running.done);
    });
    expectSuccess(await restore(earlier, "--no-safety-backup"));

    /** Kills one of them at some moment, mostly while the dump is loaded. */
    function killOne(turn: number): Promise<Ran> {
      const running = scripts.start("restore", ["--in-place", file]);
      const load = async () => {
        await until("the load begins", () => running.stderr().includes(isUnderWay));
        await Bun.sleep(below(loading));
      };
      const moment = next() < 0.7 ? load() : Bun.sleep(below(whole));
      return killOneOf({ server, client: "--unbuffered" }, running, turn, moment);
    }

    let turn = 0;
    await loop(
      "restore into MariaDB",
      0.1,
      async () => {
        const ran = await killOne(turn++);
        for (const name of namesIn(safety)) expect(name).toMatch(/^\.?target_/);
        expectGoodFiles(safety, {});
        if (ran.status === 0) {
          await expectState(server, "target", after);
          expectSuccess(await restore(earlier, "--no-safety-backup"));
        } else {
          // without these words nothing was touched
          const back = /to bring (?:it back|back the state before the restore): (.*)$/m.exec(ran.stderr)?.[1];
          if (back !== undefined) expectSuccess(await startProgram(["/bin/sh", "-c", back]).done);
        }
        await expectState(server, "target", before);
        return ran.status !== 0;
      },
      () => {},
    );
    expectSuccess(await restore(file));
    await expectState(server, "target", after);
    expect(hiddenIn(safety)).toEqual([]);
    expect(hiddenIn(scripts.backups)).toEqual([]);
  },
  limit,
);

test("a killed restore whose clients go on: the way back waits until they have ended", async () => {
  scripts = installScripts(server.settings("app"));
  const file = (await scripts.run("backup")).stdout.trim();
  scripts.configure(server.settings("gated"));
  await server.createDatabase("gated", content(10));
  const before = await stateOf(server, "gated");
  const running = scripts.start("restore", ["--in-place", file]);
  await until(
    "it loads",
    async () => Number(await server.sql("gated", "SELECT count(*) FROM large").catch(() => 0)) > 10,
  );
  const clients = clientsOf(running, "--database=gated");
  for (const pid of clients) process.kill(pid, "SIGSTOP");
  running.kill("SIGKILL");
  const [, command = ""] = /to bring it back: (.*)$/m.exec((await running.done).stderr) ?? [];

  const back = startProgram(["/bin/sh", "-c", command]);
  const waits = "SELECT count(*) FROM information_schema.processlist WHERE info LIKE 'SELECT GET_LOCK(%'";
  await until("the way back waits", async () => (await server.sql("mysql", waits)) !== "0");
  for (const pid of clients) process.kill(pid, "SIGCONT");
  expectSuccess(await back.done);
  await expectState(server, "gated", before);
});
