/** Encrypted backups: what AGE_RECIPIENTS makes, who can decrypt it, and what works without the private key. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { formatManifest } from "../../scripts-src/archive/manifest.ts";
import { type AgeKey, newAgeKey } from "../support/expect/age.ts";
import { manifestFacts } from "../support/expect/backups.ts";
import { blocks } from "../support/expect/documentation.ts";
import { backupName, type Installation, installScripts } from "../support/machine/executables.ts";
import { expectFailure, expectSuccess } from "../support/expect/expect.ts";
import { readManifest } from "../support/machine/files.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { type S3Server, startS3Server } from "../support/servers/s3-server.ts";
import { s3Settings } from "../support/servers/storage.ts";
import { removeDir, tempDir } from "../support/machine/temp.ts";

let server: PostgresServer;
let s3: S3Server;
let bucket: string;
let scripts: Installation;
let dir: string;
let key: AgeKey;
let second: AgeKey;
let other: AgeKey;

/** Stands in a row, so in every backup. */
const secret = "the name of a customer";

beforeAll(async () => {
  [server, s3] = [await startPostgres(15), startS3Server()];
  bucket = await s3.newBucket();
  const filler = "CREATE TABLE filler AS SELECT md5(n::text) AS x FROM generate_series(1, 20000) n";
  await server.createDatabase("app", `CREATE TABLE note AS SELECT '${secret}'::text AS text; ${filler}`);
  dir = tempDir("keys");
  [key, second, other] = ["key", "second", "other"].map((name) => newAgeKey(join(dir, `${name}.txt`))) as [
    AgeKey,
    AgeKey,
    AgeKey,
  ];
  scripts = installScripts();
});
afterAll(async () => {
  removeDir(dir);
  await s3.stop();
  await server.stop();
});

const onlyPublic = () => ({
  ...server.settings("app"),
  ...s3Settings(s3, bucket, "x"),
  AGE_RECIPIENTS: `${key.recipient}, ${second.recipient}`,
});
/** Backs up the database, whose note says the secret. */
async function backUp(settings: Record<string, string> = {}, args: string[] = []): Promise<string> {
  await server.sql("app", `UPDATE note SET text = '${secret}'`);
  scripts.configure({ ...onlyPublic(), ...settings });
  const ran = await scripts.run("backup", args);
  expectSuccess(ran);
  return ran.stdout.trim();
}
const restoreWith = (identity: string | undefined, args: string[] = [], settings: Record<string, string> = {}) => {
  scripts.configure({ ...onlyPublic(), ...(identity !== undefined && { AGE_IDENTITY_FILE: identity }), ...settings });
  return scripts.run("restore", args);
};
const spoil = () => server.sql("app", "UPDATE note SET text = 'spoilt'");
const noted = () => server.sql("app", "SELECT text FROM note");
const shell = (command: string, env: Record<string, string> = {}) => {
  const { stdout, stderr, exitCode } = Bun.spawnSync(["/bin/bash", "-c", `set -o pipefail; ${command}`], {
    env: { PATH: process.env.PATH ?? "", ...env },
    stderr: "pipe",
  });
  expect(exitCode, stderr.toString()).toBe(0);
  return stdout.toString();
};

describe.each(["gzip", "zstd", "none"] as const)("BACKUP_COMPRESSION=%s", (BACKUP_COMPRESSION) => {
  let path: string;
  beforeAll(async () => {
    path = await backUp({ BACKUP_COMPRESSION });
  });

  test("the file is called .age, and nothing that lies in BACKUP_DIR shows what is in it", () => {
    expect(path).toMatch(/\.sql(\.gz|\.zst)?\.age$/);
    expect(backupName.test(path.split("/").at(-1) ?? "")).toBe(true);
    for (const file of readdirSync(scripts.backups)) {
      const content = readFileSync(join(scripts.backups, file));
      expect(content.includes(secret)).toBe(false);
      // rows of the last backup, to judge the next by
      if (file === ".app.counts.json") {
        expect(statSync(join(scripts.backups, file)).mode & 0o777).toBe(0o600);
        continue;
      }
      // the name of a table
      expect(content.includes("filler")).toBe(false);
    }
    expect(readManifest(path).rows).toBe(20_001);
    expect(readManifest(path).encryptedTo).toEqual([key.recipient, second.recipient]);
  });

  test("every recipient's key alone restores it: by restore, and by the stock program age", async () => {
    const unpack = { gzip: "gunzip -c", zstd: "zstd -dc", none: "cat" }[BACKUP_COMPRESSION];
    for (const { file } of [key, second]) {
      expect(shell(`age -d -i ${file} ${path} | ${unpack}`)).toContain(secret);
      await spoil();
      expectSuccess(await restoreWith(file, [path]));
      expect(await noted()).toBe(secret);
    }
  });

  test("restoreCommand restores it with stock tools once KEYFILE is named", async () => {
    await server.createDatabase("stock");
    const command = String(readManifest(path).restoreCommand);
    expect(command).toStartWith("age -d -i KEYFILE ");
    const here = command.replace("KEYFILE", key.file).replace(/-d app$/, "-d stock");
    shell(`cd ${scripts.backups} && ${here}`, server.env("stock"));
    expect(await server.sql("stock", "SELECT text FROM note")).toBe(secret);
    await server.dropDatabase("stock");
  });
});

