/** Shell requirement 2: restore the database from a backup file. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import { copyFileSync, renameSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { expectFailure, expectSuccess } from "../support/expect/expect.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { tempDir } from "../support/machine/temp.ts";

let server: PostgresServer;
let scripts: Installation;

const write = (word: string) => server.sql("app", `UPDATE state SET word = '${word}'`);
const state = () => server.sql("app", "SELECT word FROM state");

/** Gives a backup and its manifest another name. */
function rename(from: string, to: string): void {
  for (const end of ["", ".json"]) renameSync(join(scripts.backups, from + end), join(scripts.backups, to + end));
}

beforeAll(async () => {
  server = await startPostgres(15);
  await server.createDatabase("app", "CREATE TABLE state AS SELECT 'nothing yet' AS word");
  scripts = installScripts(server.settings("app"));
  for (const [day, word] of [
    ["01", "first"],
    ["02", "second"],
    ["03", "third"],
  ]) {
    await write(`${word}`);
    const ran = await scripts.run("backup");
    expectSuccess(ran);
    rename(ran.stdout.trim().slice(scripts.backups.length + 1), `app_2025-03-${day}_03-00-00.sql.gz`);
  }
});
beforeEach(() => write("lost"));
afterAll(() => server.stop());

test("shell 2.1 without arguments the most recent backup is restored", async () => {
  expectSuccess(await scripts.run("restore"));
  expect(await state()).toBe("third");
});

test("shell 2.1 the most recent one by its name, not by the time of the file", async () => {
  utimesSync(join(scripts.backups, "app_2025-03-01_03-00-00.sql.gz"), new Date("2030-01-01"), new Date("2030-01-01"));
  expectSuccess(await scripts.run("restore"));
  expect(await state()).toBe("third");
});

test("shell 2.1 of two of one second, the second is the more recent", async () => {
  rename("app_2025-03-01_03-00-00.sql.gz", "app_2025-03-03_03-00-00-2.sql.gz");
  expectSuccess(await scripts.run("restore"));
  expect(await state()).toBe("first");
  rename("app_2025-03-03_03-00-00-2.sql.gz", "app_2025-03-01_03-00-00.sql.gz");
});

test("shell 2.1 newer backups of other databases, partial files and strangers do not count", async () => {
  const source = join(scripts.backups, "app_2025-03-01_03-00-00.sql.gz");
  const decoys = [
    "app-staging_2026-01-01_00-00-00.sql.gz",
    ".app_2026-01-01_00-00-00.sql.gz.partial",
    "app_latest.sql.gz",
  ];
  for (const name of decoys) copyFileSync(source, join(scripts.backups, name));
  expectSuccess(await scripts.run("restore"));
  expect(await state()).toBe("third");
});

test("shell 2.2 a file named by its name in the backup directory is restored", async () => {
  expectSuccess(await scripts.run("restore", ["app_2025-03-02_03-00-00.sql.gz"]));
  expect(await state()).toBe("second");
});

test("shell 2.2 a file named by an absolute path is restored", async () => {
  const elsewhere = join(tempDir("elsewhere"), "moved and renamed.sql.gz");
  copyFileSync(join(scripts.backups, "app_2025-03-01_03-00-00.sql.gz"), elsewhere);
  expectSuccess(await scripts.run("restore", [elsewhere]));
  expect(await state()).toBe("first");
});

test("shell 2.2 a file named by a path relative to the current folder is restored", async () => {
  expectSuccess(await scripts.run("restore", ["./app_2025-03-01_03-00-00.sql.gz"], { cwd: scripts.backups }));
  expect(await state()).toBe("first");
});

test("a file named behind -- is restored, also one whose name looks like an option", async () => {
  expectSuccess(await scripts.run("restore", ["--yes", "--", "app_2025-03-02_03-00-00.sql.gz"]));
  expect(await state()).toBe("second");
  const elsewhere = tempDir("elsewhere");
  copyFileSync(join(scripts.backups, "app_2025-03-01_03-00-00.sql.gz"), join(elsewhere, "-odd-name.sql.gz"));
  expectSuccess(await scripts.run("restore", ["--", "-odd-name.sql.gz"], { cwd: elsewhere }));
  expect(await state()).toBe("first");
});

test.each([["app_1999-01-01_00-00-00.sql.gz"], ["/no/such/file.sql"], ["./here.sql"]])(
  "shell 2.3 a file that does not exist is named as not found: %s",
  async (name) => {
    expectFailure(await scripts.run("restore", [name]), /not found.*(app_1999|\/no\/such\/file|here\.sql)/, 4);
    expect(await state()).toBe("lost");
  },
);

test("shell 2.4 without any backup the message says that none are available", async () => {
  const empty = installScripts(server.settings("app"));
  expectFailure(await empty.run("restore"), /no backups of app are available/, 4);
  expect(await state()).toBe("lost");
});

test("shell 2.4 backups of another database are none of this one", async () => {
  await server.createDatabase("ap");
  const other = installScripts({ ...server.settings("app"), DB_NAME: "ap" });
  expectFailure(await other.run("restore", [], { env: { BACKUP_DIR: scripts.backups } }), /no backups of ap are/, 4);
});

test("shell 2.5 a restore that completes exits with status 0 and says what it restored", async () => {
  const ran = await scripts.run("restore");
  expect({ status: ran.status, stdout: ran.stdout }).toEqual({ status: 0, stdout: "" });
  expect(ran.stderr.trim().split("\n").at(-1)).toMatch(
    /restore done: .*\/app now holds what app_2025-03-03_03-00-00\.sql\.gz holds/,
  );
});

test("--dry-run checks the backup, says what would be replaced, and changes nothing", async () => {
  const ran = await scripts.run("restore", ["--dry-run"]);
  expectSuccess(ran);
  expect(ran.stdout).toContain("app_2025-03-03_03-00-00.sql.gz");
  expect(await state()).toBe("lost");
});

test("M8: a backup whose options leave something out is refused with the numbers, unless --replace is given", async () => {
  const partial = installScripts({ ...server.settings("app"), DB_DUMP_OPTIONS: "--exclude-table-data=state" });
  expectSuccess(await partial.run("backup"));
  const refused = await partial.run("restore");
  expectFailure(
    refused,
    /holds no rows of tables that have some in the database: public.state \(about 1 row\): add --replace/,
  );
  expect(refused.stderr).toContain("was made with --exclude-table-data=state: it may not hold everything");
  expect(await state()).toBe("lost");
  expectSuccess(await partial.run("restore", ["--replace"]));
  expect(await state()).toBe("");
  await server.sql("app", "INSERT INTO state VALUES ('lost')");
  expect((await scripts.run("restore")).stderr).not.toContain("was made with");
});
