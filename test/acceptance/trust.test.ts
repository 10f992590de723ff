/** What other users can change is refused or ignored, and what this user may not read is not called damaged. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  lchownSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { selfSigned } from "../support/servers/certificates.ts";
import { clientsWith } from "../support/servers/clients.ts";
import { basename, join } from "node:path";
import { writeBackup } from "../support/expect/backups.ts";
import { type Installation, installScripts, type Ran, startProgram } from "../support/machine/executables.ts";
import { expectFailure, expectSuccess } from "../support/expect/expect.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { type S3Server, startS3Server } from "../support/servers/s3-server.ts";
import { settingsFile } from "../support/machine/settings-file.ts";
import { s3Settings } from "../support/servers/storage.ts";
import { tempDir } from "../support/machine/temp.ts";
import { describeWhere } from "../support/machine/where.ts";

const [user, eve] = [65_534, 65_533];
let server: PostgresServer;
let s3: S3Server;
let scripts: Installation;
let settings: Record<string, string>;

beforeAll(async () => {
  server = await startPostgres(15);
  await server.createDatabase("app", "CREATE TABLE t AS SELECT 'first' AS a");
  s3 = startS3Server();
});
beforeEach(async () => {
  settings = { ...server.settings("app"), ...s3Settings(s3, await s3.newBucket()) };
  scripts = installScripts(settings);
  chmodSync(scripts.dir, 0o755);
});
afterEach(() => scripts.remove());
afterAll(async () => {
  await s3.stop();
  await server.stop();
});

/** Runs a script as a user without any rights, with settings from the environment. */
const asUser = (script: string, args: string[] = [], more: Record<string, string> = {}): Promise<Ran> =>
  startProgram(
    [
      "setpriv",
      `--reuid=${user}`,
      `--regid=${user}`,
      "--clear-groups",
      join(scripts.dir, script),
      "--env-file",
      "/dev/null",
      ...args,
    ],
    { env: { ...settings, BACKUP_DIR: scripts.backups, ...more } },
  ).done;

