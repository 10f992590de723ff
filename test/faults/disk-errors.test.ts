/**
 * A disk that errs: every call that a backup or a restore makes to its files, answered by a real EIO (or a full disk, a used-up
 * quota, no free descriptor), and the same calls as the last that a killed run made.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { formatBackupName, manifestName, partialName } from "../../scripts-src/archive/name.ts";
import { clientsWith } from "../support/servers/clients.ts";
import { type Installation, installScripts, type Ran, startProgram } from "../support/machine/executables.ts";
import {
  expectFailure,
  expectSuccess,
  type Folder,
  folderState,
  placeEarlierBackup,
} from "../support/expect/expect.ts";
import { readManifest } from "../support/machine/files.ts";
import * as mysqlOracle from "../support/expect/mysql-oracle.ts";
import { type MysqlServer, startMysql } from "../support/servers/mysql.ts";
import * as oracle from "../support/expect/oracle.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { type S3Server, startS3Server } from "../support/servers/s3-server.ts";
import { s3Settings, sha256 } from "../support/servers/storage.ts";
import { breakRunning, canTrace, type Faulty, killAt, startFaulty } from "./strace.ts";
import { tempDir } from "../support/machine/temp.ts";
import { until } from "../support/machine/until.ts";
import { describeWhere } from "../support/machine/where.ts";

let server: PostgresServer;
let scripts: Installation;
beforeAll(async () => {
  server = await startPostgres(15);
  await server.createDatabase("app", "CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 500) i");
});
afterAll(() => {
  scripts.remove();
  return server.stop();
});

/** The paths of a backup in the folder, under every name that it may get in the next two minutes. */
function files(dir: string): Record<"backup" | "manifest" | "finished" | "folder" | "lock" | "holder", string[]> {
  const names = Array.from({ length: 120 }, (_, second) =>
    formatBackupName({
      database: "app",
      time: new Date(Date.now() + second * 1000),
      sequence: 1,
      compression: "gzip",
      encrypted: false,
    }),
  );
  const within = (form: (name: string) => string) => names.map((name) => join(dir, form(name)));
  return {
    backup: within(partialName),
    manifest: within((name) => partialName(manifestName(name))),
    finished: within((name) => name),
    folder: [dir],
    lock: [join(dir, ".app.lock")],
    holder: [join(dir, ".app.lock.holder")],
  };
}
type Place = keyof ReturnType<typeof files>;

/** Starts a backup that meets an error at a file of its folder. */
const startBroken = (call: string, error: string, place: Place): Faulty =>
  startFaulty({ call, meets: `error=${error}`, paths: files(scripts.backups)[place] }, [join(scripts.dir, "backup")]);

/** What there is of an unfinished backup. */
const debris = () => scripts.everything().filter((name) => /\.partial$|-journal$/.test(name));

