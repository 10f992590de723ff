/** Secrets stay secret while the scripts run, and files that somebody planted are not followed. */
import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, test } from "bun:test";
import { lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sealing } from "../support/expect/age.ts";
import { clientsWith } from "../support/servers/clients.ts";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { expectFailure, expectSuccess } from "../support/expect/expect.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { type S3Server, startS3Server } from "../support/servers/s3-server.ts";
import { leakedIn } from "../support/expect/secrets.ts";
import { s3Settings } from "../support/servers/storage.ts";
import { tempDir } from "../support/machine/temp.ts";
import { describeWhere } from "../support/machine/where.ts";

let server: PostgresServer;
let s3: S3Server;
let scripts: Installation;
let bucket: string;

beforeAll(async () => {
  server = await startPostgres(15);
  await server.createDatabase("app", "CREATE TABLE t AS SELECT 1 AS a");
  s3 = startS3Server();
});
beforeEach(async () => {
  bucket = await s3.newBucket();
  scripts = installScripts();
});
afterEach(() => scripts.remove());
afterAll(async () => {
  await s3.stop();
  await server.stop();
});

const settings = () => ({ ...server.settings("app"), ...s3Settings(s3, bucket) });

describeWhere(process.platform === "linux", "Linux")("what other processes see", () => {
  const secretNames = ["DB_PASSWORD", "S3_SECRET_KEY", "SMTP_PASSWORD", "NOTIFY_WEBHOOK_URL", "MANIFEST_KEY"];
  const sealed = sealing();
  /** With some that no client program has any use for. */
  const all = (): Record<string, string> => ({
    ...settings(),
    ...sealed,
    SMTP_USER: "mailer",
    SMTP_PASSWORD: "smtp-secret-4711",
    NOTIFY_WEBHOOK_URL: "http://127.0.0.1:9/webhook-secret-4712",
    EMAIL_NOTIFY_MODE: "NEVER",
  });

  /** Client programs that write down what everybody could see of them, of us, and of our files. */
  function watchingClients(seen: string, temporary: string): string {
    const look = `
      { tr '\\0' ' ' < /proc/$$/cmdline; echo; tr '\\0' ' ' < /proc/$PPID/cmdline; echo; } >> '${seen}/commands'
      tr '\\0' '\\n' < /proc/$$/environ >> '${seen}/environment'
      find '${temporary}' '${scripts.backups}' -type f -printf '%m %p\\n' >> '${seen}/files'`;
    const spied = `${look}\n"$REAL" "$@"; status=$?${look}\nexit $status`;
    return clientsWith(server.clientDir, { pg_dump: spied, psql: spied });
  }

  test.each(["in .env.sh", "in the environment", "in files"])("secrets %s", async (way) => {
    const [seen, temporary, home] = [tempDir("seen"), tempDir("temporary"), tempDir("secrets")];
    const given: Record<string, string> = { ...all(), DB_CLIENT_DIR: watchingClients(seen, temporary) };
    const secrets = secretNames.map((name) => given[name] ?? "");
    if (way === "in files")
      for (const name of secretNames) {
        writeFileSync(join(home, name), given[name] ?? "", { mode: 0o600 });
        given[`${name}_FILE`] = join(home, name);
        delete given[name];
      }
    const env = { TMPDIR: temporary, ...(way === "in the environment" ? given : {}) };
    scripts.configure(way === "in the environment" ? {} : given);
    for (const [script, ...args] of [["backup", "--upload"], ["restore", "--from-s3"], ["sync"]] as const)
      expectSuccess(await scripts.run(script, args, { env }));

    const read = (name: string) => readFileSync(join(seen, name), "utf8");
    expect(read("commands")).toContain("--dbname=");
    expect(leakedIn(read("commands"), secrets)).toEqual([]);
    // the database's own password is the client program's to know; the kernel shows it to this user alone
    expect(leakedIn(read("environment"), secrets)).toEqual([server.password]);
    expect(read("environment")).not.toContain("_FILE=");
    const open = read("files")
      .split("\n")
      .filter((line) => line && !/^[67]00 /.test(line));
    expect(open, "files that others may read").toEqual([]);
    expect(read("files")).toContain(".partial");
    expect(readdirSync(temporary), "temporary files left behind").toEqual([]);
  });
});

describe("planted files", () => {
  let victim: string;
  beforeEach(() => {
    victim = join(tempDir("victim"), "file");
    writeFileSync(victim, "precious");
    mkdirSync(scripts.backups, { mode: 0o700 });
    scripts.configure(settings());
  });
  afterEach(() => expect(readFileSync(victim, "utf8")).toBe("precious"));
  const planted = (name: string) => join(scripts.backups, name);

  test("a link in the lock's place is refused", async () => {
    symlinkSync(victim, planted(".app.lock"));
    expectFailure(await scripts.run("backup"), /cannot lock .*\.app\.lock/);
    expect(scripts.list()).toEqual([]);
  });

  test("a link in the lock's place does not make a file where it points", async () => {
    const nowhere = join(tempDir("nowhere"), "file");
    symlinkSync(nowhere, planted(".app.lock"));
    expectFailure(await scripts.run("backup"), /cannot lock .*\.app\.lock/);
    expect(lstatSync(nowhere, { throwIfNoEntry: false })).toBeUndefined();
  });

  test.each([
    ["a folder", () => mkdirSync(planted(".app.lock"))],
    ["a pipe", () => Bun.spawnSync(["mkfifo", planted(".app.lock")])],
    ["another file", () => writeFileSync(planted(".app.lock"), "this is no lock\n".repeat(200))],
  ])("%s in the lock's place is an error that names it", async (_, plant) => {
    plant();
    expectFailure(await scripts.run("backup"), /cannot lock .*\.app\.lock/);
  });

  test("a link in the place of the lock's note is replaced, not followed", async () => {
    symlinkSync(victim, planted(".app.lock.holder"));
    expectSuccess(await scripts.run("backup"));
    expect(lstatSync(planted(".app.lock.holder")).isFile()).toBe(true);
  });

  test("a folder in the place of the lock's note costs the note, not the backup", async () => {
    mkdirSync(planted(".app.lock.holder"));
    expectSuccess(await scripts.run("backup"));
  });

  test("a link in the place of the copy from S3 is replaced, not followed", async () => {
    expectSuccess(await scripts.run("backup", ["--upload"]));
    const [name = ""] = scripts.list();
    symlinkSync(victim, planted(`.${name}.partial`));
    expectSuccess(await scripts.run("restore", ["--from-s3"]));
    expect(scripts.everything().filter((one) => one.endsWith(".partial"))).toEqual([]);
  });

  test.each(["backup", "manifest"])("a pipe in the place of a %s is not waited for", async (which) => {
    expectSuccess(await scripts.run("backup"));
    const [name = ""] = scripts.list();
    const pipe = planted(which === "backup" ? name : `${name}.json`);
    renameSync(pipe, `${pipe}.away`);
    Bun.spawnSync(["mkfifo", pipe]);
    expectFailure(await scripts.run("restore", [planted(name)]), /is not a (plain )?file/);
  });

  test("BACKUP_DIR may be a link of ours: the lock is taken behind it", async () => {
    const link = join(scripts.dir, "link");
    symlinkSync(scripts.backups, link);
    scripts.configure({ ...settings(), BACKUP_DIR: link });
    expectSuccess(await scripts.run("backup"));
    expect(scripts.list()).toHaveLength(1);
  });
});