describe("without the private key", () => {
  beforeAll(async () => {
    await backUp({}, ["--upload"]);
  });

  test("backup --upload, sync, retention and their dry runs work", async () => {
    const settings = { LOCAL_RETENTION_DAYS: "30", BACKUP_RETENTION_DAYS: "30" };
    const old = "app_2020-01-01_03-00-00.sql.gz.age";
    writeFileSync(join(scripts.backups, old), "{}");
    const facts = { ...manifestFacts, database: "app", bytes: 2, sha256: "0".repeat(64) };
    writeFileSync(join(scripts.backups, `${old}.json`), formatManifest(facts));
    const path = await backUp(settings, ["--upload"]);
    expect(existsSync(join(scripts.backups, old))).toBe(false);
    const names = () => [...s3.objects(bucket).keys()];
    expect(names()).toContain(`x/${path.split("/").at(-1)}.json`);
    expect(
      s3
        .objects(bucket)
        .get(`x/${path.split("/").at(-1)}`)
        ?.body.includes(secret),
    ).toBe(false);
    s3.objects(bucket).clear();
    expectSuccess(await scripts.run("sync"));
    expect(names()).toContain(`x/${path.split("/").at(-1)}.json`);
    expectSuccess(await scripts.run("backup", ["--upload", "--dry-run"]));
    expectSuccess(await scripts.run("sync", ["--dry-run"]));
  });

  test("restore fails before anything is touched, and names the setting and whose key it needs", async () => {
    await spoil();
    for (const args of [[], ["--from-s3"], ["--dry-run"], ["--all", "--replace", "--dry-run"]]) {
      const ran = await restoreWith(undefined, args);
      expect(ran.status).toBe(1);
      expect(ran.stdout + ran.stderr).toMatch(/is encrypted, and AGE_IDENTITY_FILE is not set/);
      expect(ran.stdout + ran.stderr).toContain(
        `hint: set AGE_IDENTITY_FILE to the file with the private key of ${key.recipient} or ${second.recipient}`,
      );
    }
    expect(await noted()).toBe("spoilt");
  });

  test.each<[string, () => string, RegExp]>([
    [
      "that is somebody else's",
      () => other.file,
      /cannot be decrypted with the key in AGE_IDENTITY_FILE[^]*private key of age1/,
    ],
    ["that is not there", () => join(dir, "none.txt"), /cannot read the private key in .*none.txt[^]*no such file/],
    ["that is a public one", () => keyFile("public.txt", key.recipient), /cannot be used: it holds a public key/],
    ["in a file that is empty", () => keyFile("empty.txt", "# public key: age1\n"), /cannot be used: it holds no key/],
    [
      "that was mistyped",
      () =>
        keyFile(
          "typo.txt",
          key.secret.replace(/.$/, (last) => (last === "Q" ? "P" : "Q")),
        ),
      /cannot be used: a key in it is mistyped or cut short/,
    ],
    ["of SSH", () => keyFile("ssh.txt", "-----BEGIN OPENSSH PRIVATE KEY-----\nabc"), /it holds a key of SSH or TLS/],
    ["with a passphrase", () => keyFile("pass.txt", "age-encryption.org/v1\n-> scrypt"), /protected by a passphrase/],
  ])("a key %s is refused by its right name", async (_, identity, cause) => {
    await spoil();
    const ran = await restoreWith(identity());
    expectFailure(ran, cause);
    expect(await noted()).toBe("spoilt");
  });
});

function keyFile(name: string, text: string): string {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
}

test("from S3 it is restored as well", async () => {
  await backUp({}, ["--upload"]);
  await spoil();
  expectSuccess(await restoreWith(second.file, ["--from-s3"]));
  expect(await noted()).toBe(secret);
});

