/** Shell requirement 5 (settings) and container requirement 2, on the built executables. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { $ } from "bun";
import { exampleEnv } from "../../scripts-src/manual/generate.ts";
import { readSettings } from "../../scripts-src/settings/env.ts";
import { aboutSetting, settingNames, settingsFrom } from "../../scripts-src/settings/settings.ts";
import { type Installation, installScripts, startProgram } from "../support/machine/executables.ts";
import { settingsFile } from "../support/machine/settings-file.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { expectNoSecrets } from "../support/expect/secrets.ts";
import { testWhere } from "../support/machine/where.ts";

let server: PostgresServer;
let place: Installation;
beforeAll(async () => {
  server = await startPostgres(15);
  await server.createDatabase("app", "CREATE TABLE t (a int); INSERT INTO t VALUES (1)");
});
afterAll(() => server.stop());
beforeEach(() => {
  place = installScripts();
});
afterEach(() => place.remove());

const envFile = () => join(place.dir, ".env.sh");

test("shell 5.1: the scripts read .env.sh in their own folder, wherever they are called from", async () => {
  place.configure(server.settings("app"));
  const { status, stdout } = await place.run("backup", [], { cwd: "/" });
  expect(status).toBe(0);
  expect(stdout.trim()).toStartWith(join(place.dir, "backups/app_"));
});

describe("shell 5.2: without .env.sh", () => {
  for (const script of ["backup", "restore"])
    test(`${script} names the missing settings and says how to make the file`, async () => {
      rmSync(envFile());
      const { status, stdout, stderr } = await place.run(script);
      expect(status).toBe(2);
      expect(stdout).toBe("");
      expect(stderr).toContain("missing: DATABASE_URL, or POSTGRES_CONNECTION_STRING, or DB_NAME");
      expect(stderr).toContain(`there is no ${envFile()}`);
      expect(stderr).toContain("cp example.env.sh .env.sh");
      expect(place.everything()).toEqual([]);
    });

  test("a container that sets everything in its environment needs no file (container 2.1, 2.6)", async () => {
    rmSync(envFile());
    for (const env of [
      server.settings("app"),
      { DATABASE_URL: server.url("app") },
      { POSTGRES_CONNECTION_STRING: server.url("app") },
    ]) {
      const { status, stderr } = await place.run("backup", [], { env });
      expect(stderr).not.toContain("ERROR");
      expect(status).toBe(0);
    }
  });
});

test("shell 5.3, container 2.8: every missing setting is named at once, with what it is for", async () => {
  place.configure({ EMAIL_NOTIFY_MODE: "FAILURE_ONLY" });
  const { status, stderr } = await place.run("backup", ["--upload"]);
  expect(status).toBe(2);
  for (const name of ["DATABASE_URL", "S3_BUCKET", "EMAIL_FROM", "EMAIL_TO", "SMTP_HOST"])
    expect(stderr).toMatch(new RegExp(`missing: ${name}\\b.*: \\w+`));
  expect(stderr).toContain("hint: ");
});

test("wrong settings are all named at once with the line they stand on, and nothing is attempted", async () => {
  writeFileSync(envFile(), `DB_NAME='app'\nDB_PASSWORD="se$$cret-one"\nS3_BUKCET='b'\nLOG_FORMAT='xml'\n`, {
    mode: 0o600,
  });
  const { status, stdout, stderr } = await place.run("backup", [], { env: { EMAIL_NOTIFY_MOD: "NEVER" } });
  expect(status).toBe(2);
  expect(stdout).toBe("");
  expect(stderr).toContain(`DB_PASSWORD (${envFile()} line 2): `);
  expect(stderr).toContain(`S3_BUKCET (${envFile()} line 3): there is no such setting; did you mean S3_BUCKET?`);
  expect(stderr).toContain(`LOG_FORMAT (${envFile()} line 4): must be one of text, json`);
  expect(stderr).toContain("EMAIL_NOTIFY_MOD (environment): there is no such setting; did you mean EMAIL_NOTIFY_MODE?");
  expectNoSecrets(stderr, ["se$$cret-one", "cret-one"]);
  expect(place.everything()).toEqual([]);
});

test("the environment wins over .env.sh, and a line of the log names what it overrides", async () => {
  await server.createDatabase("other");
  place.configure(server.settings("app"));
  const { status, stdout, stderr } = await place.run("backup", [], { env: { DB_NAME: "other" } });
  expect(status).toBe(0);
  expect(stdout).toContain("/other_");
  expect(stderr).toMatch(/INFO backup: DB_NAME \(.*\.env\.sh line \d+\): overridden by DB_NAME of the environment/);
});

test("--env-file and BACKUP_ENV_FILE name another file", async () => {
  const elsewhere = join(place.dir, "elsewhere.sh");
  writeFileSync(elsewhere, settingsFile(server.settings("app")), { mode: 0o600 });
  for (const [args, env] of [
    [["--env-file", elsewhere], {}],
    [[], { BACKUP_ENV_FILE: elsewhere }],
  ] as const)
    expect(await place.run("backup", [...args], { env })).toMatchObject({ status: 0 });
  const { status, stderr } = await place.run("backup", ["--env-file", "/no/such"]);
  expect(status).toBe(2);
  expect(stderr).toContain("/no/such: no such settings file");
  // nothing is known of the notices then
  expect(stderr).not.toContain("notice");
});

test("a .env.sh that others may write is refused, one that they may read earns a warning", async () => {
  place.configure(server.settings("app"));
  chmodSync(envFile(), 0o666);
  const refused = await place.run("backup");
  expect(refused.status).toBe(2);
  expect(refused.stderr).toContain(`every user can write to ${envFile()}; run: chmod o-w ${envFile()}`);
  chmodSync(envFile(), 0o644);
  const warned = await place.run("backup");
  expect(warned.status).toBe(0);
  expect(warned.stderr).toMatch(/WARN backup: .*can read it; run: chmod 600/);
});

/** Another user can be had only by root. */
const asRoot = testWhere(process.getuid?.() === 0, "root");

