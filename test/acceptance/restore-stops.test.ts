/** Restores in place that are stopped in the middle: nothing is committed (beside: restore-beside). Two at once: the second one waits for nobody. */
import { cpSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { type Installation, installScripts, type Running } from "../support/machine/executables.ts";
import { expectFailure, expectSuccess } from "../support/expect/expect.ts";
import { closeGate, type Gate, gateIn } from "./gate.ts";
import { expectState, type State, stateOf } from "../support/expect/oracle.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";

let server: PostgresServer;
let scripts: Installation;
let before: State;
let gate: Gate;
let running: Running;

const data = `
  CREATE TABLE account AS SELECT i AS id, md5(i::text) AS owner FROM generate_series(1, 50000) i;
  CREATE INDEX account_owner ON account (owner);
  SELECT lo_from_bytea(5000 + i, decode(md5(i::text), 'hex')) FROM generate_series(1, 20) i;
  ${gateIn("account")}`;

beforeAll(async () => {
  server = await startPostgres(15);
  await server.createDatabase("app", data);
  scripts = installScripts(server.settings("app"));
  expectSuccess(await scripts.run("backup"));
});
afterAll(() => server.stop());

/** A restore that has loaded all data, and stands before its first index. */
beforeEach(async () => {
  await server.dropDatabase("app");
  await server.createDatabase(
    "app",
    "CREATE TABLE account (id int, owner text); INSERT INTO account VALUES (1, 'before')",
  );
  gate = await closeGate(server, "app");
  before = await stateOf(server, "app");
  running = scripts.start("restore", ["--in-place", "--no-safety-backup"]);
  await gate.reached();
});

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const)("%s in the middle ends the restore with status %d and changes nothing", async (signal, status) => {
  running.kill(signal);
  await gate.open();
  const ran = await running.done;
  expect({ status: ran.status, stdout: ran.stdout }).toEqual({ status, stdout: "" });
  expect(ran.stderr).toContain(`stopped by ${signal}`);
  await expectState(server, "app", before);
});

test("kill -9 in the middle commits nothing", async () => {
  running.kill("SIGKILL");
  expect((await running.done).status).toBe(137);
  await gate.open();
  await expectState(server, "app", before);
});

test("a server that crashes in the middle has the state of before when it is back", async () => {
  await server.crash();
  expectFailure(
    await running.done,
    /server closed the connection|connection to server was lost|terminating connection/,
  );
  await server.restart();
  await expectState(server, "app", before);
});

test("S8: of two restores at once, from one folder or from two, the second ends with status 5; the first completes", async () => {
  expectFailure(await scripts.run("restore"), /another run holds the lock: restore/, 5);
  const elsewhere = installScripts(server.settings("app"));
  cpSync(scripts.backups, elsewhere.backups, { recursive: true });
  const ran = await elsewhere.run("restore");
  expectFailure(ran, /another restore of .*\/app holds the lock on the server: process \d+, user postgres/, 5);
  await gate.open();
  expectSuccess(await running.done);
  expect(await server.sql("app", "SELECT count(*) FROM account")).toBe("50000");
});
