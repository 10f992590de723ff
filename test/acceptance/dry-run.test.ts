/** `--dry-run`: everything is looked at, told in a checklist, and nothing is changed. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseBackupName } from "../../scripts-src/archive/name.ts";
import { probeName } from "../../scripts-src/storage/probe.ts";
import { type Installation, installScripts, type Ran } from "../support/machine/executables.ts";
import { startHttpServer } from "../support/servers/http.ts";
import { freePort, type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { type S3Server, startS3Server, storeObject } from "../support/servers/s3-server.ts";
import { mailSettings, startMailServer } from "../support/servers/smtp.ts";
import { s3Settings } from "../support/servers/storage.ts";
import { tempDir } from "../support/machine/temp.ts";

let postgres: PostgresServer;
let s3: S3Server;
let place: Installation;
let settings: Record<string, string>;
let bucket: string;

beforeAll(async () => {
  postgres = await startPostgres(15);
  s3 = startS3Server();
  await postgres.createDatabase("app", "CREATE TABLE item AS SELECT n, md5(n::text) FROM generate_series(1, 1000) n");
});
afterAll(() => Promise.all([postgres.stop(), s3.stop()]));
beforeEach(async () => {
  bucket = await s3.newBucket();
  settings = { ...postgres.settings("app"), ...s3Settings(s3, bucket, "nightly") };
  place = installScripts(settings);
});
afterEach(() => {
  s3.behaviour.denied = [];
  place.remove();
});

const configure = (more: Record<string, string>) => place.configure({ ...settings, ...more });
const dry = (script: string, ...args: string[]) => place.run(script, [...args, "--dry-run"]);
/** Every file below the folder with what is in it, but for the executables. */
const everything = (dir: string) =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !/\/(backup|restore|sync|help|schedule)$/.test(path))
    .map((path) => (path.endsWith("backups") ? path : `${path} ${digest(path)}`))
    .toSorted();
const digest = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");
/** Signs and subjects of the list. */
const listOf = ({ stdout }: Ran) =>
  [...stdout.matchAll(/^([✓✗–!]) ([\w ]+?)(?= [/s]|:)/gm)].map(([, sign, what]) => [sign, what]);

test("a good installation gets ticks, but for a bucket that anybody with the key can empty; and nothing is changed", async () => {
  const mail = await startMailServer({ security: "none", login: { user: "mailer", password: "mail-secret" } });
  const web = startHttpServer();
  configure({ ...mail.settings, NOTIFY_WEBHOOK_URL: `${web.url}/hook/1`, HEALTHCHECK_URL: `${web.url}/ping/2` });
  const before = everything(place.dir);
  const ran = await dry("backup", "--upload");
  expect({ status: ran.status, list: listOf(ran) }).toEqual({
    status: 0,
    list: [
      ["✓", "database postgresql"],
      ["✓", "privileges"],
      ["✓", "folder"],
      ["✓", "storage"],
      ["!", "protection in S3"],
      ["✓", "mail"],
      ["✓", "NOTIFY_WEBHOOK_URL"],
      ["✓", "HEALTHCHECK_URL"],
    ],
  });
  expect(ran.stdout).toMatch(/^✓ database postgresql:.*: PostgreSQL 15\.\d+, pg_dump \d+\.\d+, about .* of data$/m);
  expect(ran.stdout).toContain(`✓ folder ${place.backups}: can be created in ${place.dir}, `);
  expect(ran.stdout).toContain(`✓ storage s3://${bucket}/nightly: can be listed, written, read and deleted`);
  expect(everything(place.dir)).toEqual(before);
  expect([...s3.objects(bucket).keys()]).toEqual([]);
  expect(mail.mails).toEqual([]);
  expect(web.asked.map(({ method, path }) => `${method} ${path}`)).toEqual(["OPTIONS /", "OPTIONS /"]);
  await Promise.all([mail.stop(), web.stop()]);
});

test("who hears of failures: said when it is nobody", async () => {
  const { status, stdout } = await dry("backup");
  expect(status).toBe(0);
  expect(stdout).toContain("– notices: none");
});

