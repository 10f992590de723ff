/**
 * The cases of the fault table (table.test.ts) that are MySQL's and MariaDB's own; the backups are neither encrypted nor signed. A restore that fails has changed nothing, or it names
 * the safety backup and the command that brings it back, which this runs.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { clientsWith } from "../support/servers/clients.ts";
import {
  type Installation,
  installScripts,
  type Ran,
  startLimited,
  startProgram,
} from "../support/machine/executables.ts";
import {
  expectFailure,
  expectSuccess,
  type Folder,
  folderState,
  placeEarlierBackup,
} from "../support/expect/expect.ts";
import { namesIn } from "../support/machine/kill.ts";
import { expectState, stateOf } from "../support/expect/mysql-oracle.ts";
import { type MysqlServer, startMysql } from "../support/servers/mysql.ts";
import type { State } from "../support/expect/oracle.ts";
import { startTcpProxy } from "../support/servers/tcp-proxy.ts";
import { canMount, withDisk } from "../support/machine/small-disk.ts";
import { tempDir } from "../support/machine/temp.ts";
import { testWhere } from "../support/machine/where.ts";

describe("MariaDB", () => {
  let server: MysqlServer;
  let scripts: Installation;
  let earlier: Folder;
  let before: State;
  /** A dump of another state. */
  let file: string;
  const rows = "SELECT seq, concat(md5(seq), md5(-seq)) AS noise FROM seq_1_to_20000";
  beforeAll(async () => {
    server = await startMysql("mariadb");
    await placeApp();
    await server.createDatabase("other", `CREATE TABLE large AS ${rows}; CREATE TABLE more AS ${rows}`);
    file = join(tempDir("dump"), "dump.sql");
    writeFileSync(file, await server.client("mariadb-dump", ["other"]));
  });
  afterEach(() => scripts.remove());
  afterAll(() => server.stop());

  /** The database as it is before a restore. */
  async function placeApp(): Promise<void> {
    await server.dropDatabase("app");
    await server.createDatabase("app", `CREATE TABLE large AS ${rows}; CREATE TABLE mine AS SELECT 1 AS a`);
    before = await stateOf(server, "app");
  }

  const programs = ["mariadb-dump", "mariadb"];
  const clients = (changed: Record<string, string>) => clientsWith(server.clientDir, changed, programs);

  /** Executables with an earlier backup in their folder. */
  function deploy(settings: Record<string, string> = {}): void {
    scripts = installScripts({ ...server.settings("app"), ...settings });
    earlier = placeEarlierBackup(scripts, "app");
  }

  async function expectFailedBackup(settings: Record<string, string>, cause: RegExp, env = {}): Promise<void> {
    deploy(settings);
    expectFailure(await scripts.run("backup", [], { env }), cause);
    expect(folderState(scripts.backups)).toEqual(earlier);
  }

  test("a folder for temporary files that cannot be written to", () =>
    expectFailedBackup({}, /cannot write an option file below .*no such file/, {
      TMPDIR: join(tempDir("no"), "such"),
    }));

  testWhere(canMount, "mounts")("no room for the option file", async () => {
    const TMPDIR = tempDir("tmp");
    // for the file, and for what is in it
    for (const options of ["nr_inodes=1", "size=4k"])
      await withDisk(options, TMPDIR, async () => {
        const full = options.startsWith("size") ? ["full"] : [];
        for (const name of full) writeFileSync(join(TMPDIR, name), Buffer.alloc(4096));
        await expectFailedBackup({}, /cannot write an option file below .*no space left/, { TMPDIR });
        expect(readdirSync(TMPDIR)).toEqual(full);
        scripts.remove();
      });
  });

  test.each([
    ["mariadb-dump that says nothing and that all is well", { "mariadb-dump": "exit 0" }, /the dump is incomplete/],
    [
      "mariadb-dump gone with status 0 in the middle",
      { "mariadb-dump": '"$REAL" "$@" 2>&- | head -c 300000; exit 0' },
      /the dump is incomplete/,
    ],
    ["mariadb-dump killed after its last line", { "mariadb-dump": '"$REAL" "$@"; kill -9 $$' }, /killed by signal 9/],
  ])("%s", (_, changed, cause) => expectFailedBackup({ DB_CLIENT_DIR: clients(changed) }, cause));

  const safety = () => join(scripts.backups, "before-restore");
  // only a restore in place takes a safety backup, and may need the way back
  const restore = (env = {}) => scripts.run("restore", ["--in-place", "--replace", file], { env });
  const restoreBeside = (env = {}) => scripts.run("restore", ["--replace", file], { env });

  async function expectUntouched(ran: Ran, cause: RegExp): Promise<void> {
    expectFailure(ran, cause);
    expect(namesIn(safety())).toEqual([]);
    await expectState(server, "app", before);
    expect(await server.sql("mysql", "SHOW DATABASES LIKE 'app%'")).toBe("app");
  }

  /** The message names the safety backup, and the command that it gives brings the state before back. */
  async function expectWayBack(ran: Ran, cause: RegExp): Promise<void> {
    expectFailure(ran, cause);
    const names = readdirSync(safety()).filter((name) => !name.endsWith(".json"));
    expect(names).toHaveLength(1);
    expect(ran.stderr).toContain(`the state before the restore lies in ${join(safety(), names[0] ?? "")}`);
    const command = /hint: to bring back the state before the restore: (.*)$/m.exec(ran.stderr)?.[1] ?? "";
    expectSuccess(await startProgram(["/bin/sh", "-c", command]).done);
    await expectState(server, "app", before);
  }

  testWhere(process.getuid?.() === 0, "root")("a backup that may not be read", async () => {
    await placeApp();
    deploy();
    const locked = tempDir("locked");
    const copy = join(locked, "dump.sql");
    writeFileSync(copy, "", { mode: 0 });
    const argv = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", join(scripts.dir, "restore"), copy];
    await expectUntouched(
      await startProgram(argv).done,
      /cannot read .*dump\.sql: permission denied; it belongs to root/,
    );
  });

  /** A script of mariadb: `then` for the question about the target, the real program for all others. */
  const atPlan = (then: string) =>
    clients({
      mariadb: `case "$*" in *--unbuffered*|*--version*|*--help*) exec "$REAL" "$@";; esac
        sql=$(cat); case "$sql" in *@@datadir*) ${then};; esac; printf '%s\\n' "$sql" | "$REAL" "$@"`,
    });

  test.each([
    ["mariadb killed while it asks for the target", "kill -9 $$", /cannot query .*Killed|killed by signal 9/],
    ["mariadb that says nothing of the target", "exit 0", /mariadb exited with status 0, but its answer is incomplete/],
  ])("%s", async (_, then, cause) => {
    await placeApp();
    deploy();
    await expectUntouched(await restore({ DB_CLIENT_DIR: atPlan(then) }), cause);
  });

  test.each([
    ["a safety backup whose mariadb-dump is killed", "head -c 300000; kill -9 $$", /killed by signal 9/],
    ["a safety backup whose mariadb-dump stops early", "head -c 300000; exit 0", /the dump is incomplete/],
  ])("%s", async (_, then, cause) => {
    await placeApp();
    deploy();
    const DB_CLIENT_DIR = clients({ "mariadb-dump": `"$REAL" "$@" 2>&- | { ${then}; }; exit $?` });
    const whole = new RegExp(`could not back up the present state; nothing was changed: .*${cause.source}`);
    await expectUntouched(await restore({ DB_CLIENT_DIR }), whole);
  });

  test("a safety backup whose connection breaks", async () => {
    await placeApp();
    deploy();
    const proxy = await startTcpProxy(server.port);
    proxy.cut = { direction: "down", after: 400_000, times: 1 };
    await expectUntouched(
      await restore({ DB_PORT: String(proxy.port) }),
      /nothing was changed: .*(Lost|gone away|reset)/,
    );
    expect(proxy.broken).toBe(1);
    await proxy.stop();
  });

  const moments = {
    "before it has taken anything": (end: string) => end,
    "in the middle of the dump": (end: string) => `head -c 300000 | "$REAL" "$@"; ${end}`,
    // what it answers before the end of the dump depends on whose turn the rows were
    "when it has done what it was given, without a word of it": (end: string) =>
      `exec 8<&0; sed -u "/SQL_NOTES=@OLD_SQL_NOTES/aSELECT 'the end';" <&8 | "$REAL" "$@" |
        { while read -r a && [ "$a" != 'the end' ]; do echo "$a"; done; ${end}; } & wait`,
  };
  const ends = { "kill -9": "kill -9 $$", "status 0": "kill -TERM $$" };
  /** A script of mariadb: the client that loads into the database, or into the new one beside it, does this. */
  const loading = (script: string) => {
    const mine = `trap "exit 0" TERM; ${script}; exit`;
    return clients({ mariadb: `case " $* " in *--unbuffered*--database=app*) ${mine};; esac; exec "$REAL" "$@"` });
  };
  test.each(
    Object.entries(moments).flatMap(([moment, does]) =>
      Object.entries(ends).map(([end, last]) => [end, moment, does(last)] as const),
    ),
  )("a client that ends by %s %s: the way back", async (_, __, script) => {
    await placeApp();
    deploy();
    await expectWayBack(
      await restore({ DB_CLIENT_DIR: loading(script) }),
      /the database may now be neither as it was nor as in the backup/,
    );
  });

  test.each(Object.entries(ends))("a client that ends by %s in the middle of the load beside", async (_, last) => {
    await placeApp();
    deploy();
    const DB_CLIENT_DIR = loading(moments["in the middle of the dump"](last));
    await expectUntouched(await restoreBeside({ DB_CLIENT_DIR }), /nothing was changed in /);
  });

  test("a connection that breaks in the middle of the load: the way back", async () => {
    await placeApp();
    deploy();
    const proxy = await startTcpProxy(server.port);
    // only a load sends as much
    proxy.cut = { direction: "up", after: 700_000, times: 1 };
    await expectWayBack(
      await restore({ DB_PORT: String(proxy.port) }),
      /the restore into .* failed: .*(Lost connection|gone away|reset)/,
    );
    expect(proxy.broken).toBe(1);
    await proxy.stop();
  });

  test("open files: with any limit, a restore is done, or nothing was changed, or the way back is named", async () => {
    await placeApp();
    const ends = new Set<number>();
    const [inPlace, beside] = ["--in-place", "--drop-before"];
    for (const [limit, way] of [
      [20, beside],
      [20, inPlace],
      [28, inPlace],
      [64, beside],
    ] as const) {
      deploy();
      const argv = [join(scripts.dir, "restore"), "--replace", way, file];
      const ran = await startLimited(`-n ${limit}`, argv).done;
      ends.add(ran.status);
      if (ran.status !== 0) expect(ran.stderr).toContain("hint: raise the limit: ulimit -n");
      expect(ran.stderr).not.toMatch(/^\s+at .*:\d+:\d+/m);
      if (ran.status === 0) {
        expect(await server.sql("app", "SELECT count(*) FROM more")).toBe("20000");
        before = await stateOf(server, "app");
      } else if (ran.stderr.includes("to bring back")) await expectWayBack(ran, /failed/);
      else await expectState(server, "app", before);
      scripts.remove();
    }
    expect(ends).toContain(0);
    expect(ends.size).toBeGreaterThan(1);
  });
});