describeWhere(canTrace, "strace")("a backup", () => {
  let earlier: Folder;
  const deploy = () => {
    scripts?.remove();
    scripts = installScripts(server.settings("app"));
    earlier = placeEarlierBackup(scripts, "app");
  };

  /** Every file in the folder that looks like a backup has a manifest that says what it is. */
  function expectWhole(): void {
    for (const name of scripts.list().filter((one) => !(one in earlier))) {
      const path = join(scripts.backups, name);
      expect(readManifest(path).sha256, name).toBe(sha256(readFileSync(path)));
    }
    expect(folderState(scripts.backups)).toMatchObject(earlier);
  }

  const io = /input\/output error/;
  const full = /no space left on device/;
  const descriptors = /too many open files/;
  test.each([
    ["EIO as the file is created", "openat", "EIO", "backup", io],
    ["EIO as it is written", "write", "EIO", "backup", io],
    ["EIO as it is flushed", "fsync", "EIO", "backup", io],
    ["EIO as the manifest is created", "openat", "EIO", "manifest", io],
    ["EIO as the manifest is written", "write", "EIO", "manifest", io],
    ["EIO as the manifest is flushed", "fsync", "EIO", "manifest", io],
    ["EIO as the manifest is renamed", "rename", "EIO", "manifest", io],
    ["EIO as the file is renamed", "rename", "EIO", "backup", io],
    ["EIO as the folder is flushed", "fsync", "EIO", "folder", io],
    ["EIO as the folder is listed", "getdents64", "EIO", "folder", /i\/o error/],
    ["EIO as the folder is looked for", "statx", "EIO", "folder", io],
    ["EIO as the lock is opened", "openat", "EIO", "lock", /cannot lock .*input\/output error/],
    ["EIO as the lock is taken", "fcntl", "EIO", "lock", /cannot lock .*disk I\/O error/],
    ["ENOSPC as the file is created", "openat", "ENOSPC", "backup", full],
    // network disks tell it late
    ["ENOSPC as it is flushed", "fsync", "ENOSPC", "backup", full],
    ["ENOSPC as the manifest is flushed", "fsync", "ENOSPC", "manifest", full],
    ["ENOSPC as the file is renamed", "rename", "ENOSPC", "backup", full],
    ["a quota that is used up", "write", "EDQUOT", "backup", /disk quota exceeded/],
    ["a network disk that went away", "write", "ESTALE", "backup", /stale file handle/],
    ["a file system that turned read-only", "rename", "EROFS", "manifest", /read-only/],
    ["EMFILE as the file is created", "openat", "EMFILE", "backup", descriptors],
    ["EMFILE as the manifest is created", "openat", "EMFILE", "manifest", descriptors],
    ["EMFILE as the folder is opened", "openat", "EMFILE", "folder", descriptors],
    ["EMFILE as the lock is opened", "openat", "EMFILE", "lock", /cannot lock/],
  ] as const)("%s: it fails, says why, and leaves nothing", async (_, call, error, place, cause) => {
    deploy();
    expectFailure(await startBroken(call, error, place).done, cause);
    expect(folderState(scripts.backups)).toEqual(earlier);
  });

  test.each([
    // what close() could tell has been told by fsync before
    ["EIO as the file is closed", "close", "EIO", "backup"],
    ["EIO as the manifest is closed", "close", "EIO", "manifest"],
    ["a file system that flushes no folders", "fsync", "EINVAL", "folder"],
    ["ENOSPC as the lock's holder is noted", "openat", "ENOSPC", "holder"],
  ] as const)("%s: it is whole all the same", async (_, call, error, place) => {
    deploy();
    const running = startBroken(call, error, place);
    expectSuccess(await running.done);
    expect(running.met()).toBeGreaterThan(0);
    expect(scripts.list()).toHaveLength(2);
    expectWhole();
    expect(debris()).toEqual([]);
  });

  const script = (name: string) => join(scripts.dir, name);

  test("EIO as list reads the folder: it does not say that there are no backups", async () => {
    deploy();
    const fault = { call: "getdents64", meets: "error=EIO", paths: [scripts.backups] };
    const listed = await startFaulty(fault, [script("list")]).done;
    expect(listed.status).toBe(1);
    expect(listed.stderr).toMatch(
      /no backups could be listed: cannot list the backup folder .*: input\/output error$/m,
    );
    expect(listed.stdout).toBe("");
  });

  test("EIO as list reads a manifest: its line says why", async () => {
    deploy();
    const ran = await scripts.run("backup");
    expectSuccess(ran);
    const manifest = manifestName(ran.stdout.trim());
    const listed = await startFaulty({ call: "pread64", meets: "error=EIO", paths: [manifest] }, [script("list")]).done;
    expectSuccess(listed);
    expect(listed.stdout).toMatch(/input\/output error/);
  });

  test("EIO as the report is written: the page before stays, and the run is good", async () => {
    deploy();
    const env = { REPORT_FILE: join(scripts.dir, "report.html") };
    expectSuccess(await scripts.run("backup", [], { env }));
    const before = readFileSync(env.REPORT_FILE, "utf8");
    const unfinished = join(scripts.dir, ".report.html.partial");
    const fault = { call: "write", meets: "error=EIO", paths: [unfinished] };
    const ran = await startFaulty(fault, [script("backup")], { env }).done;
    expectSuccess(ran);
    expect(ran.stderr).toMatch(/cannot write REPORT_FILE .*input\/output error/);
    expect(readFileSync(env.REPORT_FILE, "utf8")).toBe(before);
    expect(existsSync(unfinished)).toBe(false);
  });

  test("killed at any of its calls: nothing but whole backups, and the next run sweeps the rest", async () => {
    const moments: [call: string, place: Place][] = [
      ["openat", "backup"],
      ["write", "backup"],
      ["fsync", "backup"],
      ["openat", "manifest"],
      ["fsync", "manifest"],
      ["rename", "manifest"],
      ["rename", "backup"],
      ["fsync", "folder"],
    ];
    deploy();
    const left = new Set<number>();
    for (const [call, place] of moments) {
      await killAt({ call, paths: files(scripts.backups)[place] }, [join(scripts.dir, "backup")]);
      expectWhole();
      left.add(debris().length);
    }
    // nothing yet, the file, its manifest too, both renamed
    expect(left).toEqual(new Set([0, 1, 2]));
    expectSuccess(await scripts.run("backup"));
    expectWhole();
    expect(debris()).toEqual([]);
    const names = scripts.list();
    expect(scripts.everything().filter((name) => name.endsWith(".json"))).toEqual(names.map(manifestName).toSorted());
  });
});

