/**
 * The cases of the fault table (table.test.ts) that no other test has: a backup of either engine, and whatever else is tried with
 * PostgreSQL. The backups are encrypted and signed. MariaDB's own cases are in matrix-mysql.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { basename, join } from "node:path";
import { sealing } from "../support/expect/age.ts";
import { clientsWith } from "../support/servers/clients.ts";
import { type Installation, installScripts, startLimited } from "../support/machine/executables.ts";
import {
  expectFailure,
  expectSuccess,
  type Folder,
  folderState,
  placeEarlierBackup,
} from "../support/expect/expect.ts";
import { mariadb, postgresql } from "../support/servers/engines.ts";
import type { DatabaseServer } from "../support/servers/server.ts";
import { startTcpServer } from "../support/servers/smtp.ts";
import { expectState, stateOf } from "../support/expect/oracle.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { startS3Server } from "../support/servers/s3-server.ts";
import { canMount, withDisk } from "../support/machine/small-disk.ts";
import { s3Settings } from "../support/servers/storage.ts";
import { startTcpProxy } from "../support/servers/tcp-proxy.ts";
import { tempDir } from "../support/machine/temp.ts";
import { until } from "../support/machine/until.ts";
import { testWhere } from "../support/machine/where.ts";

/** What both engines meet until the dump is under way. */
const engines = {
  PostgreSQL: {
    ...postgresql,
    content:
      "CREATE TABLE large AS SELECT i, md5(i::text) || md5((-i)::text) AS noise FROM generate_series(1, 20000) i",
    /** An environment in which nobody waits for long. */
    impatient: () => ({ PGCONNECT_TIMEOUT: "2" }),
    /** A script of the dump program that connects to another port. */
    through: (port: number) => `exec "$REAL" "$@" --dbname="host=127.0.0.1 port=${port} dbname=app user=postgres"`,
    causes: {
      "a server that never answers": /timeout expired/,
      "a server that hangs up at once": /reset by peer|closed the connection/,
      "a server that speaks garbage": /received invalid response|SSL|protocol/i,
      "a connection that breaks": /closed the connection|reset by peer|lost synchronization|connection/,
      "no answer": /psql exited with status 0, but its answer is incomplete/,
    },
  },
  MariaDB: {
    ...mariadb,
    content: "CREATE TABLE large AS SELECT seq, concat(md5(seq), md5(-seq)) AS noise FROM seq_1_to_20000",
    impatient: (dir: string) => ({
      DB_CLIENT_DIR: clientsWith(dir, { mariadb: 'exec "$REAL" "$@" --connect-timeout=1' }, [
        "mariadb-dump",
        "mariadb",
      ]),
    }),
    through: (port: number) => `login="$1"; shift; exec "$REAL" "$login" --port=${port} "$@"`,
    causes: {
      "a server that never answers": /Lost connection|waiting for initial/,
      "a server that hangs up at once": /Can't connect to server|Lost connection/,
      "a server that speaks garbage": /Lost connection|Malformed|protocol|packet/i,
      "a connection that breaks": /Lost connection|gone away|reset by peer/,
      "no answer": /mariadb exited with status 0, but its answer is incomplete/,
    },
  },
};
/** Servers that know no protocol: what they do with whoever connects. */
const greetings = {
  "a server that never answers": () => {},
  "a server that hangs up at once": (socket: Socket) => void socket.resetAndDestroy(),
  "a server that speaks garbage": (socket: Socket) => void socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"),
};
const sealed = sealing();