asRoot("a .env.sh that belongs to root is read by another user, one of a third user is refused", async () => {
  place.configure(server.settings("app"));
  const argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", join(place.dir, "backup")];
  const asNobody = () => startProgram(argv, { env: { BACKUP_DIR: join(place.dir, "nobody") } }).done;
  chmodSync(place.dir, 0o755);
  mkdirSync(join(place.dir, "nobody"), { mode: 0o700 });
  chownSync(join(place.dir, "nobody"), 65_534, 65_534);
  chownSync(envFile(), 0, 65_534);
  chmodSync(envFile(), 0o640);
  expect(await asNobody()).toMatchObject({ status: 0 });
  chownSync(envFile(), 65_533, 65_534);
  const { status, stderr } = await asNobody();
  expect(status).toBe(2);
  expect(stderr).toContain(
    `belongs to user 65533, who can change it; run as that user (sudo -u '#65533' ...), or as root: chown 65534 ${envFile()}`,
  );
});

test("a secret may come from a file, and neither it nor its file's content is ever printed", async () => {
  const { DB_PASSWORD: password = "", ...settings } = server.settings("app");
  const secret = join(place.dir, "password");
  writeFileSync(secret, `${password}\n`);
  place.configure({ ...settings, DB_PASSWORD_FILE: secret });
  const { status, stdout, stderr } = await place.run("backup", [], { env: { LOG_LEVEL: "debug" } });
  expect(status).toBe(0);
  expectNoSecrets(stdout + stderr, [password]);
  // the commands that are run have no secret in them
  for (const command of ["pg_dump --version", "psql --no-psqlrc", "pg_dump --format=plain"])
    expect(stderr).toMatch(new RegExp(`DEBUG backup: runs \\S*${command}`));
});