describe("the database", () => {
  test("no login: a cross with the setting to change, and the other checks are made all the same", async () => {
    configure({ DB_PASSWORD: "not-the-password" });
    const ran = await dry("backup", "--upload");
    expect({ status: ran.status, list: listOf(ran) }).toMatchObject({
      status: 1,
      list: [
        ["✗", "database postgresql"],
        ["–", "privileges"],
        ["✓", "folder"],
        ["✓", "storage"],
        ["!", "protection in S3"],
        ["–", "notices"],
      ],
    });
    expect(ran.stdout).toMatch(/^ {4}hint: check user and password: DB_USER and DB_PASSWORD/m);
    expect(ran.stderr).toContain("1 of 6 checks failed");
  });

  test("no client programs: exit status 3, that of the first cross", async () => {
    configure({ DB_CLIENT_DIR: tempDir("empty"), S3_SECRET_KEY: "wrong-secret-key" });
    const { status, stdout } = await dry("backup", "--upload");
    expect(status).toBe(3);
    expect(stdout).toContain("✗ database");
    expect(stdout).toContain("✗ storage");
  });

  test("everything that the user may not read is listed, and what is granted is not", async () => {
    await postgres.createDatabase(
      "guarded",
      `CREATE ROLE reader LOGIN PASSWORD 'reader-pass';
       CREATE TABLE open_table (a int); GRANT SELECT ON open_table TO reader;
       CREATE TABLE closed_table (a serial);
       CREATE SCHEMA hidden; CREATE TABLE hidden.inner_table (a int); GRANT SELECT ON hidden.inner_table TO reader;
       CREATE TABLE rows_table (a int); GRANT SELECT ON rows_table TO reader;
       ALTER TABLE rows_table ENABLE ROW LEVEL SECURITY;
       SELECT lo_create(4711); SELECT lo_create(4712); GRANT SELECT ON LARGE OBJECT 4712 TO reader;`,
    );
    configure(postgres.settings("guarded", { user: "reader", password: "reader-pass" }));
    const refused = await dry("backup");
    expect(refused.status).toBe(1);
    const [, listed = ""] = /^✗ privileges: the database user may not read (.*)$/m.exec(refused.stdout) ?? [];
    expect(listed.split(", ").toSorted()).toEqual([
      "large object 4711",
      "rows of public.rows_table (row security)",
      "sequence public.closed_table_a_seq",
      "table hidden.inner_table",
      "table public.closed_table",
    ]);
    expect(refused.stdout).toContain("hint: GRANT pg_read_all_data TO the user");
    // it was right
    expect((await place.run("backup")).status).toBe(1);

    await postgres.sql(
      "guarded",
      "GRANT pg_read_all_data TO reader; ALTER ROLE reader BYPASSRLS; SELECT lo_unlink(4711)",
    );
    const allowed = await dry("backup");
    expect(allowed.stdout).toContain("✓ privileges: the user can read everything a backup needs");
    expect(allowed.status).toBe(0);
    expect((await place.run("backup")).status).toBe(0);
  });

  test("what DB_DUMP_OPTIONS leave out need not be readable", async () => {
    await postgres.createDatabase(
      "partly",
      "CREATE ROLE partly LOGIN PASSWORD 'partly-pass'; CREATE TABLE secret (a int)",
    );
    configure({
      ...postgres.settings("partly", { user: "partly", password: "partly-pass" }),
      DB_DUMP_OPTIONS: "--exclude-table=secret",
    });
    const { status, stderr } = await dry("backup");
    expect(status).toBe(0);
    expect(stderr).toContain("may not read table public.secret: DB_DUMP_OPTIONS must leave that out");
    expect((await place.run("backup")).status).toBe(0);
  });
});

