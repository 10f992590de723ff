/** Backups that are stopped in the middle, and two at once. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { pausingDump } from "../support/servers/clients.ts";
import { type Installation, installScripts, type Running } from "../support/machine/executables.ts";
import {
  expectFailure,
  expectSuccess,
  type Folder,
  folderState,
  placeEarlierBackup,
} from "../support/expect/expect.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { hasEnded } from "../support/machine/processes.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await startPostgres(15);
  const rows = "SELECT i, md5(i::text) || md5((-i)::text) AS noise FROM generate_series(1, 100000) i";
  await server.createDatabase("app", `CREATE TABLE large AS ${rows}`);
});
afterAll(() => server.stop());

interface Middle {
  scripts: Installation;
  earlier: Folder;
  running: Running;
  /** The real pg_dump's process number. */
  pid: number;
  resume: () => void;
}

/** A backup that has written a part of its file and stands still. */
async function inTheMiddle(): Promise<Middle> {
  const dump = pausingDump(server.clientDir);
  const scripts = installScripts({ ...server.settings("app"), DB_CLIENT_DIR: dump.clientDir });
  const earlier = placeEarlierBackup(scripts, "app");
  const running = scripts.start("backup");
  return { scripts, earlier, running, pid: await dump.paused(), resume: dump.resume };
}

test.each([
  ["SIGINT", 130],
  ["SIGQUIT", 131],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const)("%s ends the run with status %d, pg_dump with it, and leaves nothing behind", async (signal, status) => {
  const { scripts, earlier, running, pid } = await inTheMiddle();
  running.kill(signal);
  const ran = await running.done;
  expect(ran.stderr).toContain(`stopped by ${signal}`);
  expect({ status: ran.status, stdout: ran.stdout }).toEqual({ status, stdout: "" });
  await hasEnded(pid);
  expect(folderState(scripts.backups)).toEqual(earlier);
});

test("kill -9 leaves no backup, and neither pg_dump nor the lock outlive the run", async () => {
  const { scripts, earlier, running, pid, resume } = await inTheMiddle();
  running.kill("SIGKILL");
  expect((await running.done).status).toBe(137);
  expect(scripts.list()).toEqual(Object.keys(earlier).filter((name) => !name.endsWith(".json")));
  resume();
  await hasEnded(pid);
  scripts.configure(server.settings("app"));
  expectSuccess(await scripts.run("backup"));
  expect(scripts.everything().filter((name) => name.endsWith(".partial"))).toEqual([]);
  expect(folderState(scripts.backups)).toMatchObject(earlier);
});

test("of two runs at once, the second ends with status 5 and says who holds the lock; the first completes", async () => {
  const { scripts, running, resume } = await inTheMiddle();
  const during = scripts.everything().filter((name) => !name.includes(".lock"));
  const second = await scripts.run("backup");
  expectFailure(second, new RegExp(`another run holds the lock: backup, process ${running.pid}, since `), 5);
  expect(scripts.everything().filter((name) => !name.includes(".lock"))).toEqual(during);
  resume();
  const first = await running.done;
  expectSuccess(first);
  expect(scripts.list()).toContain(first.stdout.trim().slice(scripts.backups.length + 1));
});

test("a restore does not begin while a backup runs", async () => {
  const { scripts, running } = await inTheMiddle();
  expectFailure(await scripts.run("restore"), /another run holds the lock: backup/, 5);
  running.kill("SIGTERM");
  await running.done;
});

test("backups of two databases run at the same time", async () => {
  const { scripts, running, resume } = await inTheMiddle();
  await server.createDatabase("app-staging");
  expectSuccess(
    await scripts.run("backup", [], { env: { ...server.settings("app-staging"), DB_CLIENT_DIR: server.clientDir } }),
  );
  resume();
  expectSuccess(await running.done);
});