describe("shell 5.4, 5.5: example.env.sh", () => {
  const example = exampleEnv();

  test("is what the settings schema generates, and every generated file is up to date", async () => {
    const root = resolve(import.meta.dir, "../..");
    const { stderr, exitCode } = await $`${process.execPath} scripts-src/build.ts --check-generated`
      .cwd(root)
      .nothrow()
      .quiet();
    expect({ stderr: stderr.toString(), exitCode }).toEqual({ stderr: "", exitCode: 0 });
    expect(readFileSync(resolve(root, "backup_scripts/example.env.sh"), "utf8")).toBe(example);
  });

  test("documents every setting with its meaning, those of database, S3, SMTP and notification first", () => {
    for (const name of settingNames) {
      const at = example.search(new RegExp(`^#?${name}='`, "m"));
      expect({ name, found: at >= 0 }).toEqual({ name, found: true });
      const text = example.slice(0, at).replaceAll("\n# ", " ");
      expect(text).toContain(aboutSetting(name).meaning.replaceAll("…", "..."));
    }
    const optional = example.indexOf("\n# Optional");
    for (const name of ["DB_NAME", "DB_PASSWORD", "S3_BUCKET", "S3_SECRET_KEY", "SMTP_PASSWORD", "EMAIL_NOTIFY_MODE"])
      expect(example.indexOf(`\n${name}='`)).toBeWithin(1, optional);
  });

  test("copied as it is, it is read without a complaint but for what is missing", async () => {
    writeFileSync(envFile(), example, { mode: 0o600 });
    const { problems, warnings, settings } = readSettings({ home: place.dir, environment: {} });
    expect({ problems, warnings }).toEqual({ problems: [], warnings: [] });
    expect(settings).toEqual(settingsFrom({ DB_TYPE: "postgresql" }));
    const { status, stderr } = await place.run("backup");
    expect(status).toBe(2);
    expect(stderr).toContain("missing: DATABASE_URL, or");
    expect(stderr).toContain(`hint: fill in ${envFile()} or the environment; ./help SETTING explains a setting`);
  });

  test("filled in and with every # in front removed, it means to us what it means to /bin/sh", () => {
    const filled = example
      .replaceAll(/^#([A-Z])/gm, "$1")
      .replaceAll(/^(\w+)=''$/gm, (_, name: string) => `${name}='${aboutSetting(name as never).example}'`);
    writeFileSync(envFile(), filled, { mode: 0o600 });
    // a key that stands in an example is nobody's, or everybody's
    const refused = readSettings({ home: place.dir, environment: {} });
    expect([...refused.broken]).toEqual(["AGE_RECIPIENTS", "MANIFEST_KEY"]);
    const keys: Record<string, string> = {
      AGE_RECIPIENTS: "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
      MANIFEST_KEY: "a-key-of-twenty-characters",
    };
    const withKeys = filled.replaceAll(/^(\w+)='.*'$/gm, (line, name: string) =>
      name in keys ? `${name}='${keys[name]}'` : line,
    );
    writeFileSync(envFile(), withKeys, { mode: 0o600 });
    const ours = readSettings({ home: place.dir, environment: {} });
    // three ways to name the database, all of them set, are the only thing that is wrong
    expect(ours.problems).toHaveLength(1);
    expect(ours.problems[0]).toContain("more than one way");
    const print = `set -a; . ${envFile()}; for name in ${settingNames.join(" ")}; do eval "printf '%s\\0' \\"\\$$name\\""; done`;
    const sh = Bun.spawnSync(["/bin/sh", "-c", print], { env: {} }).stdout.toString().split("\0").slice(0, -1);
    const theirs = Object.fromEntries(settingNames.map((name, index) => [name, sh[index]!]));
    expect(theirs.DATABASE_URL).toBe(aboutSetting("DATABASE_URL").example);
    expect(ours.settings).toEqual(settingsFrom(theirs));
  });

  test("filled in for a real database, it makes a backup", async () => {
    const settings = server.settings("app");
    const filled = example.replaceAll(/^(\w+)='.*'$/gm, (line, name: string) =>
      name in settings ? `${name}='${settings[name]}'` : line,
    );
    writeFileSync(envFile(), filled, { mode: 0o600 });
    const { status, stdout } = await place.run("backup");
    expect(status).toBe(0);
    expect(existsSync(stdout.trim())).toBeTrue();
  });
});