describe.each(Object.entries(engines))("a backup of %s", (_, { content, causes, client, dump, ...engine }) => {
  let server: DatabaseServer;
  let scripts: Installation;
  const programs = [dump, client];
  beforeAll(async () => {
    server = await engine.start();
    await server.createDatabase("app", content);
  });
  afterEach(() => scripts.remove());
  afterAll(() => server.stop());

  async function expectFailedBackup(env: Record<string, string>, cause: RegExp, status = 1): Promise<void> {
    scripts = installScripts({ ...server.settings("app"), ...sealed });
    const earlier = placeEarlierBackup(scripts, "app");
    const TMPDIR = tempDir("tmp");
    expectFailure(await scripts.run("backup", [], { env: { ...env, TMPDIR } }), cause, status);
    expect(folderState(scripts.backups)).toEqual(earlier);
    expect(readdirSync(TMPDIR)).toEqual([]);
  }
  const clients = (scripts: Record<string, string>) => clientsWith(server.clientDir, scripts, programs);

  test.each(Object.entries(greetings))("%s", async (name, greet) => {
    const greeter = await startTcpServer(greet);
    const env = { DB_PORT: String(greeter.port), ...engine.impatient(server.clientDir) };
    await expectFailedBackup(env, causes[name as keyof typeof greetings]);
    await greeter.stop();
  });

  test.each([2_000, 400_000])("a connection that breaks after %d bytes of the dump", async (after) => {
    const proxy = await startTcpProxy(server.port);
    proxy.cut = { direction: "down", after, times: Number.POSITIVE_INFINITY };
    // the questions pass, the dump program's connection does not
    const DB_CLIENT_DIR = clients({ [dump]: engine.through(proxy.port) });
    await expectFailedBackup({ DB_CLIENT_DIR }, causes["a connection that breaks"]);
    expect(proxy.broken).toBeGreaterThan(0);
    await proxy.stop();
  });

  test.each([
    ["a client program killed while it asks", client, "kill -9 $$", /cannot query .*([Kk]illed|killed by signal 9)/],
    ["a client program that says nothing and that all is well", client, "exit 0", causes["no answer"]],
    ["a dump program killed before its first word", dump, "kill -9 $$", /killed by signal 9/],
  ])("%s", (_, program, script, cause) => expectFailedBackup({ DB_CLIENT_DIR: clients({ [program]: script }) }, cause));

  test("client programs that may not be run", () => {
    const dir = tempDir("clients");
    for (const program of programs) writeFileSync(join(dir, program), "#!/bin/sh\n", { mode: 0o644 });
    return expectFailedBackup({ DB_CLIENT_DIR: dir }, new RegExp(programs.join("|")), 3);
  });
});