describe("the folder", () => {
  test("a path that leads through a file", async () => {
    writeFileSync(join(place.dir, "file"), "");
    configure({ BACKUP_DIR: join(place.dir, "file/backups") });
    const { status, stdout } = await dry("backup");
    expect(status).toBe(1);
    expect(stdout).toMatch(/^✗ folder .*: a part of the path is a file, not a folder$/m);
    expect(stdout).toContain("hint: set BACKUP_DIR to a folder that can be written to");
  });

  test("too little room for a backup of the last one's size", async () => {
    mkdirSync(place.backups);
    const last = join(place.backups, "app_2026-01-31_03-00-00.sql.gz");
    writeFileSync(last, "");
    truncateSync(last, 2 ** 43);
    writeFileSync(`${last}.json`, "{}");
    const { status, stdout } = await dry("backup");
    expect(status).toBe(1);
    expect(stdout).toMatch(
      /^✗ folder .* free, but the next backup takes about 8\.8 TiB \(estimated from the last one\)$/m,
    );
    expect(stdout).toContain("set BACKUP_DIR to a larger disk");
  });
});

describe("the storage", () => {
  test("a wrong key is a cross that names the setting", async () => {
    configure({ S3_SECRET_KEY: "another-secret-key" });
    const { status, stdout } = await dry("backup", "--upload");
    expect(status).toBe(1);
    expect(stdout).toMatch(/^✗ storage s3:.*the secret key does not belong to the access key/m);
    expect(stdout).toContain("hint: check S3_SECRET_KEY");
  });

  test("a key that may not write is a cross, one that may only write a tick that says what it lacks", async () => {
    s3.behaviour.denied = ["PutObject"];
    expect((await dry("backup", "--upload")).stdout).toMatch(/^✗ storage .*no permission for it \(s3:PutObject\)/m);
    s3.behaviour.denied = ["GetObject", "HeadObject", "DeleteObject"];
    const { status, stdout } = await dry("backup", "--upload");
    expect(status).toBe(0);
    expect(stdout).toContain("✓ storage");
    expect(stdout).toContain("not be read (s3:GetObject)");
    expect(stdout).toContain("not be deleted (s3:DeleteObject)");
    // what it leaves behind is taken for a backup by nobody
    expect([...s3.objects(bucket).keys()]).toEqual([`nightly/${probeName}`]);
    expect(parseBackupName(probeName)).toBeUndefined();
  });
});

test("mail and addresses that do not work are crosses with the setting to change", async () => {
  const mail = await startMailServer({ security: "none", login: { user: "mailer", password: "mail-secret" } });
  const dead = freePort();
  configure({
    ...mailSettings(mail.port, { security: "none", login: { user: "mailer", password: "wrong-mail-secret" } }),
    NOTIFY_WEBHOOK_URL: `http://127.0.0.1:${dead}/hook`,
    HEALTHCHECK_URL: `http://127.0.0.1:${dead}/check`,
  });
  const { status, stdout, stderr } = await dry("backup");
  expect(status).toBe(1);
  expect(stdout).toMatch(/^✗ mail: the mail server .*\n {4}hint: .*SMTP_PASSWORD/m);
  expect(stdout).toMatch(/^✗ NOTIFY_WEBHOOK_URL: .*connection refused\n {4}hint: .*NOTIFY_WEBHOOK_URL/m);
  expect(stdout).toMatch(/^✗ HEALTHCHECK_URL: .*connection refused/m);
  expect(stderr).toContain("3 of 6 checks failed");
  await mail.stop();
});

