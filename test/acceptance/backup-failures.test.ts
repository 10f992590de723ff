/**
 * Backups that cannot succeed: each ends with its own exit status, a message that names the cause and a hint; nothing
 * new lies in the backup folder, and the earlier backup is untouched.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { chmodSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { clientDir, clientsWith, pausingDump } from "../support/servers/clients.ts";
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
import { freePort, type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { tempDir } from "../support/machine/temp.ts";
import { testWhere } from "../support/machine/where.ts";
import { canMount, withDisk } from "../support/machine/small-disk.ts";

let server: PostgresServer;

/** 30 MB that do not compress: more than fits into the buffers between the server and us. */
const data = `
  CREATE TABLE small AS SELECT 1 AS a;
  CREATE TABLE large AS SELECT i, md5(i::text) || md5((-i)::text) || md5((2 * i)::text) AS noise FROM generate_series(1, 300000) i;
  CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
  CREATE FOREIGN TABLE elsewhere (line text) SERVER files OPTIONS (filename 'PG_VERSION');`;

beforeAll(async () => {
  server = await startPostgres(15);
  await server.createDatabase("app", data);
});
afterAll(() => server.stop());

/** Executables with an earlier backup in their folder. */
function deploy(settings: Record<string, string>): { scripts: Installation; earlier: Folder } {
  const scripts = installScripts(settings);
  return { scripts, earlier: placeEarlierBackup(scripts, settings.DB_NAME ?? "app") };
}

/** Runs a backup that must fail and leave the folder as it was. */
async function expectFailedBackup(settings: Record<string, string>, cause: RegExp, status = 1): Promise<Ran> {
  const { scripts, earlier } = deploy({ ...server.settings("app"), ...settings });
  const ran = await scripts.run("backup");
  expectFailure(ran, cause, status);
  expect(folderState(scripts.backups)).toEqual(earlier);
  return ran;
}

test("server down", () => expectFailedBackup({ DB_PORT: String(freePort()) }, /Connection refused/));

test("host that does not exist", () => expectFailedBackup({ DB_HOST: "nowhere.invalid" }, /nowhere\.invalid/));

test("wrong password", () => expectFailedBackup({ DB_PASSWORD: "not the password" }, /password authentication failed/));

test("no password", async () => {
  const { DB_PASSWORD: _, ...settings } = server.settings("app");
  const { scripts, earlier } = deploy(settings);
  expectFailure(await scripts.run("backup"), /no password supplied/);
  expect(folderState(scripts.backups)).toEqual(earlier);
});

test("no such database", () => expectFailedBackup({ DB_NAME: "nonsuch" }, /database "nonsuch" does not exist/));

test("no privilege on one table", async () => {
  await server.sql("app", "CREATE ROLE clerk LOGIN PASSWORD 'clerk-password'; GRANT SELECT ON small TO clerk");
  const { DB_USER, DB_PASSWORD } = server.settings("app", { user: "clerk", password: "clerk-password" });
  await expectFailedBackup(
    { DB_USER: `${DB_USER}`, DB_PASSWORD: `${DB_PASSWORD}` },
    /permission denied for table large/,
  );
});

test("row security hides rows", async () => {
  const policy = "CREATE TABLE rows (a int); ALTER TABLE rows ENABLE ROW LEVEL SECURITY; GRANT SELECT ON rows TO guest";
  await server.createDatabase("secured", `CREATE ROLE guest LOGIN PASSWORD 'guest-password'; ${policy}`);
  const login = { user: "guest", password: "guest-password" };
  await expectFailedBackup(server.settings("secured", login), /row-level security policy for table "rows"/);
});

test("pg_dump killed in the middle", async () => {
  const dump = pausingDump(server.clientDir);
  const { scripts, earlier } = deploy({ ...server.settings("app"), DB_CLIENT_DIR: dump.clientDir });
  const running = scripts.start("backup");
  process.kill(await dump.paused(), "SIGKILL");
  dump.resume();
  expectFailure(await running.done, /pg_dump .*failed.*(killed by signal 9|Killed)/s);
  expect(folderState(scripts.backups)).toEqual(earlier);
});

