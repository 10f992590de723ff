/**
 * Every step of a backup against every fault. The table has no hole: a cell is held by a test elsewhere, by a case below, or
 * there is a reason why it cannot be. The database's steps are PostgreSQL's here, MySQL's in matrix-mysql. The backups of the
 * cases below are encrypted and signed, those of matrix-mysql are not.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sealing } from "../support/expect/age.ts";
import { clientsWith } from "../support/servers/clients.ts";
import { type Installation, installScripts, startProgram } from "../support/machine/executables.ts";
import {
  expectFailure,
  expectSuccess,
  type Folder,
  folderState,
  placeEarlierBackup,
} from "../support/expect/expect.ts";
import { describeTable, held, none, type Rule } from "../support/expect/fault-table.ts";
import { withGreeter } from "../support/servers/greeter.ts";
import { expectState, stateOf } from "../support/expect/oracle.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { startS3Server } from "../support/servers/s3-server.ts";
import { canMount, withDisk } from "../support/machine/small-disk.ts";
import { s3Settings } from "../support/servers/storage.ts";
import { startTcpProxy } from "../support/servers/tcp-proxy.ts";
import { tempDir } from "../support/machine/temp.ts";
import { testWhere } from "../support/machine/where.ts";

const database = ["connect", "dump start", "dump middle", "dump end"];
const work = ["compress", "encrypt"];
const disk = ["write", "flush", "rename", "manifest"];
const remote = ["upload start", "part", "complete", "list", "delete"];
const notice = ["notify"];
const steps = [...database, ...work, ...disk, ...remote, ...notice];

const here = (name: string) => held("faults/matrix", name);
const failures = (name: string) => held("acceptance/backup-failures", name);
const storage = (name: string) => held("faults/storage", name);
const notify = (name: string) => held("faults/notify", name);
const diskErrors = (name: string) => held("faults/disk-errors", name);
const archive = (name: string) => held("unit/archive-file", name);

const rules: readonly Rule[] = [
  [["connect"], ["refused"], failures("server down")],
  [["connect"], ["reset"], here("a server that hangs up at once")],
  [["connect"], ["hang"], here("a server that never answers")],
  [["connect"], ["slow"], held("acceptance/container-6-log", "a server that is still starting up is waited for")],
  [["connect"], ["short", "corrupt"], here("a server that speaks garbage")],
  [["connect"], ["killed child"], here("psql killed while it asks")],
  [["connect"], ["exit 0 too early"], here("psql that says nothing and that all is well")],
  [["dump start"], ["refused", "reset"], here("a connection that breaks after")],
  [["dump middle", "dump end"], ["refused"], none("the connection stands; it can only break")],
  [["dump middle"], ["reset"], here("a connection that breaks after")],
  [["dump end"], ["reset"], failures("server stopped in the middle")],
  [database, ["hang"], held("acceptance/backup-stops", "ends the run with status")],
  [database, ["slow"], held("acceptance/backup-stops", "the first completes")],
  [["dump start"], ["short", "exit 0 too early"], failures("at once")],
  [["dump middle"], ["short", "exit 0 too early"], failures("in the first table")],
  [["dump end"], ["short", "exit 0 too early"], failures("before its last line")],
  [
    database,
    ["corrupt"],
    none("PostgreSQL's protocol checks nothing beyond TLS: what pg_dump says is what we can know"),
  ],
  [["dump start"], ["killed child"], here("pg_dump killed before its first word")],
  [["dump middle"], ["killed child"], failures("pg_dump killed in the middle")],
  [["dump end"], ["killed child"], failures("pg_dump that fails after its last line")],
  [database, ["ENOSPC", "EIO"], none("nothing is written to a disk of ours")],
  [["connect"], ["EACCES"], here("client programs that may not be run")],
  [database, ["EACCES"], failures("no privilege on one table")],

  [
    work,
    ["killed child", "exit 0 too early"],
    none("no child: threads of our own process, which die with it (faults/kill)"),
  ],
  [["compress"], ["corrupt", "short"], held("unit/archive-compress", "one changed bit is found")],
  [["encrypt"], ["corrupt", "short"], held("unit/archive-seal", "is refused, after no more than a true beginning")],
  [work, ["slow"], held("unit/archive-compress", "the source is never read far ahead")],
  [work, ["refused", "reset", "hang", "ENOSPC", "EIO", "EACCES"], none("no network and no disk")],

  [disk, ["refused", "reset"], none("no network")],
  [
    disk,
    ["hang", "slow"],
    none("a system call that does not return cannot be stopped; health check and HEALTHCHECK_URL tell"),
  ],
  [["write"], ["short"], failures("file size limit")],
  [["flush", "rename"], ["short"], none("all or nothing by the system")],
  [["write", "manifest"], ["ENOSPC"], here("a disk with room for so many")],
  [["flush"], ["ENOSPC"], diskErrors("ENOSPC as it is flushed")],
  [["rename"], ["ENOSPC"], diskErrors("ENOSPC as the file is renamed")],
  [["manifest"], ["short"], here("a disk with room for so many")],
  [disk, ["corrupt"], held("acceptance/restore-failures", "one bit flipped")],
  [["write"], ["EIO"], diskErrors("EIO as it is written")],
  [["flush"], ["EIO"], diskErrors("EIO as it is flushed")],
  [["rename"], ["EIO"], diskErrors("EIO as the file is renamed")],
  [["manifest"], ["EIO"], diskErrors("EIO as the manifest is written")],
  [["write"], ["EMFILE"], diskErrors("EMFILE as the file is created")],
  [["manifest"], ["EMFILE"], diskErrors("EMFILE as the manifest is created")],
  [["write", "flush"], ["EACCES"], failures("folder that cannot be written to")],
  [["rename"], ["EACCES"], archive("leaves nothing when it cannot be renamed")],
  [["manifest"], ["EACCES"], none("it lies in the folder in which the backup was just written")],
  [disk, ["killed child", "exit 0 too early"], none("no child")],
  [["rename"], ["clock jump"], archive("two in one second")],

  [remote, ["refused"], here("S3 that is down")],
  [["upload start", "part"], ["reset"], storage("uploads reset after")],
  [["complete"], ["reset"], storage("answers that are lost on their way")],
  [["list", "delete"], ["reset"], storage("listing, reading and deleting try again")],
  [remote, ["hang"], storage("ends a request that hangs")],
  [remote, ["slow"], storage("a burst of 503 SlowDown")],
  [["list"], ["short"], storage("half a listing never passes for a whole one")],
  [["list"], ["corrupt"], held("faults/hostile", "a listing with anything anywhere")],
  [["complete"], ["corrupt"], storage("an answer cut short")],
  [remote, ["short"], storage("bytes that the server lost are noticed")],
  [remote, ["corrupt"], none("Content-MD5 goes with every body, and the server refuses what does not match it")],
  [remote, ["ENOSPC", "EIO"], storage("fails: an error, nothing stored, nothing left")],
  [["delete"], ["EACCES"], held("acceptance/container-5-retention", "a deletion that fails is logged")],
  [remote, ["EACCES"], storage("an error that trying again cannot mend")],
  [remote, ["killed child", "exit 0 too early"], none("no child")],
  [["delete"], ["clock jump"], held("unit/archive-retention", "refuses when all but one would go")],
  [remote, ["clock jump"], storage("a clock that is an hour off is put right")],

  [notice, ["refused"], notify("is down")],
  [notice, ["reset"], notify("speaks garbage")],
  [notice, ["hang"], notify("hangs")],
  [notice, ["slow"], notify("is too busy")],
  [notice, ["short", "corrupt"], notify("speaks plainly where TLS is expected")],
  [notice, ["EACCES"], notify("refuses the login")],
  [notice, ["ENOSPC", "EIO"], none("nothing is written to a disk of ours; the server's is the server's answer")],
  [notice, ["killed child", "exit 0 too early"], none("no child")],

  [[...database, ...work, ...disk, ...remote, ...notice], ["EMFILE"], here("open files")],
  [steps, ["clock jump"], held("faults/clock", "years ahead or behind")],
];

describeTable(steps, rules);

describe("the cases that no other test has", () => {
  let server: PostgresServer;
  let scripts: Installation;
  let earlier: Folder;
  const sealed = sealing();
  beforeAll(async () => {
    server = await startPostgres(15);
    const rows = "SELECT i, md5(i::text) || md5((-i)::text) AS noise FROM generate_series(1, 20000) i";
    await server.createDatabase("app", `CREATE TABLE large AS ${rows}`);
  });
  afterEach(() => scripts.remove());
  afterAll(() => server.stop());

  /** Executables with an earlier backup in their folder. */
  function deploy(settings: Record<string, string> = {}): void {
    scripts = installScripts({ ...server.settings("app"), ...sealed, ...settings });
    earlier = placeEarlierBackup(scripts, "app");
  }

  async function expectFailedBackup(settings: Record<string, string>, cause: RegExp, status = 1, env = {}) {
    deploy(settings);
    expectFailure(await scripts.run("backup", [], { env }), cause, status);
    expect(folderState(scripts.backups)).toEqual(earlier);
  }

  test("a server that never answers", () =>
    withGreeter(
      () => {},
      (DB_PORT) => expectFailedBackup({ DB_PORT }, /timeout expired/, 1, { PGCONNECT_TIMEOUT: "2" }),
    ));

  test("a server that hangs up at once", () =>
    withGreeter(
      (socket) => socket.resetAndDestroy(),
      (DB_PORT) => expectFailedBackup({ DB_PORT }, /reset by peer|closed the connection/),
    ));

  test("a server that speaks garbage", () =>
    withGreeter(
      (socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"),
      (DB_PORT) => expectFailedBackup({ DB_PORT }, /cannot query|SSL|protocol/i),
    ));

  test.each([20_000, 400_000])("a connection that breaks after %d bytes of the dump", async (after) => {
    const proxy = await startTcpProxy(server.port);
    // psql's questions pass, pg_dump's connection does not
    const clients = clientsWith(server.clientDir, {
      pg_dump: `exec "$REAL" "$@" --dbname="host=127.0.0.1 port=${proxy.port} dbname=app user=${server.user}"`,
    });
    proxy.cut = { direction: "down", after, times: Number.POSITIVE_INFINITY };
    await expectFailedBackup(
      { DB_CLIENT_DIR: clients },
      /closed the connection|reset by peer|lost synchronization|connection/,
    );
    expect(proxy.broken).toBeGreaterThan(0);
    await proxy.stop();
  });

  test.each([
    ["psql killed while it asks", { psql: "kill -9 $$" }, /cannot query .*killed by signal 9/],
    [
      "psql that says nothing and that all is well",
      { psql: "exit 0" },
      /psql exited with status 0, but gave no answer/,
    ],
    ["pg_dump killed before its first word", { pg_dump: "kill -9 $$" }, /killed by signal 9/],
  ])("%s", (_, programs, cause) =>
    expectFailedBackup({ DB_CLIENT_DIR: clientsWith(server.clientDir, programs) }, cause),
  );

  test("client programs that may not be run", () => {
    const dir = tempDir("clients");
    for (const program of ["pg_dump", "psql"]) writeFileSync(join(dir, program), "#!/bin/sh\n", { mode: 0o644 });
    return expectFailedBackup({ DB_CLIENT_DIR: dir }, /pg_dump|psql/, 3);
  });

  test("S3 that is down: the backup is kept here, and the run fails", async () => {
    deploy(s3Settings({ url: "http://127.0.0.1:9", key: "k", secret: "secret-of-the-matrix" }, "bucket"));
    const ran = await scripts.run("backup", ["--upload"]);
    expectFailure(ran, /127\.0\.0\.1:9/);
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
      const argv = ["/bin/sh", "-c", `ulimit -n ${limit}; exec "$0"`, join(scripts.dir, "backup")];
      const ran = await startProgram(argv).done;
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

  test("psql killed in the middle of a restore, or gone with status 0: nothing is changed", async () => {
    deploy();
    expectSuccess(await scripts.run("backup"));
    const file = scripts.list().at(-1) ?? "";
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
