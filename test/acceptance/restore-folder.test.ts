/** A BACKUP_DIR that is full, unsafe or somebody else's: what a run does, and that the dry run foresees it. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "bun:test";
import { chmodSync, chownSync, copyFileSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { takeLock } from "../../scripts-src/base/lock.ts";
import { type Installation, installScripts, type Ran, startProgram } from "../support/machine/executables.ts";
import { expectFailure, expectSuccess } from "../support/expect/expect.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { describeWhere, testWhere } from "../support/machine/where.ts";
import { canMount, withDisk } from "../support/machine/small-disk.ts";

let server: PostgresServer;
let scripts: Installation;
/** A folder with a backup and its manifest, and their names. */
let source: string;
let names: string[];

beforeAll(async () => {
  server = await startPostgres(15);
  await server.createDatabase("app", "CREATE TABLE state AS SELECT 'good' AS word");
  const first = installScripts(server.settings("app"));
  expectSuccess(await first.run("backup"));
  source = first.backups;
  names = readdirSync(source).filter((name) => !name.startsWith("."));
});
afterAll(() => server.stop());
beforeEach(async () => {
  await server.sql("app", "UPDATE state SET word = 'lost'");
  scripts = installScripts(server.settings("app"));
  mkdirSync(scripts.backups, { mode: 0o700 });
});
afterEach(() => scripts.remove());

const fill = () => names.forEach((name) => copyFileSync(join(source, name), join(scripts.backups, name)));
const state = () => server.sql("app", "SELECT word FROM state");

describeWhere(canMount, "mounts")("a full disk", () => {
  test("without room for a byte: locked and restored all the same", () =>
    withDisk("size=1m", scripts.backups, async () => {
      fill();
      const filler = join(scripts.backups, "filler");
      Bun.spawnSync(["sh", "-c", 'cat /dev/zero > "$0"', filler], { stderr: "ignore" });
      const ran = await scripts.run("restore");
      expectSuccess(ran);
      expect([await state(), ran.stderr.includes("cannot lock")]).toEqual(["good", false]);
    }));

  test("without room for a lock file: a warning, and restored without it; a backup names the disk", () =>
    // the folder itself is one of them
    withDisk(`nr_inodes=${names.length + 1}`, scripts.backups, async () => {
      fill();
      const ran = await scripts.run("restore");
      expectSuccess(ran);
      expect(ran.stderr).toMatch(/WARN .*cannot lock .*: no space left on device; restoring without the lock/);
      expect(await state()).toBe("good");
      const backup = await scripts.run("backup");
      expectFailure(backup, /cannot lock .*: no space left on device/);
      expect(backup.stderr).toContain("hint: free some space");
    }));
});

/** The dry run's cross and the real run's error are of one mind. */
async function expectForeseen(run: (script: string, args: string[]) => Promise<Ran>, message: RegExp, hint: string) {
  for (const script of ["restore", "backup"]) {
    const dry = await run(script, ["--dry-run"]);
    expect([dry.status, dry.stdout]).toEqual([
      1,
      expect.stringMatching(new RegExp(`^✗ folder .*${message.source}`, "m")),
    ]);
    const real = await run(script, []);
    expectFailure(real, message);
    for (const text of [dry.stdout, real.stderr]) expect(text).toContain(`hint: ${hint}`);
  }
  expect(await state()).toBe("lost");
}

test("a folder that everybody may write to is a cross as well", async () => {
  fill();
  chmodSync(scripts.backups, 0o777);
  await expectForeseen((script, args) => scripts.run(script, args), /every user can write to/, "run: chmod o-w");
});

testWhere(process.geteuid?.() === 0 && Bun.which("setpriv") !== null, "root and setpriv")(
  "a lock file of another user is told with its owner",
  async () => {
    const nobody = 65_534;
    fill();
    writeFileSync(join(scripts.backups, ".app.lock"), "", { mode: 0o600 });
    for (const path of [scripts.backups, ...names.map((name) => join(scripts.backups, name))])
      chownSync(path, nobody, nobody);
    chmodSync(scripts.dir, 0o755);
    chownSync(join(scripts.dir, ".env.sh"), nobody, nobody);
    const asNobody = (script: string, args: string[]) =>
      startProgram(["setpriv", `--reuid=${nobody}`, "--clear-groups", join(scripts.dir, script), ...args]).done;
    const hint = `give this user what is in the folder: sudo chown -R ${nobody} ${scripts.backups}; or run as root`;
    await expectForeseen(asNobody, /cannot lock .*\.app\.lock: permission denied; it belongs to root/, hint);
  },
);

test("a run that holds the lock is told by the dry run of another", async () => {
  fill();
  const lock = takeLock(scripts.backups, "app", "backup");
  const dry = await scripts.run("restore", ["--dry-run"]);
  lock[Symbol.dispose]();
  expect([dry.status, dry.stdout]).toEqual([
    5,
    expect.stringMatching(/^✗ folder .*another run holds the lock: backup/m),
  ]);
  expect((await scripts.run("restore", ["--dry-run"])).status).toBe(0);
});

test("a dry run makes no lock file", async () => {
  fill();
  for (const script of ["restore", "backup"]) expectSuccess(await scripts.run(script, ["--dry-run"]));
  expect(scripts.everything()).toEqual(names.toSorted());
});
