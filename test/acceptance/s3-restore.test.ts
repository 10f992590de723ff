/** restore --from-s3: the newest committed backup or the named one, checked before the database is touched. */
import { afterAll, beforeAll, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { type Ceph, startCeph } from "../support/servers/ceph.ts";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { expectFailure, folderState } from "../support/expect/expect.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { describeWithCeph } from "../support/servers/s3-members.ts";
import { type S3Server, startS3Server } from "../support/servers/s3-server.ts";
import { open, s3Settings } from "../support/servers/storage.ts";
import { startTcpProxy } from "../support/servers/tcp-proxy.ts";

setDefaultTimeout(180_000);

let postgres: PostgresServer;
let s3: S3Server;
let bucket: string;
let scripts: Installation;
/** Names of two backups: of the first the note says 1, of the second 2. */
let names: string[];

beforeAll(async () => {
  postgres = await startPostgres(15);
  s3 = startS3Server();
  bucket = await s3.newBucket();
  const noise = "CREATE TABLE noise AS SELECT md5(n::text) AS x FROM generate_series(1, 500000) n";
  await postgres.createDatabase("app", `CREATE TABLE note AS SELECT 1 AS text; ${noise}`);
  scripts = installScripts({
    ...postgres.settings("app"),
    ...s3Settings(s3, bucket, "x"),
    BACKUP_KEEP_LOCAL: "false",
  });
  names = [await backUp()];
  await note(2);
  names.push(await backUp());
});
afterAll(async () => {
  await postgres.stop();
  await s3.stop();
});
beforeEach(() => note(0));

async function backUp(): Promise<string> {
  const { status, stdout, stderr } = await scripts.run("backup", ["--upload"]);
  expect(status, stderr).toBe(0);
  return stdout.trim().split("/").at(-1) ?? "";
}
const note = (value: number) => postgres.sql("app", `UPDATE note SET text = ${value}`);
const noted = () => postgres.sql("app", "SELECT text FROM note");
const restore = (args: string[] = [], env: Record<string, string> = {}) =>
  scripts.run("restore", ["--from-s3", ...args], { env });
const object = (name: string) => s3.objects(bucket).get(`x/${name}`)!;
/** Does something while an object is gone or another, and puts it back. */
async function changed(
  name: string,
  change: (objects: Map<string, unknown>, key: string) => void,
  then: () => Promise<void>,
) {
  const objects = s3.objects(bucket);
  const before = new Map(objects);
  change(objects, `x/${name}`);
  await then();
  objects.clear();
  for (const [key, value] of before) objects.set(key, value);
}
const expectNoCopy = () => expect(folderState(scripts.backups)).toEqual({});

test("takes the newest one, and leaves no copy of it on the disk", async () => {
  const { status, stderr } = await restore();
  expect(status, stderr).toBe(0);
  expect(await noted()).toBe("2");
  expect(stderr).toContain(`fetching s3://${bucket}/x/${names[1]}`);
  expectNoCopy();
});

test("takes the one that is named", async () => {
  const { status, stderr } = await restore([names[0]!]);
  expect(status, stderr).toBe(0);
  expect(await noted()).toBe("1");
});

test("a location with .. as a folder, which no request reaches as it stands, is refused by its name", async () => {
  const location = `s3://${bucket}/y/../x/${names[0]!}`;
  expectFailure(await restore([location]), new RegExp(`${location}: a path in S3 has no . or .. as a folder`), 2);
  expectNoCopy();
});

test.each([
  ["its location, as backup prints it", (name: string) => `s3://${bucket}/x/${name}`],
  ["its name", (name: string) => name],
])("what has no manifest is passed over, and restored with a warning when it is named: by %s", async (_how, word) => {
  await changed(
    `${names[1]}.json`,
    (objects, key) => objects.delete(key),
    async () => {
      const passedOver = await restore();
      expect(passedOver.status).toBe(0);
      expect(passedOver.stderr).toContain(`WARN restore: passed over ${names[1]}: it has no manifest`);
      expect(await noted()).toBe("1");
      const { status, stderr } = await restore([word(names[1]!)]);
      expect(status, stderr).toBe(0);
      expect(stderr).toContain(
        `WARN restore: ${names[1]} has no manifest: its checksum and its origin cannot be checked`,
      );
      expect(await noted()).toBe("2");
      expectNoCopy();
    },
  );
});

test("what lies in S3 is refused without --from-s3, and another bucket than S3_BUCKET is not looked into", async () => {
  const place = `s3://${bucket}/x/${names[1]}`;
  expectFailure(await scripts.run("restore", [place]), new RegExp(`${place} lies in S3: add --from-s3`), 2);
  expectFailure(
    await restore([`s3://other/x/${names[1]}`]),
    new RegExp(`s3://other/.* lies in another bucket than S3_BUCKET \\(${bucket}\\)`),
    4,
  );
});

test.each([
  ["a byte is not what it was", (body: Buffer) => Buffer.from(body).fill(body[5_000_000]! ^ 1, 5_000_000, 5_000_001)],
  ["the end is missing", (body: Buffer) => body.subarray(0, -1_000)],
])("where %s, the database is not touched and no copy stays", async (_case, damage) => {
  const whole = object(names[1]!);
  await changed(
    names[1]!,
    (objects, key) => objects.set(key, { ...whole, body: damage(whole.body) }),
    async () => {
      const ran = await restore();
      expect([ran.status, ran.stdout]).toEqual([1, ""]);
      expect(ran.stderr).toContain(`ERROR restore: s3://${bucket}/x/${names[1]}`);
      expect(ran.stderr).toMatch(/damaged|manifest says/);
      expect(ran.stderr).not.toContain(".partial");
      expect(await noted()).toBe("0");
      expectNoCopy();
    },
  );
});

test("S13: an object of another size than its manifest says is refused before it is fetched", async () => {
  const whole = object(names[1]!);
  await changed(
    names[1]!,
    (objects, key) => objects.set(key, { ...whole, body: Buffer.alloc(100_000_000) }),
    async () => {
      s3.asked.splice(0);
      const size = object(names[1]!).body.length;
      expectFailure(
        await restore(),
        new RegExp(`${names[1]} is damaged: it has ${size} bytes, its manifest says ${whole.body.length}`),
      );
      const fetched = s3.asked.filter(({ operation }) => operation === "GetObject").map(({ key }) => key);
      expect(fetched).toContain(`x/${names[1]}.json`);
      expect(fetched).not.toContain(`x/${names[1]}`);
    },
  );
});

test("S13: an object that is larger than the server listed it is not read", async () => {
  const { storage } = await open(s3, bucket, { S3_PATH: "x" });
  const [name = ""] = names;
  const { length } = object(name).body;
  expect((await Array.fromAsync(storage.get(name, length))).length).toBeGreaterThan(0);
  const seen: Uint8Array[] = [];
  const read = async () => {
    for await (const block of storage.get(name, length - 1)) seen.push(block);
  };
  await expect(read()).rejects.toThrow(`the server lists ${length - 1} bytes, but would send ${length}`);
  expect(seen).toEqual([]);
});

test("a connection that breaks is taken up where it broke", async () => {
  const proxy = await startTcpProxy(Number(new URL(s3.url).port));
  proxy.cut = { direction: "down", after: 3_000_000, times: 2 };
  const { status, stderr } = await restore([], { S3_URL: proxy.url });
  await proxy.stop();
  expect(status, stderr).toBe(0);
  expect(stderr.match(/WARN .* broke off after \d+ bytes, going on from there/g)).toHaveLength(2);
  expect(await noted()).toBe("2");
});

test("nothing there for this database: exit status 4, and where it looked", async () => {
  expectFailure(await restore([], { S3_PATH: "elsewhere" }), /no backups of app are available in s3:.*elsewhere/, 4);
  expectFailure(await restore(["app_2020-01-01_00-00-00.sql.gz"]), /no backup app_2020-01-01_00-00-00.sql.gz in/, 4);
});

test("credentials that are wrong: says so before anything is touched", async () => {
  expectFailure(
    await restore([], { S3_SECRET_KEY: "not the right one" }),
    /the secret key does not belong to the access key/,
  );
  expect(await noted()).toBe("0");
});

describeWithCeph("at a real Ceph", () => {
  let ceph: Ceph;
  beforeAll(async () => {
    ceph = await startCeph();
  });
  afterAll(() => ceph?.stop());

  test("there and back", async () => {
    await note(7);
    const env = { ...s3Settings(ceph, await ceph.newBucket(), "deep/er") };
    const upload = await scripts.run("backup", ["--upload"], { env });
    expect(upload.status, upload.stderr).toBe(0);
    await note(8);
    const { status, stderr } = await restore([], env);
    expect(status, stderr).toBe(0);
    expect(await noted()).toBe("7");
    expectNoCopy();
  });
});
