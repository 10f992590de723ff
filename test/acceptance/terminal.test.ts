/** What a person at a terminal sees, and what nobody sees without one. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { join } from "node:path";
import { pausingDump } from "../support/servers/clients.ts";
import { type Installation, installScripts, startOnTerminal } from "../support/machine/executables.ts";
import { expectSuccess } from "../support/expect/expect.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";

let server: PostgresServer;
let scripts: Installation;

beforeAll(async () => {
  server = await startPostgres(15);
  const rows = "SELECT i, md5(i::text) || md5((-i)::text) AS noise FROM generate_series(1, 100000) i";
  await server.createDatabase("app", `CREATE TABLE large AS ${rows}`);
  scripts = installScripts(server.settings("app"));
  expectSuccess(await scripts.run("backup"));
});
beforeEach(() => server.sql("app", "DELETE FROM large"));
afterAll(() => server.stop());

const rows = () => server.sql("app", "SELECT count(*) FROM large");
const restore = (...args: string[]) => startOnTerminal([join(scripts.dir, "restore"), ...args]);

test("restore says what will be replaced, asks, and goes on with yes", async () => {
  const terminal = restore();
  await terminal.sees(/127\.0\.0\.1:\d+\/app.*takes the place of the present one \(1 table/s);
  await terminal.sees("Type yes");
  expect(await rows()).toBe("0");
  terminal.type("yes\n");
  expect(await terminal.exited).toBe(0);
  expect(await rows()).toBe("100000");
});

test.each([["no\n"], ["y\n"], ["\n"], ["\u0004"]])("restore changes nothing when the answer is %j", async (answer) => {
  const terminal = restore();
  await terminal.sees("Type yes");
  terminal.type(answer);
  expect(await terminal.exited).toBe(1);
  expect(terminal.shown()).toContain("nothing was changed");
  expect(await rows()).toBe("0");
});

test("Ctrl-C at the question ends with status 130 and changes nothing", async () => {
  const terminal = restore();
  await terminal.sees("Type yes");
  terminal.type("\u0003");
  expect(await terminal.exited).toBe(130);
  expect(terminal.shown()).toContain("nothing was changed");
  expect(await rows()).toBe("0");
});

test("restore --yes does not ask", async () => {
  const terminal = restore("--yes");
  expect(await terminal.exited).toBe(0);
  expect(terminal.shown()).not.toContain("Type yes");
  expect(await rows()).toBe("100000");
});

test("backup shows a line of progress: share, bytes, rate, time; and takes it away", async () => {
  const dump = pausingDump(server.clientDir, 2_000_000);
  const own = installScripts({ ...server.settings("app"), DB_CLIENT_DIR: dump.clientDir });
  await server.sql(
    "app",
    "INSERT INTO large SELECT i, md5(i::text) || md5((-i)::text) FROM generate_series(1, 100000) i",
  );
  const terminal = startOnTerminal([join(own.dir, "backup")]);
  await dump.paused();
  await terminal.sees(/backup .*~\d+ % .* [\d.]+ [kM]i?B .*\/s .*\d:\d\d/);
  dump.resume();
  expect(await terminal.exited).toBe(0);
  const lastLines = terminal.shown().split("\u001b[2K").at(-1);
  expect(lastLines).toMatch(/^[^%]*backup done: .*\.sql\.gz\r\n$/s);
});

test("Ctrl-C during a backup ends it with status 130 and leaves nothing behind", async () => {
  const dump = pausingDump(server.clientDir, 1000);
  const own = installScripts({ ...server.settings("app"), DB_CLIENT_DIR: dump.clientDir });
  const terminal = startOnTerminal([join(own.dir, "backup")]);
  await dump.paused();
  terminal.type("\u0003");
  expect(await terminal.exited).toBe(130);
  expect(own.everything().filter((name) => !name.includes(".lock"))).toEqual([]);
});

test("file=$(./backup) works on a terminal: stdout is the path alone", async () => {
  const terminal = startOnTerminal(["/bin/sh", "-c", 'file=$("$0") && echo "[$file]"', join(scripts.dir, "backup")]);
  expect(await terminal.exited).toBe(0);
  expect(terminal.shown()).toMatch(/\[\/[^\]\r\n]*\/backups\/app_[^\]\r\n]*\.sql\.gz\]/);
});

test("without a terminal nothing is asked, and no line of the log moves the cursor", async () => {
  const ran = await scripts.run("restore");
  expectSuccess(ran);
  // eslint-disable-next-line no-control-regex
  expect(ran.stderr).not.toMatch(/[\u001b\r]/);
  expect(ran.stderr).not.toContain("Type yes");
});
