/** Several databases of one server: each with its own file and lock, one outcome; what is wrong with one does not stop the others. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parseBackupName } from "../../scripts-src/archive/name.ts";
import { takeLock } from "../../scripts-src/base/lock.ts";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { expectFailure, expectSuccess } from "../support/expect/expect.ts";
import { readManifest } from "../support/machine/files.ts";
import { clientsWith } from "../support/servers/clients.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { type S3Server, startS3Server } from "../support/servers/s3-server.ts";
import { type MailServer, startMailServer } from "../support/servers/smtp.ts";
import { s3Settings } from "../support/servers/storage.ts";
import { tempDir } from "../support/machine/temp.ts";

setDefaultTimeout(180_000);

let server: PostgresServer;
let s3: S3Server;
let mail: MailServer;
let scripts: Installation;
const hostile = "-x,*!\\ \"ü'$(id)";
const healthy = ["app", "billing", "crm", hostile, "stats", "tenant_1", "tenant_test", "wiki"];
const writer = { user: "writer", password: "of-the-writer" };

beforeAll(async () => {
  [server, mail] = await Promise.all([startPostgres(15), startMailServer({ security: "none" })]);
  s3 = startS3Server();
  await server.sql(
    "postgres",
    `CREATE ROLE writer LOGIN PASSWORD '${writer.password}' CREATEDB; GRANT pg_read_all_data TO writer`,
  );
  for (const name of healthy) await server.createDatabase(name, "CREATE TABLE t AS SELECT 1 AS id");
  await server.createDatabase("closed", "REVOKE CONNECT ON DATABASE closed FROM PUBLIC");
  // nobody but its owner reads a large object
  await server.createDatabase("broken", "SELECT lo_create(7)");
  await server.createDatabase("app_before_2026-01-31_03-00-00");
  scripts = installScripts();
});
afterAll(async () => {
  await Promise.all([server.stop(), mail.stop(), s3.stop()]);
  scripts.remove();
});

const settings = (names: string, more: Record<string, string> = {}) => {
  const { DB_NAME: _, ...login } = server.settings("postgres", writer);
  return { ...login, DB_NAMES: names, METRICS_FILE: "metrics.prom", ...more };
};
const databasesOf = (stdout: string) =>
  stdout
    .trim()
    .split("\n")
    .map((path) => parseBackupName(basename(path))?.database);

test("DB_NAMES: each database has a file with its own manifest, in BACKUP_DIR and in S3; each path is a line", async () => {
  const bucket = await s3.newBucket();
  scripts.configure(settings("*,!closed,!broken", s3Settings(s3, bucket, "all")));
  const ran = await scripts.run("backup", ["--upload"]);
  expectSuccess(ran);
  expect(ran.stderr).toContain("backup done: 8 databases");
  const paths = ran.stdout.trim().split("\n");
  expect(new Set(databasesOf(ran.stdout))).toEqual(new Set(healthy));
  for (const path of paths) {
    const name = basename(path);
    expect(readManifest(path)).toMatchObject({
      database: parseBackupName(name)?.database,
      rows: 1,
    });
    expect([...s3.objects(bucket).keys()]).toEqual(expect.arrayContaining([`all/${name}`, `all/${name}.json`]));
  }
  const metrics = readFileSync(join(scripts.dir, "metrics.prom"), "utf8");
  expect(metrics.match(/last_run_success\{.*\} 1/g)).toHaveLength(8);

  const [named = ""] = paths;
  // behind that it is refused: the login owns nothing
  const one = await scripts.run("restore", [basename(named), "--dry-run"]);
  expect(one.stdout).toContain(`/${parseBackupName(basename(named))?.database}: PostgreSQL`);
  expectFailure(
    await scripts.run("restore", ["--dry-run"]),
    /DB_NAMES names several databases: add --database NAME/,
    2,
  );

  const checked = await scripts.run("backup", ["--upload", "--dry-run"]);
  expectSuccess(checked);
  for (const name of healthy) {
    expect(checked.stdout).toContain(`✓ privileges for ${name}: `);
    expect(checked.stdout).toContain(`the next backup for ${name} takes about `);
  }
  expect(checked.stdout.match(/^✓ storage/gm)).toHaveLength(1);
});

test("of ten, one that is broken and one that is locked fail, one that cannot be connected to is a warning; the others are backed up; one mail", async () => {
  scripts.configure(settings("*", { ...mail.settings, EMAIL_NOTIFY_MODE: "FAILURE_ONLY" }));
  const lock = takeLock(scripts.backups, "tenant_1", "backup");
  const ran = await scripts.run("backup");
  lock[Symbol.dispose]();
  expect(ran.status, ran.stderr).toBe(1);
  const done = healthy.filter((name) => name !== "tenant_1");
  expect(new Set(databasesOf(ran.stdout))).toEqual(new Set(done));
  expect(ran.stderr).toMatch(/ERROR backup: 2 of 10 databases failed: broken, tenant_1/);
  // a hint says whom it is for
  expect(ran.stderr).toContain("hint: broken: large objects need GRANT SELECT ON LARGE OBJECT each");
  expect(ran.stderr).toContain("hint: tenant_1: wait until that run has ended");
  expect(ran.stderr).toMatch(/WARN backup: closed: cannot connect to the database: the user lacks CONNECT on it/);
  const { subject, text = "" } = mail.only().parsed;
  expect(subject).toContain("2 of 10 databases");
  const states = Object.fromEntries(done.map((name) => [name, "success"]));
  const rows = Object.entries({ ...states, broken: "failure", tenant_1: "failure", closed: "warning" });
  expect(rows).toHaveLength(10);
  const lines = text.split("\n").map((line) => line.replaceAll(/ +/g, " "));
  for (const [name, state] of rows) expect(lines.filter((line) => line.startsWith(`${name} ${state}`))).toHaveLength(1);
  // of each that failed, when and where its last good backup is
  const below = (name: string) => lines.slice(lines.findIndex((line) => line.startsWith(`${name} failure`)) + 1);
  expect(below("broken")[1]).toBe(` last good backup: none found; ${scripts.backups}: none`);
  expect(below("tenant_1")[1]).toMatch(/^ last good backup: .* ago: .*tenant_1_\S+\.sql\.gz$/);
  expect(text).not.toMatch(/^Last good backup/m);
});

test("N13: when the server cannot be asked for its databases, the mail names the newest backup of any", async () => {
  scripts.configure(settings("*", { ...mail.settings, EMAIL_NOTIFY_MODE: "FAILURE_ONLY", DB_PASSWORD: "wrong" }));
  expect((await scripts.run("backup")).status).toBe(1);
  expect(mail.mails.at(-1)?.parsed.text).toMatch(/^Last good backup +.* ago: \S+\.sql\.gz$/m);
});

test("a database that is named must be there: status 1; one alone with --database leaves the others", async () => {
  scripts.configure(settings("crm,absent,closed"));
  const ran = await scripts.run("backup");
  expect(ran.status).toBe(1);
  expect(ran.stderr).toContain("2 of 3 databases failed: absent, closed");
  expect(databasesOf(ran.stdout)).toEqual(["crm"]);
  const one = await scripts.run("backup", ["--database", "app", "tenant_test"]);
  expectSuccess(one);
  expect(databasesOf(one.stdout)).toEqual(["app", "tenant_test"]);
});

test("databases that appeared or vanished since the last run are warned of, once", async () => {
  scripts.configure(settings("new_*,crm"));
  expectSuccess(await scripts.run("backup"));
  await server.createDatabase("new_1", "CREATE TABLE t (id int)");
  await server.createDatabase("other");
  const appeared = await scripts.run("backup");
  expect(appeared.stderr).toContain("WARN backup: the database new_1 is new on the server");
  expect(appeared.stderr).not.toContain("other");
  await server.dropDatabase("new_1");
  const vanished = await scripts.run("backup");
  expect(vanished.stderr).toContain("WARN backup: the database new_1 no longer exists on the server");
  expect((await scripts.run("backup")).stderr).not.toContain("WARN");
});

test("patterns that match nothing, or are wrong, are told with what there is", async () => {
  scripts.configure(settings("nothing_*"));
  const ran = await scripts.run("backup");
  expect(ran.status).toBe(1);
  expect(ran.stderr).toMatch(/DB_NAMES nothing_\* matches no database .*\n.*hint: the server has .*tenant_1/);
  scripts.configure(settings("!app"));
  expect((await scripts.run("backup")).status).toBe(2);
});

test("verify proves a backup of each database; one that cannot be proved does not stop the others", async () => {
  scripts.configure({ ...settings("app,crm"), DB_USER: server.user, DB_PASSWORD: server.password });
  expectSuccess(await scripts.run("backup"));
  const ran = await scripts.run("verify");
  expectSuccess(ran);
  expect(databasesOf(ran.stdout.replaceAll(".proof.json", ""))).toEqual(["app", "crm"]);
  const metrics = readFileSync(join(scripts.dir, "metrics.prom"), "utf8");
  expect(metrics.match(/^backup_scripts_last_verify_duration_seconds\{.*database="(app|crm)"\} /gm)).toHaveLength(2);
  const VERIFY_QUERY = "c?m:\n SELECT count(*) = 1\n FROM t\na*,!app: SELECT false\n";
  const asked = await scripts.run("verify", [], { env: { VERIFY_QUERY } });
  expectSuccess(asked);
  expect(asked.stderr.match(/VERIFY_QUERY is true/g)).toHaveLength(1);
  const untrue = await scripts.run("verify", [], { env: { VERIFY_QUERY: `${VERIFY_QUERY}app: SELECT id > 1 FROM t` } });
  expect([untrue.status, untrue.stderr]).toEqual([1, expect.stringContaining("1 of 2 databases failed: app")]);
  const wrong = await scripts.run("verify", [], { env: { VERIFY_QUERY: "!app: SELECT true" } });
  expect([wrong.status, wrong.stderr]).toEqual([2, expect.stringContaining("VERIFY_QUERY")]);
  const dry = await scripts.run("verify", ["--dry-run"]);
  expectSuccess(dry);
  expect(dry.stdout.match(/^✓ backup: (app|crm)_.* is complete and intact/gm)).toHaveLength(2);
  scripts.configure({ ...settings("app,never_backed_up"), DB_USER: server.user, DB_PASSWORD: server.password });
  const failed = await scripts.run("verify");
  expect(failed.status).toBe(1);
  expect(failed.stderr).toContain("1 of 2 databases failed: never_backed_up");
  expectSuccess(await scripts.run("verify", ["--database", "crm"]));
  const alone = await scripts.run("verify", ["--database", "never_backed_up"]);
  expect(alone.status).toBe(4);
  expect(alone.stderr.match(/no backups of never_backed_up/g)).toHaveLength(1);
});

test("the login to the next database is made during a dump, unless the login may have one session alone", async () => {
  // as a server does with CONNECTION LIMIT 1: a program that runs keeps the others out
  const alone = join(tempDir("session"), "taken");
  const once = `mkdir '${alone}' 2> /dev/null || { echo 'FATAL:  too many connections for role "writer"' >&2; exit 2; }
    trap "rmdir '${alone}'" EXIT; "$REAL" "$@"`;
  const strict = clientsWith(server.clientDir, { psql: once, pg_dump: once });
  /** Whether the login to the second database comes before the end of the first one's backup. */
  const isAhead = async (more: Record<string, string>) => {
    scripts.configure({ ...settings("app,billing,crm"), LOG_LEVEL: "debug", ...more });
    const ran = await scripts.run("backup");
    expectSuccess(ran);
    expect(ran.stderr).not.toMatch(/too many connections|WARN/);
    const login = ran.stderr.search(/runs \S+\/psql .*dbname=billing /);
    const end = ran.stderr.search(/INFO backup: app_\S+: /);
    expect(Math.min(login, end)).toBeGreaterThan(0);
    return login < end;
  };
  expect(await isAhead({})).toBe(true);
  expect(await isAhead({ DB_CLIENT_DIR: strict })).toBe(false);
});
