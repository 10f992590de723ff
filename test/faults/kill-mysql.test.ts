/**
 * kill -9 at random moments with MariaDB. Of a backup, as with PostgreSQL: nothing but whole ones. Of a restore, of its client
 * or of the server: the database is as before, or the way back that the log names makes it so. FAULTS_SECONDS sets how long,
 * FAULTS_SEED repeats. A restore beside is killed in kill-mysql-exchange.
 */
import { afterAll, afterEach, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  type Installation,
  installScripts,
  type Ran,
  type Running,
  startProgram,
} from "../support/machine/executables.ts";
import { expectSuccess } from "../support/expect/expect.ts";
import {
  expectGoodFiles,
  expectGoodObjects,
  hiddenIn,
  killer,
  limit,
  loop,
  namesIn,
  newestObject,
  placeOld,
  removeNew,
  timed,
} from "../support/machine/kill.ts";
import { expectState, stateOf } from "../support/expect/mysql-oracle.ts";
import { type MysqlServer, startMysql } from "../support/servers/mysql.ts";
import type { State } from "../support/expect/oracle.ts";
import { type S3Server, startS3Server } from "../support/servers/s3-server.ts";
import { s3Settings } from "../support/servers/storage.ts";
import { until } from "../support/machine/until.ts";

const { below, next, pick, killSomewhere } = killer("kill -9, MariaDB");

/** Of the time, for each of the loops here. */
const share = 0.1;

let server: MysqlServer;
let s3: S3Server;
let bucket: string;
let scripts: Installation;
let source: State;

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
  s3 = startS3Server();
  // 9.5 MB of SQL: two parts when it is not compressed
  await server.createDatabase("app", content(67_000));
  source = await stateOf(server, "app");
});
afterEach(() => scripts.remove());
afterAll(async () => {
  await s3.stop();
  await server.stop();
});

async function deploy(settings: Record<string, string> = {}): Promise<void> {
  bucket = await s3.newBucket();
  scripts = installScripts({ ...server.settings("app"), ...s3Settings(s3, bucket), ...settings });
}

/** Another database becomes what this one is. */
async function expectRestores(args: string[]): Promise<void> {
  await server.dropDatabase("copy");
  await server.createDatabase("copy");
  expectSuccess(await scripts.run("restore", args, { env: { DB_NAME: "copy" } }));
  await expectState(server, "copy", source);
}

test(
  "backup",
  async () => {
    await deploy();
    const earlier = placeOld(scripts);
    const usual = await timed(async () => expectSuccess(await scripts.run("backup")));
    await loop(
      "backup of MariaDB",
      share,
      () => killSomewhere({ scripts, s3 }, "backup", [], usual, []),
      () => {
        expectGoodFiles(scripts.backups, earlier);
        if (scripts.list().length > 8) removeNew(scripts.backups, earlier);
      },
    );
    const ran = await scripts.run("backup");
    expectSuccess(ran);
    expectGoodFiles(scripts.backups, earlier);
    expect(hiddenIn(scripts.backups)).toEqual([]);
    await expectRestores([ran.stdout.trim()]);
  },
  limit,
);

test(
  "backup --upload",
  async () => {
    await deploy({ BACKUP_KEEP_LOCAL: pick(["true", "false"]), BACKUP_COMPRESSION: "none" });
    const usual = await timed(async () => expectSuccess(await scripts.run("backup", ["--upload"])));
    const asks = ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "HeadObject", "PutObject"] as const;
    await loop(
      "backup --upload of MariaDB",
      share,
      () => killSomewhere({ scripts, s3 }, "backup", ["--upload"], usual, asks),
      () => {
        expectGoodFiles(scripts.backups, {});
        expectGoodObjects(s3.objects(bucket), new Map(), "-- Dump completed");
      },
    );
    for (const upload of s3.uploads(bucket)) upload.initiated = new Date(Date.now() - 8 * 86_400_000);
    expectSuccess(await scripts.run("backup", ["--upload"]));
    expect(hiddenIn(scripts.backups)).toEqual([]);
    expect(s3.uploads(bucket)).toEqual([]);
    await expectRestores([newestObject(s3.objects(bucket)), "--from-s3"]);
  },
  limit,
);

/** Client programs that load, if they run. */
function clientsOf({ pid }: Running, word = "--unbuffered"): number[] | undefined {
  const children = namesIn(`/proc/${pid}/task`).flatMap((task) =>
    textOf(`/proc/${pid}/task/${task}/children`).split(" "),
  );
  const found = children.map(Number).filter((child) => textOf(`/proc/${child}/cmdline`).includes(word));
  return found.length > 0 ? found : undefined;
}
function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return ""; // it has ended
  }
}

const victims: Record<string, (running: Running) => unknown> = {
  restore: (running) => running.kill("SIGKILL"),
  client(running) {
    const pid = clientsOf(running)?.[0];
    // the shell's own kill says nothing of one that has ended
    return pid === undefined ? running.kill("SIGKILL") : Bun.spawnSync(["kill", "-9", String(pid)]);
  },
  server: () => server.crash(),
};

test(
  "restore in place: the restore, its client, or the server",
  async () => {
    await deploy({ DB_NAME: "small" });
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
    async function killOne(victim: string): Promise<Ran> {
      const running = scripts.start("restore", ["--in-place", file]);
      if (next() < 0.7) {
        await until("the load begins", () => running.stderr().includes(isUnderWay));
        await Bun.sleep(below(loading));
      } else await Bun.sleep(below(whole));
      await victims[victim]?.(running);
      const ran = await running.done;
      if (victim === "server") await server.restart();
      return ran;
    }

    let turn = 0;
    await loop(
      "restore into MariaDB",
      share,
      async () => {
        const [victim = ""] = Object.keys(victims).slice(turn++ % 3);
        const ran = await killOne(victim);
        for (const name of namesIn(safety)) expect(name).toMatch(/^\.?target_/);
        expectGoodFiles(safety, {});
        if (ran.status === 0) {
          await expectState(server, "target", after);
          expectSuccess(await restore(earlier, "--no-safety-backup"));
        } else {
          expect(ran.status, ran.stderr).toBe(ran.stderr.includes(" ERROR ") ? 1 : 137);
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
  await deploy();
  const file = (await scripts.run("backup")).stdout.trim();
  scripts.configure(server.settings("gated"));
  await server.createDatabase("gated", content(10));
  const before = await stateOf(server, "gated");
  const running = scripts.start("restore", ["--in-place", file]);
  await until(
    "it loads",
    async () => Number(await server.sql("gated", "SELECT count(*) FROM large").catch(() => 0)) > 10,
  );
  const clients = clientsOf(running, "--database=gated") ?? [];
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