test("session ended by an administrator in the middle", async () => {
  const dump = pausingDump(server.clientDir);
  const { scripts, earlier } = deploy({ ...server.settings("app"), DB_CLIENT_DIR: dump.clientDir });
  const running = scripts.start("backup");
  await dump.paused();
  await server.sql("app", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pg_dump'");
  dump.resume();
  expectFailure(
    await running.done,
    /terminating connection|server closed the connection|connection to server was lost/,
  );
  expect(folderState(scripts.backups)).toEqual(earlier);
});

test("server stopped in the middle", async () => {
  const other = await startPostgres(15);
  await other.createDatabase("app", data);
  const dump = pausingDump(other.clientDir);
  const { scripts, earlier } = deploy({ ...other.settings("app"), DB_CLIENT_DIR: dump.clientDir });
  const running = scripts.start("backup");
  await dump.paused();
  await other.stop();
  dump.resume();
  expectFailure(
    await running.done,
    /server closed the connection|terminating connection|connection to server was lost/,
  );
  expect(folderState(scripts.backups)).toEqual(earlier);
});

test.each([
  ["in the first table", '"$REAL" "$@" | head -c 100000; exit 0'],
  ["before its last line", '"$REAL" "$@" | head -n -8'],
  ["at once", "exit 0"],
])("pg_dump that says all is well but stopped early: %s", (_, script) =>
  expectFailedBackup({ DB_CLIENT_DIR: clientsWith(server.clientDir, { pg_dump: script }) }, /incomplete/),
);

test("pg_dump that fails after its last line", () =>
  expectFailedBackup(
    {
      DB_CLIENT_DIR: clientsWith(server.clientDir, {
        pg_dump: '"$REAL" "$@"; echo "pg_dump: error: out of luck" >&2; exit 3',
      }),
    },
    /out of luck/,
  ));

test("client older than the server", async () => {
  const newer = await startPostgres(18);
  await newer.createDatabase("app");
  const settings = { ...newer.settings("app"), DB_CLIENT_DIR: clientDir(15) };
  const { scripts, earlier } = deploy(settings);
  const ran = await scripts.run("backup");
  expectFailure(ran, /pg_dump 1\d\.\d+ is older than the server, PostgreSQL 18/, 3);
  expect(ran.stderr).toContain("postgresql-client-18");
  expect(folderState(scripts.backups)).toEqual(earlier);
  await newer.stop();
});

test("pg_dump missing", () => expectFailedBackup({ DB_CLIENT_DIR: tempDir("no-clients") }, /pg_dump was not found/, 3));

test("folder that cannot be written to", async () => {
  const scripts = installScripts();
  const earlier = placeEarlierBackup(scripts, "app");
  rmSync(join(scripts.dir, ".env.sh"));
  chmodSync(scripts.dir, 0o755);
  chmodSync(scripts.backups, 0o555);
  // to root every folder is writable
  const asNobody = process.getuid?.() === 0 ? ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] : [];
  const argv = [...asNobody, join(scripts.dir, "backup")];
  const ran = await startProgram(argv, { env: server.settings("app") }).done;
  expectFailure(ran, /backups.*permission denied/i);
  expect(folderState(scripts.backups)).toEqual(earlier);
});

test("folder that cannot be created", async () => {
  const scripts = installScripts({ ...server.settings("app"), BACKUP_DIR: ".env.sh/backups" });
  expectFailure(await scripts.run("backup"), /\.env\.sh\/backups/);
});

test("folder that everybody may write to", async () => {
  const { scripts, earlier } = deploy(server.settings("app"));
  chmodSync(scripts.backups, 0o777);
  expectFailure(await scripts.run("backup"), /every user can write to/);
  expect(folderState(scripts.backups)).toEqual(earlier);
});

testWhere(canMount, "mounts")("disk full", async () => {
  const scripts = installScripts(server.settings("app"));
  mkdirSync(scripts.backups);
  await withDisk("size=3m", scripts.backups, async () => {
    const earlier = placeEarlierBackup(scripts, "app");
    expectFailure(await scripts.run("backup"), /no space left on device/i);
    expect(folderState(scripts.backups)).toEqual(earlier);
  });
});

test("file size limit", async () => {
  const { scripts, earlier } = deploy(server.settings("app"));
  expectFailure(await startLimited("-f 2000", [join(scripts.dir, "backup")]).done, /too large/i);
  expect(folderState(scripts.backups)).toEqual(earlier);
});

test("a misspelt option is refused before anything is attempted", async () => {
  const { scripts, earlier } = deploy(server.settings("app"));
  expectFailure(await scripts.run("backup", ["--uplaod"]), /uplaod/, 2);
  expect(folderState(scripts.backups)).toEqual(earlier);
});

test.each([
  ["--nosuch", /unrecognized option '--nosuch'/],
  ["stray", /too many command-line arguments/],
  ["--table=nowhere", /no matching tables were found/],
  ["--data-only", /a restore would refuse this backup: the dump holds rows of .* without the tables themselves/],
  [
    "--include-foreign-data=files",
    /rows of foreign tables \(public\.elsewhere\), which a load would write to where they come from/,
  ],
])("DB_DUMP_OPTIONS that make no backup (%s): the hint names the setting", async (DB_DUMP_OPTIONS, cause) => {
  const ran = await expectFailedBackup({ DB_DUMP_OPTIONS }, cause);
  expect(ran.stderr).toContain("hint: check DB_DUMP_OPTIONS");
});

test("a PATH without any program: the usual places of the client programs are enough", async () => {
  const { DB_CLIENT_DIR: _, ...settings } = server.settings("app");
  const scripts = installScripts(settings);
  const { stderr } = await scripts.run("backup", [], { env: { PATH: "/nonexistent" } });
  expect(stderr).not.toMatch(/unknown version|does not report its version/);
});

test("DB_DUMP_OPTIONS that would break the backup are refused", () =>
  expectFailedBackup({ DB_DUMP_OPTIONS: "--format=custom" }, /DB_DUMP_OPTIONS.*--format=custom/, 2));

test("after all that, the same backup succeeds", async () => {
  expectSuccess(await installScripts(server.settings("app")).run("backup"));
});