describe("restore", () => {
  test("reads the backup to its end and compares it with the database; BACKUP_DIR stays as it is", async () => {
    expect((await place.run("backup", ["--upload"])).status).toBe(0);
    const before = everything(place.dir);
    for (const args of [[], ["--from-s3"]]) {
      const ran = await dry("restore", ...args);
      expect(ran.stdout).toMatch(
        /^✓ backup: app_.* is complete and intact; restore of .* takes the place of the present one \(1 table, /m,
      );
      expect(ran.status).toBe(0);
    }
    expect(everything(place.dir)).toEqual(before);
  });

  test("without a backup: a cross and exit status 4; the folder is not made", async () => {
    const { status, stdout } = await dry("restore");
    expect(status).toBe(4);
    expect(stdout).toMatch(/^✗ backup: no backups of app are available/m);
    expect(existsSync(place.backups)).toBe(false);
  });

  test("as a user who may only read: a cross that says whom to be, before anything is touched", async () => {
    expect((await place.run("backup")).status).toBe(0);
    await postgres.sql(
      "app",
      "CREATE ROLE onlooker LOGIN PASSWORD 'onlooker-pass'; GRANT pg_read_all_data TO onlooker",
    );
    configure({ DB_USER: "onlooker", DB_PASSWORD: "onlooker-pass" });
    const { status, stdout } = await dry("restore");
    expect(status).toBe(1);
    expect(stdout).toMatch(/^✗ backup: cannot restore .* nothing was changed:$/m);
    expect(stdout).toMatch(/^ {4}onlooker cannot create databases: ALTER ROLE onlooker CREATEDB$/m);
    expect(stdout).toMatch(/^ {4}onlooker does not own table public\.item: restore as its owner/m);
    const real = await place.run("restore");
    expect(real.status).toBe(1);
    expect(real.stderr).toContain("onlooker does not own table public.item");
    await postgres.createDatabase("app_owned", "", "OWNER onlooker");
    configure({ DB_NAME: "app_owned", DB_USER: "onlooker", DB_PASSWORD: "onlooker-pass" });
    const [name = ""] = place.list();
    expect((await place.run("restore", ["--no-owner", name])).status).toBe(0);
  });

  test("a damaged backup, and a database that cannot be reached", async () => {
    expect((await place.run("backup")).status).toBe(0);
    const [name = ""] = place.list();
    configure({ DB_PASSWORD: "not-the-password" });
    expect((await dry("restore")).stdout).toMatch(
      /^✓ backup: .* is complete and intact; not compared with the database$/m,
    );
    writeFileSync(join(place.backups, name), "x".repeat(3), { flag: "r+" });
    const { status, stdout } = await dry("restore");
    expect(status).toBe(1);
    expect(stdout).toMatch(/^✗ backup: .*damaged/m);
  });
});

test("schedule checks what each of its runs needs, and says when they are", async () => {
  configure({ BACKUP_INTERVAL: "0 3 * * *", BACKUP_TIMEZONE: "Europe/Berlin" });
  const ran = await dry("schedule");
  expect(ran.stdout).toMatch(/^✓ BACKUP_INTERVAL 0 3 \* \* \*: next runs .* \(.* 03:00:00 Europe\/Berlin\), /m);
  expect(ran.stdout.match(/^[✓✗–!]/gm)).toEqual(["✓", "✓", "✓", "✓", "✓", "!", "–"]);
  expect(ran.status).toBe(0);
  expect(existsSync(place.backups)).toBe(false);
});

describe("sync", () => {
  test("checks folder and storage, and says what it would do", async () => {
    expect((await place.run("backup")).status).toBe(0);
    const before = everything(place.dir);
    const { status, stdout } = await dry("sync");
    expect(status).toBe(0);
    expect(stdout).toContain(`✓ folder ${place.backups}: 1 backup\n`);
    expect(stdout).toContain("can be listed, written, read and deleted");
    expect(stdout).toMatch(/^✓ plan .*: 2 to upload, 0 already there, 0 to delete in s3:.*\n {4}upload app_/m);
    expect(everything(place.dir)).toEqual(before);
    expect([...s3.objects(bucket).keys()]).toEqual([]);
  });

  test("a folder that is gone is a cross, also when it would empty the bucket", async () => {
    configure({ REMOTE_S3_DELETE: "true" });
    const { status, stdout } = await dry("sync");
    expect(status).toBe(4);
    expect(stdout).toMatch(/^✗ folder .*there is no backup folder/m);
    mkdirSync(place.backups);
    storeObject(s3.objects(bucket), "nightly/app_2026-01-31_03-00-00.sql.gz", Buffer.from("x"));
    const refused = await dry("sync");
    expect(refused.status).toBe(1);
    expect(refused.stdout).toMatch(/^✗ plan .*there is no backup/m);
  });
});