/** More than we, pipes and client programs keep of a dump that is loaded by one session, or by two (up to 3 MiB for each). */
const [rows, moreRows] = [60_000, 120_000];

describeWhere(canTrace, "strace")("a restore with PostgreSQL, which changes nothing, and sync", () => {
  let s3: S3Server;
  let before: oracle.State;
  let source: Installation;
  let file: string;
  beforeAll(async () => {
    s3 = startS3Server();
    const noise = "md5(i::text) || md5((-i)::text)";
    await server.createDatabase(
      "source",
      `CREATE TABLE t AS SELECT i, ${noise} FROM generate_series(1, ${moreRows}) i`,
    );
    await server.createDatabase("target", "CREATE TABLE t AS SELECT 1 AS mine; CREATE TABLE u AS SELECT 2 AS mine");
    before = await oracle.stateOf(server, "target");
    const settings = { ...server.settings("source"), ...s3Settings(s3, await s3.newBucket()) };
    source = installScripts(settings);
    const ran = await source.run("backup", ["--upload"]);
    expectSuccess(ran);
    file = ran.stdout.trim();
    scripts = installScripts({ ...settings, DB_NAME: "target" });
  });
  afterAll(async () => {
    source.remove();
    await s3.stop();
  });

  /** Starts a restore of the backup into another database. */
  const restore = (call: string, error: string, path: string, words = [file]) =>
    startFaulty({ call, meets: `error=${error}`, paths: [path] }, [join(scripts.dir, "restore"), ...words]);
  const expectUnchanged = async (ran: Ran, cause: RegExp) => {
    expectFailure(ran, cause);
    await oracle.expectState(server, "target", before);
    expect(await server.sql("postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'target%'")).toBe("target");
    expect(debris()).toEqual([]);
  };

  test.each([
    ["EIO as the backup is opened", "openat", "EIO", "", /cannot open .*sql\.gz: input\/output error/],
    ["EIO as the backup is read", "pread64", "EIO", "", /cannot read .*sql\.gz: input\/output error/],
    ["EIO as the manifest is opened", "openat", "EIO", ".json", /cannot open .*sql\.gz\.json: input\/output error/],
    ["EIO as the manifest is read", "pread64", "EIO", ".json", /cannot read .*sql\.gz\.json: input\/output error/],
    ["EMFILE as the backup is opened", "openat", "EMFILE", "", /cannot open .*sql\.gz: too many open files/],
    ["EMFILE as the manifest is opened", "openat", "EMFILE", ".json", /cannot open .*json: too many open files/],
  ] as const)("%s", async (_, call, error, end, cause) => {
    await expectUnchanged(await restore(call, error, file + end).done, cause);
  });

  test.each([
    ["EIO as the copy from S3 is created", "openat", "EIO", /cannot write .*partial: input\/output error/],
    ["EIO as the copy from S3 is written", "write", "EIO", /cannot write .*partial: input\/output error/],
    ["ENOSPC as the copy from S3 is written", "write", "ENOSPC", /cannot write .*partial: no space left/],
    ["EIO as the copy from S3 is read", "pread64", "EIO", /cannot read .*partial: input\/output error/],
  ] as const)("%s", async (_, call, error, cause) => {
    const copy = join(scripts.backups, partialName(basename(file)).replace("source", "target"));
    await expectUnchanged(await restore(call, error, copy, ["--from-s3", basename(file)]).done, cause);
  });

  test("EIO as sync reads a backup: it fails and names the file, which is not in S3", async () => {
    const own = await s3.newBucket();
    const settings = { ...s3Settings(s3, own), BACKUP_DIR: source.backups };
    const fault = { call: "read", meets: "error=EIO", paths: [file] };
    const ran = await startFaulty(fault, [join(source.dir, "sync")], { env: settings }).done;
    expectFailure(ran, /cannot read .*sql\.gz: input\/output error/);
    expect([...s3.objects(own).keys()]).toEqual([]);
    expect(s3.uploads(own)).toEqual([]);
  });

  test("EIO as the backup is read for the second time, in the middle of the load", async () => {
    const load = standing(server.clientDir, "psql", 'case "$*" in *QUIET=off*) ;; *) exec "$REAL" "$@";; esac');
    const env = { DB_CLIENT_DIR: load.clientDir, BACKUP_JOBS: "2" };
    const running = scripts.start("restore", [file], { env });
    await load.reached();
    const fault = await breakRunning({ call: "pread64", meets: "error=EIO", paths: [file] }, running.pid);
    load.goOn();
    await expectUnchanged(await running.done, /cannot read .*sql\.gz: input\/output error/);
    await fault.done;
    expect(fault.met()).toBe(1);
  });
});