describeWhere(process.getuid?.() === 0 && Bun.which("setpriv") !== null, "root and setpriv")("other users", () => {
  /** `path` below a folder that belongs to another user, or that every user can write to. */
  const unsafe: [string, (folder: string) => void][] = [
    ["belongs to another user", (folder) => chownSync(folder, eve, eve)],
    ["lies in a folder of another user", (folder) => chownSync(join(folder, ".."), eve, eve)],
    ["lies in a folder that every user can write to", (folder) => chmodSync(join(folder, ".."), 0o777)],
  ];

  test.each(unsafe)("S6: a BACKUP_DIR that %s is refused by every script, and by its dry run", async (_, spoil) => {
    const folder = join(tempDir("shared"), "srv/backups");
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeBackup(folder, "app", "2026-01-01");
    spoil(folder);
    scripts.configure({ ...settings, BACKUP_DIR: folder });
    for (const script of ["backup", "restore", "sync"]) {
      expectFailure(await scripts.run(script), /the backup folder .* is not safe: .* plant a backup/);
      const dry = await scripts.run(script, ["--dry-run"]);
      expect([dry.status, dry.stdout]).toEqual([
        1,
        expect.stringMatching(/✗ folder .* is not safe[^]*hint: .*ch(own|mod) /),
      ]);
    }
  });

  test("S6: a backup that another user planted in BACKUP_DIR is ignored and named; sync refuses it, S3 keeps its copy", async () => {
    expectSuccess(await scripts.run("backup", ["--upload"]));
    const [good = ""] = scripts.list();
    const planted = good.replace(/\d{4}/, "2035");
    linkSync(join(scripts.backups, good), join(scripts.backups, planted));
    // a file of its own, so that only this one has another owner
    writeFileSync(join(scripts.backups, `${planted}.json`), "{}");
    chownSync(join(scripts.backups, `${planted}.json`), eve, eve);
    const restored = await scripts.run("restore");
    expectSuccess(restored);
    expect(restored.stderr).toContain(`/backups/${good}`);
    expect(restored.stderr).toMatch(new RegExp(`WARN restore: ignored, since .*${planted}.json belongs to user 65533`));
    scripts.configure({ ...settings, REMOTE_S3_DELETE: "true" });
    const sync = await scripts.run("sync");
    expectFailure(sync, new RegExp(`1 backup left out, nothing is deleted:\n.*${planted}.*belongs to user 65533`));
    expect(sync.stderr).not.toContain("damaged");
  });

  test("S6: a file of another user that is named is restored with a warning", async () => {
    expectSuccess(await scripts.run("backup"));
    const [name = ""] = scripts.list();
    const file = join(tempDir("home"), name);
    renameSync(join(scripts.backups, name), file);
    chownSync(file, eve, eve);
    const ran = await scripts.run("restore", [file]);
    expectSuccess(ran);
    expect(ran.stderr).toMatch(/WARN restore: .* is restored because it was named, though .* belongs to user 65533/);
  });

  test("S6: a .env.sh that is a foreign link, or lies in a folder that others can write to, is refused", async () => {
    const elsewhere = tempDir("planted");
    chmodSync(elsewhere, 0o755);
    writeFileSync(join(elsewhere, "settings"), settingsFile(settings), { mode: 0o600 });
    const env = join(scripts.dir, "link");
    symlinkSync(join(elsewhere, "settings"), env);
    expectSuccess(await scripts.run("backup", ["--env-file", env]));
    lchownSync(env, eve, eve);
    expectFailure(
      await scripts.run("backup", ["--env-file", env]),
      /other users can change this file: the symbolic link/,
      2,
    );
    chmodSync(elsewhere, 0o777);
    const direct = await scripts.run("backup", ["--env-file", join(elsewhere, "settings")]);
    expectFailure(direct, /other users can change this file: every user can write to/, 2);
  });

  test("S6: secrets as Docker and Kubernetes mount them are read; one that others can change is not", async () => {
    const { DB_PASSWORD = "", ...rest } = settings;
    const mounted = tempDir("secret");
    mkdirSync(join(mounted, "..2026_01_01"), { mode: 0o755 });
    writeFileSync(join(mounted, "..2026_01_01/password"), DB_PASSWORD, { mode: 0o444 });
    symlinkSync("..2026_01_01", join(mounted, "..data"));
    symlinkSync("..data/password", join(mounted, "password"));
    chmodSync(mounted, 0o1777);
    scripts.configure({ ...rest, DB_PASSWORD_FILE: join(mounted, "password") });
    expectSuccess(await scripts.run("backup"));
    chmodSync(join(mounted, "..2026_01_01/password"), 0o666);
    expectFailure(await scripts.run("backup"), /DB_PASSWORD_FILE .*other users can change the file: every user/, 2);
  });

  test("S6: a CA_FILE that others can change is refused: it decides whom we trust", async () => {
    const file = join(tempDir("authority"), "ca.pem");
    writeFileSync(file, selfSigned().cert);
    scripts.configure({ ...settings, CA_FILE: file });
    expectSuccess(await scripts.run("backup"));
    chmodSync(file, 0o646);
    expectFailure(await scripts.run("backup"), /CA_FILE .* is not safe: every user can write to/, 2);
  });

  test("S6: a DB_CLIENT_DIR that others can change is said once, for its programs run as this user", async () => {
    const folder = clientsWith(server.clientDir, {});
    scripts.configure({ ...settings, DB_CLIENT_DIR: folder });
    expect((await scripts.run("backup")).stderr).not.toContain("DB_CLIENT_DIR");
    chmodSync(folder, 0o777);
    const ran = await scripts.run("backup");
    expectSuccess(ran);
    expect(ran.stderr.match(/WARN backup: the programs in DB_CLIENT_DIR .* every user can write to/g)).toHaveLength(1);
  });

  test("S6: no file of ours is written through a link that another user planted", async () => {
    const [folder, victim] = [tempDir("textfile"), join(tempDir("victim"), "file")];
    writeFileSync(victim, "precious");
    chmodSync(folder, 0o777);
    mkdirSync(scripts.backups, { mode: 0o700 });
    const planted = [
      join(folder, "m.prom"),
      join(folder, ".m.prom.partial"),
      join(scripts.backups, ".schedule.reported"),
    ];
    for (const path of planted) symlinkSync(victim, path);
    scripts.configure({ ...settings, METRICS_FILE: join(folder, "m.prom") });
    expectSuccess(await scripts.run("backup"));
    expectFailure(await scripts.run("schedule"), /BACKUP_INTERVAL/, 2);
    expect(readFileSync(victim, "utf8")).toBe("precious");
    expect(readFileSync(join(folder, "m.prom"), "utf8")).toContain("last_run_success");
  });

  test("S6: a group of this user may write to the folder (fsGroup)", async () => {
    mkdirSync(scripts.backups);
    chownSync(scripts.backups, 0, user);
    chmodSync(scripts.backups, 0o2770);
    expectSuccess(await asUser("backup"));
    expectSuccess(await asUser("restore"));
  });

  test("I6: what root once made is not damaged: the permission is named, with the chown that helps", async () => {
    mkdirSync(scripts.backups, { mode: 0o700 });
    chownSync(scripts.backups, user, user);
    const [mine] = writeBackup(scripts.backups, "app", "2026-01-01");
    for (const name of [mine, `${mine}.json`]) chownSync(join(scripts.backups, name), user, user);
    const [roots] = writeBackup(scripts.backups, "app", "2026-01-02");
    for (const name of [roots, `${roots}.json`]) chmodSync(join(scripts.backups, name), 0o600);
    const hint = `sudo chown -R ${user} ${scripts.backups}`;
    const sync = await asUser("sync");
    expectFailure(sync, new RegExp(`cannot read .*${roots}.json: permission denied; it belongs to root`));
    expect(sync.stderr).toContain(hint);
    expect(sync.stderr).toContain(`uploaded s3://`);
    const dry = await asUser("sync", ["--dry-run"]);
    const restore = await asUser("restore", ["--dry-run"]);
    for (const { stdout } of [dry, restore]) {
      expect(stdout).toContain("permission denied; it belongs to root");
      expect(stdout).toContain(hint);
    }
    for (const { stdout, stderr } of [sync, dry, restore]) expect(stdout + stderr).not.toMatch(/damaged/);
    const named = await asUser("restore", ["--dry-run", basename(roots)]);
    expect(named.stdout).toContain("permission denied; it belongs to root");
  });
});