describe("PostgreSQL", () => {
  let server: PostgresServer;
  let scripts: Installation;
  let earlier: Folder;
  beforeAll(async () => {
    server = await startPostgres(15);
    await server.createDatabase("app", engines.PostgreSQL.content);
  });
  afterEach(() => scripts.remove());
  afterAll(() => server.stop());

  /** Executables with an earlier backup in their folder. */
  function deploy(settings: Record<string, string> = {}): void {
    scripts = installScripts({ ...server.settings("app"), ...sealed, ...settings });
    earlier = placeEarlierBackup(scripts, "app");
  }

  test("S3 that is down: the backup is kept here, and the run fails", async () => {
    deploy(s3Settings({ url: "http://127.0.0.1:9", key: "k", secret: "secret-of-the-matrix" }, "bucket"));
    const ran = await scripts.run("backup", ["--upload"]);
    expectFailure(ran, /127\.0\.0\.1:9/);
    expect(scripts.list()).toHaveLength(2);
    expect(readdirSync(scripts.backups), "rows, to judge the next backup").toContain(".app.counts.json");
    expect(scripts.everything().filter((name) => name.endsWith(".partial"))).toEqual([]);
  });

  test("S3 that takes no manifest: the object goes again", async () => {
    const s3 = startS3Server();
    const bucket = await s3.newBucket();
    deploy({ ...s3Settings(s3, bucket), BACKUP_KEEP_LOCAL: "false" });
    s3.faults.push({ operation: "PutObject", after: 1, instead: { status: 403, code: "AccessDenied" } });
    expectFailure(await scripts.run("backup", ["--upload"]), /\.sql\.gz\.age\.json .*AccessDenied/);
    expect([...s3.objects(bucket).keys()]).toEqual([]);
    expect(folderState(scripts.backups)).toEqual(earlier);
    await s3.stop();
  });

  test("open files: with any limit, a backup is whole or not there, and the run says which", async () => {
    const ends = new Set<number>();
    for (const limit of [12, 18, 28, 64]) {
      deploy();
      const ran = await startLimited(`-n ${limit}`, [join(scripts.dir, "backup")]).done;
      ends.add(ran.status);
      if (ran.status === 0) expect(scripts.list()).toHaveLength(2);
      else expect(folderState(scripts.backups), ran.stderr).toEqual(earlier);
      expect(ran.stderr).not.toMatch(/^\s+at .*:\d+:\d+/m);
      scripts.remove();
    }
    expect(ends).toContain(0);
    expect(ends.size).toBeGreaterThan(1);
  });

  testWhere(canMount, "mounts")("a disk with room for so many files or bytes: whole or not there", async () => {
    await server.createDatabase("small", "CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 500) i");
    const ends: number[] = [];
    // tmpfs counts pages of 4 KiB, and the folder itself is one of its files
    const pages = [4, 7, 8, 9].map((count) => `size=${count * 4}k`);
    for (const options of [...pages, ...[3, 4, 5, 8].map((count) => `nr_inodes=${count}`)]) {
      scripts = installScripts({ ...server.settings("small"), ...sealed });
      mkdirSync(scripts.backups, { mode: 0o700 });
      await withDisk(options, scripts.backups, async () => {
        const { status, stderr } = await scripts.run("backup");
        ends.push(status);
        const left = readdirSync(scripts.backups).filter((name) => !/\.lock|^\.small\.counts\.json$/.test(name));
        if (status !== 0) {
          expect({ options, left }, stderr).toEqual({ options, left: [] });
          expect(stderr).toMatch(/hint: /);
        } else expect(left).toHaveLength(2);
        expect(stderr).not.toMatch(/^\s+at .*:\d+:\d+/m);
      });
      scripts.remove();
    }
    expect(ends).toContain(0);
    expect(ends.filter((status) => status === 1).length).toBeGreaterThan(2);
  });

  testWhere(canMount, "mounts")("a restore from a disk that is full to the last byte", async () => {
    await server.createDatabase("full", "CREATE TABLE t AS SELECT 1 AS a");
    scripts = installScripts({ ...server.settings("full"), ...sealed });
    mkdirSync(scripts.backups, { mode: 0o700 });
    await withDisk("size=64k", scripts.backups, async () => {
      expectSuccess(await scripts.run("backup"));
      expect(Bun.spawnSync(["dd", "if=/dev/zero", `of=${join(scripts.backups, "rest")}`]).success).toBe(false);
      expectSuccess(await scripts.run("restore"));
    });
  });

  test("a report that cannot be written, locally or in S3: the run is good and says so", async () => {
    const s3 = startS3Server();
    const bucket = await s3.newBucket();
    const page = `s3://${bucket}/report.html`;
    deploy(s3Settings(s3, bucket));
    for (const [REPORT_FILE, instead, cause] of [
      [
        "/dev/full/report.html",
        undefined,
        /cannot write REPORT_FILE \/dev\/full\/report.html: a part of the path is a file/,
      ],
      [page, { status: 403, code: "AccessDenied" }, /cannot write REPORT_FILE s3:.*AccessDenied/],
    ] as const) {
      if (instead) s3.faults.push({ operation: "PutObject", instead });
      const ran = await scripts.run("backup", [], { env: { REPORT_FILE } });
      expectSuccess(ran);
      expect(ran.stderr).toMatch(cause);
    }
    await s3.stop();
  });

  test("a report that S3 takes slowly: the run waits for it", async () => {
    const s3 = startS3Server();
    const bucket = await s3.newBucket();
    deploy({ ...s3Settings(s3, bucket), REPORT_FILE: `s3://${bucket}/report.html` });
    s3.faults.push({ operation: "PutObject", delay: 2_000 });
    expectSuccess(await scripts.run("backup"));
    expect([...s3.objects(bucket).keys()]).toEqual(["report.html"]);
    await s3.stop();
  });

  test("a report that S3 does not take: the run is told to stop, and ends", async () => {
    const s3 = startS3Server();
    const bucket = await s3.newBucket();
    deploy({ ...s3Settings(s3, bucket), REPORT_FILE: `s3://${bucket}/report.html` });
    const never = Promise.withResolvers<void>();
    s3.faults.push({ operation: "PutObject", delay: never.promise });
    const running = scripts.start("backup");
    await until("the report is under way", () => s3.asked.some(({ operation }) => operation === "PutObject"));
    running.kill("SIGTERM");
    const ran = await running.done;
    never.resolve();
    expectSuccess(ran);
    expect(ran.stderr).toMatch(/cannot write REPORT_FILE s3:.*stopped by SIGTERM/);
    expect(scripts.list()).toHaveLength(2);
    await s3.stop();
  });

  testWhere(canMount, "mounts")("a report on a full disk: the page before stays, and the run is good", async () => {
    deploy();
    const folder = tempDir("report");
    await withDisk("size=128k", folder, async () => {
      const env = { REPORT_FILE: join(folder, "report.html") };
      expectSuccess(await scripts.run("backup", [], { env }));
      const before = readFileSync(env.REPORT_FILE, "utf8");
      expect(Bun.spawnSync(["dd", "if=/dev/zero", `of=${join(folder, "rest")}`]).success).toBe(false);
      const ran = await scripts.run("backup", [], { env });
      expectSuccess(ran);
      expect(ran.stderr).toMatch(/cannot write REPORT_FILE .*no space left/);
      expect(readFileSync(env.REPORT_FILE, "utf8")).toBe(before);
      expect(readdirSync(folder).toSorted()).toEqual(["report.html", "rest"]);
    });
  });

  test("a proof that cannot be written: the run fails, and nothing says that the backup is proved", async () => {
    deploy();
    const ran = await scripts.run("backup");
    expectSuccess(ran);
    // a folder in its place: root may write everywhere
    mkdirSync(`${ran.stdout.trim()}.proof.json`);
    expectFailure(await scripts.run("verify"), /cannot write .*\.proof\.json/);
    expect((await scripts.run("list")).stdout).toContain("none proved yet");
  });

  test("open files: with any limit, a list is complete, and a proof is there or was not earned", async () => {
    deploy();
    const backup = (await scripts.run("backup")).stdout.trim();
    const ends = new Set<string>();
    for (const limit of [12, 28, 64]) {
      const limited = (script: string, ...args: string[]) =>
        startLimited(`-n ${limit}`, [join(scripts.dir, script), ...args]).done;
      const listed = await limited("list");
      if (listed.status === 0) expect(listed.stdout).toContain(basename(backup));
      const proved = await limited("verify", backup);
      expect(existsSync(`${backup}.proof.json`), proved.stderr).toBe(proved.status === 0);
      for (const { status, stderr } of [listed, proved]) {
        expect(stderr).not.toMatch(/^\s+at .*:\d+:\d+/m);
        ends.add(`${status === 0}`);
      }
    }
    expect(ends.size).toBe(2);
  });

  test("psql killed in the middle of a restore, or gone with status 0: nothing is changed", async () => {
    deploy();
    const backup = await scripts.run("backup");
    expectSuccess(backup);
    const file = backup.stdout.trim();
    await server.createDatabase("target", "CREATE TABLE large AS SELECT 1 AS i, 'mine' AS noise");
    const before = await stateOf(server, "target");
    for (const [end, cause] of [
      ["kill -9 $$", /killed by signal 9/],
      ["exit 0", /restore into .* failed/],
    ] as const) {
      const psql = `case "$*" in *QUIET=off*) ;; *) exec "$REAL" "$@";; esac\nhead -c 300000 | "$REAL" "$@"; ${end}`;
      const env = { DB_NAME: "target", DB_CLIENT_DIR: clientsWith(server.clientDir, { psql }) };
      expectFailure(await scripts.run("restore", [file], { env }), cause);
      await expectState(server, "target", before);
    }
  });
});