test("a dump that the stock program age encrypted is restored, whatever it is called", async () => {
  await server.sql("app", `UPDATE note SET text = '${secret}'`);
  for (const name of ["elsewhere.sql.gz.age", "elsewhere.bin"]) {
    const file = join(dir, name);
    shell(
      `${join(server.clientDir, "pg_dump")} --clean --if-exists | gzip | age -r ${key.recipient} > ${file}`,
      server.env("app"),
    );
    await spoil();
    expectSuccess(await restoreWith(key.file, [file]));
    expect(await noted()).toBe(secret);
  }
  const armored = join(dir, "armored.age");
  shell(`echo 'SELECT 1;' | age -a -r ${key.recipient} > ${armored}`);
  expectFailure(await restoreWith(key.file, [armored]), /age's text form \(armor\)/);
});

test("after a change of keys the old backups are opened by the old key, and both by a file that holds both", async () => {
  const before = await backUp({ AGE_RECIPIENTS: other.recipient });
  const after = await backUp({ AGE_RECIPIENTS: key.recipient });
  expectFailure(await restoreWith(key.file, [before]), new RegExp(`private key of ${other.recipient}`));
  const both = keyFile("both.txt", [other, key].map(({ file }) => readFileSync(file, "utf8")).join(""));
  for (const path of [before, after]) {
    await spoil();
    expectSuccess(await restoreWith(both, [path]));
    expect(await noted()).toBe(secret);
  }
});

describe("a damaged encrypted backup is refused, and nothing is touched", () => {
  test.each<[string, (file: Buffer) => Buffer]>([
    ["cut short", (file) => file.subarray(0, -100)],
    ["changed in the middle", (file) => Buffer.from(file.map((byte, i) => (i === file.length >> 1 ? byte ^ 1 : byte)))],
    ["not encrypted at all", () => Buffer.from(Bun.gzipSync("DROP TABLE note;"))],
  ])("%s", async (_, damage) => {
    const path = await backUp();
    const good = readFileSync(path);
    const copy = join(dir, "copy.sql.gz.age");
    writeFileSync(copy, damage(good));
    await server.sql("app", "UPDATE note SET text = 'untouched'");
    expectFailure(await restoreWith(key.file, [copy]), /copy\.sql\.gz\.age is damaged: /);
    writeFileSync(path, damage(good));
    expectFailure(await restoreWith(key.file), /is damaged: it has \d+ bytes|is damaged: its /);
    expect(await noted()).toBe("untouched");
    writeFileSync(path, good);
  });
});

test.each([
  ["AGE-SECRET-KEY-1QQQQ", /it holds a private key; put the public key/],
  ["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8q", /must be public keys of age/],
  ["ssh-ed25519 AAAA", /must be public keys of age/],
])("AGE_RECIPIENTS=%s is refused before anything is attempted, and not repeated", async (AGE_RECIPIENTS, cause) => {
  scripts.configure({ ...onlyPublic(), AGE_RECIPIENTS });
  const before = scripts.everything();
  const ran = await scripts.run("backup");
  expect(ran.stderr).toMatch(cause);
  expect(ran.stderr).not.toContain(AGE_RECIPIENTS);
  expect(ran.status).toBe(2);
  expect(scripts.everything()).toEqual(before);
});

test("help --new-key makes a key file that we and age use, as documented; it works without settings", async () => {
  scripts.configure({ EMAIL_NOTIFY_MODE: "nonsense" });
  const commands = blocks
    .find(({ mark }) => mark === "a pair of keys")
    ?.text.replace("/opt/backup_scripts", scripts.dir);
  const shown = shell(`cd ${dir}\n${commands}`);
  expect(shown).toMatch(/without it nobody can decrypt the backups/);
  const [recipient = ""] = /(?<=# public key: )age1\w+/.exec(shown) ?? [];
  const file = join(dir, "backup-key.txt");
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(shell(`age-keygen -y ${file}`).trim()).toBe(recipient);
  expect((await scripts.run("help", ["--new-key"])).stdout).not.toContain(recipient);
  const path = await backUp({ AGE_RECIPIENTS: recipient });
  await spoil();
  expectSuccess(await restoreWith(file, [path]));
  expect(await noted()).toBe(secret);
});

describe("backup --dry-run", () => {
  const encryption = async (settings: Record<string, string>) => {
    scripts.configure({ ...onlyPublic(), ...settings });
    const ran = await scripts.run("backup", ["--dry-run"]);
    expectSuccess(ran);
    return /^. encryption: .*(?:\n {4}hint: .*)*/m.exec(ran.stdout)?.[0];
  };

  test("says to whom it encrypts, and nothing where it does not", async () => {
    const both = `to ${key.recipient}, ${second.recipient}`;
    expect(await encryption({})).toBe(`✓ encryption: ${both}`);
    // shared settings may name a file that only another machine has
    expect(await encryption({ AGE_IDENTITY_FILE: join(dir, "none.txt") })).toBe(`✓ encryption: ${both}`);
    expect(await encryption({ AGE_RECIPIENTS: "" })).toBeUndefined();
  });

  test("warns of a private key that lies on the machine that makes the backups", async () => {
    const said = await encryption({ AGE_IDENTITY_FILE: key.file });
    expect(said).toMatch(/^! .*the private key lies on this machine too, in .*key.txt\n {4}hint: .*move the key/);
  });

  test("warns of a private key that opens none of the coming backups", async () => {
    const said = await encryption({ AGE_IDENTITY_FILE: other.file });
    expect(said).toMatch(/^! .*decrypts none of these backups\n {4}hint: set AGE_IDENTITY_FILE/);
  });
});