/** Client programs of which `program` stands still when it has been given so much of a dump; `others` ends those that get none. */
function standing(real: string, program: string, others: string) {
  const marks = tempDir("marks");
  const script = `${others}
    { head -c 300000; : > '${marks}/reached'; while [ ! -e '${marks}/go' ]; do sleep 0.05; done; cat; } | "$REAL" "$@"`;
  const programs = program === "psql" ? ["pg_dump", "psql"] : ["mariadb-dump", "mariadb"];
  return {
    clientDir: clientsWith(real, { [program]: script }, programs),
    reached: () => until("the load is under way", () => existsSync(join(marks, "reached"))),
    goOn: () => writeFileSync(join(marks, "go"), ""),
  };
}

describeWhere(canTrace, "strace")("a restore with MariaDB", () => {
  let mariadb: MysqlServer;
  let before: oracle.State;
  let dump: string;
  beforeAll(async () => {
    mariadb = await startMysql("mariadb");
    const noise = "concat(md5(seq), md5(-seq))";
    await mariadb.createDatabase("source", `CREATE TABLE t AS SELECT seq, ${noise} AS b FROM seq_1_to_${rows}`);
    dump = join(tempDir("dump"), "dump.sql");
    writeFileSync(dump, await mariadb.client("mariadb-dump", ["source"]));
    await mariadb.createDatabase(
      "app",
      "CREATE TABLE t (mine int); CREATE TABLE u (mine int); INSERT INTO u VALUES (2)",
    );
    before = await mysqlOracle.stateOf(mariadb, "app");
  });
  afterAll(() => mariadb.stop());

  // only that one takes a safety backup, and needs a way back
  const inPlace = ["--in-place", "--replace"];
  const safety = () => join(scripts.backups, "before-restore");
  const deploy = () => {
    scripts.remove();
    scripts = installScripts(mariadb.settings("app"));
    mkdirSync(safety(), { recursive: true, mode: 0o700 });
  };
  const left = () => readdirSync(safety());
  const start = (call: string, meets: string, paths: readonly string[], env = {}) =>
    startFaulty({ call, meets, paths }, [join(scripts.dir, "restore"), ...inPlace, dump], { env });

  test.each([
    ["EIO as the backup is opened", "openat", "EIO", () => [dump], /cannot open .*dump\.sql: input\/output error/],
    ["EIO as the backup is read", "pread64", "EIO", () => [dump], /cannot read .*dump\.sql: input\/output error/],
    [
      "EIO as the safety backup is written",
      "write",
      "EIO",
      () => files(safety()).backup,
      /could not back up the present state; nothing was changed: cannot write .*: input\/output error/,
    ],
    [
      "ENOSPC as the safety backup is flushed",
      "fsync",
      "ENOSPC",
      () => files(safety()).backup,
      /could not back up the present state; nothing was changed: cannot finish .*: no space left/,
    ],
    [
      "EIO as the safety backup's folder is flushed",
      "fsync",
      "EIO",
      () => files(safety()).folder,
      /could not back up the present state; nothing was changed: cannot finish .*: input\/output error/,
    ],
    [
      "EMFILE as the safety backup's manifest is created",
      "openat",
      "EMFILE",
      () => files(safety()).manifest,
      /could not back up the present state; nothing was changed: .*too many open files/,
    ],
  ] as const)("%s: nothing is changed", async (_, call, error, paths, cause) => {
    deploy();
    expectFailure(await start(call, `error=${error}`, paths()).done, cause);
    expect(left()).toEqual([]);
    await mysqlOracle.expectState(mariadb, "app", before);
  });

  /** Starts a restore whose backup cannot be read any more once the load is under way. */
  async function breakInTheMiddle(args: readonly string[]): Promise<Ran> {
    deploy();
    const load = standing(
      mariadb.clientDir,
      "mariadb",
      'case " $* " in *--unbuffered*--database=app*) ;; *) exec "$REAL" "$@";; esac',
    );
    const running = scripts.start("restore", [...args, dump], { env: { DB_CLIENT_DIR: load.clientDir } });
    await load.reached();
    const fault = await breakRunning({ call: "pread64", meets: "error=EIO", paths: [dump] }, running.pid);
    load.goOn();
    const ran = await running.done;
    expectFailure(ran, /cannot read .*dump\.sql: input\/output error/);
    await fault.done;
    return ran;
  }

  test("EIO as the backup is read for the second time, in the middle of the load beside: nothing is changed", async () => {
    const ran = await breakInTheMiddle(["--replace"]);
    expect(ran.stderr).toContain("nothing was changed in ");
    expect(left()).toEqual([]);
    expect(await mariadb.sql("mysql", "SHOW DATABASES LIKE 'app%'")).toBe("app");
    await mysqlOracle.expectState(mariadb, "app", before);
  });

  test("EIO as the backup is read for the second time, in the middle of the load: the way back is named", async () => {
    const ran = await breakInTheMiddle(inPlace);
    const command = /hint: to bring back the state before the restore: (.*)$/m.exec(ran.stderr)?.[1] ?? "";
    expectSuccess(await startProgram(["/bin/sh", "-c", command]).done);
    await mysqlOracle.expectState(mariadb, "app", before);
  });
});
