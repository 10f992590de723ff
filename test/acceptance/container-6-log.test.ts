/** Container requirement 6: what the log of a run says, as text and as JSON. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { installScripts, type Ran } from "../support/machine/executables.ts";
import { expectFailure, expectSuccess } from "../support/expect/expect.ts";
import { freePort, type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { until } from "../support/machine/until.ts";

let server: PostgresServer;

beforeAll(async () => {
  server = await startPostgres(15);
  await server.createDatabase("app", "CREATE TABLE t AS SELECT 1 AS a");
});
afterAll(() => server.stop());

type Line = Record<string, unknown> & { time: string; level: string; message: string };
const linesOf = (ran: Ran): Line[] =>
  ran.stderr
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);

test("container 6.2 the beginning of a backup is logged with its time and the database", async () => {
  const before = Date.now();
  const ran = await installScripts({ ...server.settings("app"), LOG_FORMAT: "json" }).run("backup");
  expectSuccess(ran);
  const begin = linesOf(ran).find(({ message }) => /starts/.test(message));
  expect(begin).toMatchObject({ level: "info", script: "backup" });
  expect(Date.parse(String(begin?.time))).toBeWithin(before, Date.now() + 1);
  expect(begin?.message).toContain(`127.0.0.1:${server.port}/app`);
  expect(begin?.message).toMatch(/PostgreSQL 15\.\d+/);
});

test("container 6.3 the end of a backup is logged with its time, the file and its size", async () => {
  const ran = await installScripts({ ...server.settings("app"), LOG_FORMAT: "json" }).run("backup");
  const end = linesOf(ran).at(-1);
  const file = ran.stdout.trim();
  expect(end).toMatchObject({ level: "info", script: "backup", bytes: Bun.file(file).size, localPath: file });
  expect(end?.message).toContain(file);
  expect(Number(end?.durationMs)).toBeGreaterThan(0);
});

test("container 6.3 in text, each line is TIMESTAMP LEVEL script: message", async () => {
  const ran = await installScripts(server.settings("app")).run("backup");
  const lines = ran.stderr.trim().split("\n");
  for (const line of lines) expect(line).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (INFO|WARN) backup: \S/);
  expect(lines.at(-1)).toContain(ran.stdout.trim());
});

test("container 6.4 an error is logged with its cause, and at LOG_LEVEL=debug with a stack trace", async () => {
  const scripts = installScripts({ ...server.settings("nowhere"), LOG_FORMAT: "json", LOG_LEVEL: "debug" });
  const error = linesOf(await scripts.run("backup")).find(({ level }) => level === "error");
  expect(error?.message).toMatch(/database "nowhere" does not exist/);
  expect(String(error?.stack)).toMatch(/\n\s+at /);
});

test("container 6.4 a plain error at LOG_LEVEL=info has no stack trace", async () => {
  expectFailure(await installScripts(server.settings("nowhere")).run("backup"), /database "nowhere" does not exist/);
});

test("container 6.6 a connection that fails is logged with the try, the number of tries and the wait", async () => {
  const DB_PORT = String(freePort());
  const ran = await installScripts({ ...server.settings("app"), DB_PORT, LOG_FORMAT: "json" }).run("backup");
  const tries = linesOf(ran).filter(({ level }) => level === "warn");
  expect(tries.map((line) => [line.try, line.tries])).toEqual([
    [1, 3],
    [2, 3],
  ]);
  expect(Number(tries[1]?.waitMs)).toBeGreaterThan(Number(tries[0]?.waitMs));
  for (const { message } of tries) expect(message).toMatch(/connection to .*:\d+\/app failed .*Connection refused/s);
  expect(ran.status).toBe(1);
});

test("container 6.6 a wrong password is not tried again", async () => {
  const ran = await installScripts(server.settings("app", { password: "wrong password" })).run("backup");
  expectFailure(ran, /password authentication failed/);
  expect(ran.stderr).not.toMatch(/try 1/);
});

test("container 6.6 a server that is still starting up is waited for", async () => {
  // the same address answers only when the first try has failed
  const late = await startPostgres(15);
  await late.createDatabase("app");
  await late.crash();
  const running = installScripts(late.settings("app")).start("backup");
  await until("the first try fails", () => /try 1 of 3/.test(running.stderr()));
  // however long the server takes, the next try comes when it is there
  process.kill(running.pid, "SIGSTOP");
  await late.restart();
  process.kill(running.pid, "SIGCONT");
  expectSuccess(await running.done);
  await late.stop();
});

test("container 6.2 a run that waits for a table that somebody has locked has said that it started", async () => {
  await server.createDatabase("busy", "CREATE TABLE t AS SELECT 1 AS a");
  const locked = server
    .sql("busy", "BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(100)")
    .catch(() => {});
  const holders = "FROM pg_stat_activity WHERE query LIKE '%pg_sleep(100)%' AND pid <> pg_backend_pid()";
  await until("it is locked", async () => (await server.sql("busy", `SELECT count(*) ${holders}`)) === "1");
  const running = installScripts(server.settings("busy")).start("backup");
  await until("it starts", () => / INFO backup: backup of .* starts: /.test(running.stderr()));
  await server.sql("busy", `SELECT pg_terminate_backend(pid) ${holders}`);
  await locked;
  expectSuccess(await running.done);
});
