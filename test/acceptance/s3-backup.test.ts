/** backup --upload: the same bytes to the disk and to S3 in one pass, or to S3 alone; nothing in S3 after a failure. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ListObjectsV2Command } from "@aws-sdk/client-s3";
import { type Ceph, startCeph } from "../support/servers/ceph.ts";
import { clientDir, clientsWith, pausingDump } from "../support/servers/clients.ts";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { expectFailure, expectSuccess, folderState } from "../support/expect/expect.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { describeWithCeph, type Member, members } from "../support/servers/s3-members.ts";
import { type S3Server, startS3Server } from "../support/servers/s3-server.ts";
import { fetchAll, open, plainClient, s3Settings, sha256, unfinished } from "../support/servers/storage.ts";
import { until } from "../support/machine/until.ts";
import { mostUsed } from "../support/machine/usage.ts";

setDefaultTimeout(180_000);

let postgres: PostgresServer;
beforeAll(async () => {
  postgres = await startPostgres(15);
  // compresses to more than two parts of an upload
  await postgres.createDatabase(
    "app",
    "CREATE TABLE noise AS SELECT md5(n::text) || md5((-n)::text) AS x FROM generate_series(1, 700000) n",
  );
});
afterAll(() => postgres.stop());

describe.each(Object.entries(members))("container 1.3, 2.2 to 2.5: to %s", (_, start) => {
  let server: Member;
  beforeAll(async () => {
    server = await start();
  });
  afterAll(() => server?.stop());

  test.each([
    ["gzip", "true"],
    ["zstd", "false"],
  ])("a backup (%s, BACKUP_KEEP_LOCAL=%s) and its manifest arrive, byte for byte", async (compression, keep) => {
    const bucket = await server.newBucket();
    const scripts = installScripts({ ...postgres.settings("app"), ...s3Settings(server, bucket, "a/b") });
    const env = { BACKUP_KEEP_LOCAL: keep, BACKUP_COMPRESSION: compression };
    const { status, stdout, stderr } = await scripts.run("backup", ["--upload"], { env });
    expect([status, stderr.match(/(WARN|ERROR).*/)]).toEqual([0, null]);
    const { storage } = await open(server, bucket, { S3_PATH: "a/b" });
    const [backup, manifest, ...more] = await Array.fromAsync(storage.list());
    expect(more).toEqual([]);
    expect(manifest!.name).toBe(`${backup!.name}.json`);
    const there = await fetchAll(storage, backup!.name);
    const facts = JSON.parse((await fetchAll(storage, manifest!.name)).toString()) as { bytes: number; sha256: string };
    expect([facts.bytes, facts.sha256]).toEqual([there.length, sha256(there)]);
    expect(there.length).toBeGreaterThan(16 * 1024 * 1024);
    expect(await unfinished(plainClient(server), bucket)).toEqual([]);
    if (keep === "true") {
      expect(stdout).toBe(`${join(scripts.backups, backup!.name)}\n`);
      for (const { name } of [backup!, manifest!])
        expect(sha256(readFileSync(join(scripts.backups, name)))).toBe(sha256(await fetchAll(storage, name)));
    } else {
      expect(stdout).toBe(`s3://${bucket}/a/b/${backup!.name}\n`);
      expect(folderState(scripts.backups)).toEqual({});
    }
    expect(stderr).toContain(`s3://${bucket}/a/b/${backup!.name}`);
  });
});

describe("nothing is left in S3 or on the disk", () => {
  let s3: S3Server;
  let bucket: string;
  beforeEach(async () => {
    s3 = startS3Server();
    bucket = await s3.newBucket();
  });
  afterEach(() => s3.stop());

  const deploy = (settings: Record<string, string> = {}) =>
    installScripts({ ...postgres.settings("app"), ...s3Settings(s3, bucket), ...settings });
  function expectNothing(scripts: Installation): void {
    expect([...s3.objects(bucket).keys()]).toEqual([]);
    expect(s3.uploads(bucket)).toEqual([]);
    expect(folderState(scripts.backups)).toEqual({});
  }
  const dumpThat = (script: string) => ({ DB_CLIENT_DIR: clientsWith(clientDir(15), { pg_dump: script }) });

  test.each([
    ["that fails at its end", '"$REAL" "$@"; exit 1'],
    ["that is cut short and says nothing", '"$REAL" "$@" | head -c 40000000'],
  ])("of a dump %s", async (_case, script) => {
    for (const BACKUP_KEEP_LOCAL of ["true", "false"]) {
      const scripts = deploy({ ...dumpThat(script), BACKUP_KEEP_LOCAL });
      const ran = await scripts.run("backup", ["--upload"]);
      expect([ran.status, ran.stdout]).toEqual([1, ""]);
      expect(s3.asked.some(({ operation }) => operation === "UploadPart")).toBe(true);
      expectNothing(scripts);
    }
  });

  test("while the dump runs, and after it was stopped", async () => {
    const dump = pausingDump(clientDir(15), 40_000_000);
    const scripts = deploy({ DB_CLIENT_DIR: dump.clientDir, BACKUP_KEEP_LOCAL: "false" });
    const running = scripts.start("backup", ["--upload"]);
    await dump.paused();
    await until("parts are there", () => s3.asked.some(({ operation }) => operation === "UploadPart"));
    expect([...s3.objects(bucket).keys()]).toEqual([]);
    running.kill("SIGTERM");
    expect((await running.done).status).toBe(143);
    expectNothing(scripts);
  });

  test("of a backup whose manifest cannot be stored", async () => {
    s3.faults.push({ operation: "PutObject", instead: { status: 403, code: "AccessDenied" } });
    const scripts = deploy({ BACKUP_KEEP_LOCAL: "false" });
    expectFailure(await scripts.run("backup", ["--upload"]), /cannot upload .*\.json .*AccessDenied, status 403/);
    expectNothing(scripts);
  });

  test("but a good backup stays on the disk when only its upload fails, and sync sends it", async () => {
    s3.faults.push({ operation: "UploadPart", after: 1, times: 1, instead: { status: 403, code: "AccessDenied" } });
    const scripts = deploy();
    const ran = await scripts.run("backup", ["--upload"]);
    expectFailure(ran, /the backup is good and lies in .*, but it is not in S3: .*AccessDenied, status 403/);
    expect(ran.stderr).toContain("hint: sync sends it");
    expect([...s3.objects(bucket).keys()]).toEqual([]);
    expect(s3.uploads(bucket)).toEqual([]);
    const [name] = scripts.list();
    expect(scripts.list()).toHaveLength(1);
    expect((await scripts.run("sync")).status).toBe(0);
    expect([...s3.objects(bucket).keys()].toSorted()).toEqual([name!, `${name}.json`]);
    expect(sha256(s3.objects(bucket).get(name!)!.body)).toBe(sha256(readFileSync(join(scripts.backups, name!))));
  });

  describe.each<[string, () => Record<string, string>, RegExp]>([
    ["that refuses connections", () => ({ S3_URL: "http://127.0.0.1:1" }), /127\.0\.0\.1:1 refuses the connection/],
    ["with a wrong secret", () => ({ S3_SECRET_KEY: "wrong secret words" }), /SignatureDoesNotMatch/],
    ["without the bucket", () => ({ S3_BUCKET: "no-such-bucket-here" }), /there is no bucket no-such-bucket-here/],
    [
      "that lets the key not list",
      () => {
        s3.behaviour.denied = ["ListObjectsV2"];
        return {};
      },
      /AccessDenied/,
    ],
  ])("S3 %s", (_case, settings, cause) => {
    test("costs no local backup, and the run fails all the same", async () => {
      const scripts = deploy(settings());
      const ran = await scripts.run("backup", ["--upload"]);
      expectFailure(ran, /the backup is good and lies in .*, but it is not in S3: /);
      expect(ran.stderr).toMatch(cause);
      expect(ran.stderr).toContain("hint: sync sends it");
      const [name] = scripts.list();
      expect(scripts.everything()).toContain(`${name}.json`);
      expect([...s3.objects(bucket).keys()]).toEqual([]);
    });

    test("ends a run that keeps nothing locally before it dumps", async () => {
      const scripts = deploy({ ...settings(), BACKUP_KEEP_LOCAL: "false", ...dumpThat("echo DUMPED >&2; exit 1") });
      const ran = await scripts.run("backup", ["--upload"]);
      expectFailure(ran, cause);
      expect(ran.stderr).not.toContain("DUMPED");
      expectNothing(scripts);
    });
  });

  test("memory does not grow with a server that takes its time", async () => {
    s3.faults.push({ operation: "UploadPart", delay: 1_500 });
    const scripts = deploy({ BACKUP_KEEP_LOCAL: "false" });
    const running = scripts.start("backup", ["--upload"]);
    const { peakMegabytes } = await mostUsed(running.pid, running.done);
    expectSuccess(await running.done);
    expect(peakMegabytes).toBeLessThan(260);
  });
});

describeWithCeph("a key without rights at a real Ceph", () => {
  let ceph: Ceph;
  beforeAll(async () => {
    ceph = await startCeph();
  });
  afterAll(() => ceph?.stop());

  test("the backup stays here, and the error names the missing permission", async () => {
    const bucket = await ceph.newBucket();
    const scripts = installScripts({
      ...postgres.settings("app"),
      ...s3Settings({ url: ceph.url, ...ceph.stranger }, bucket),
    });
    expectFailure(
      await scripts.run("backup", ["--upload"]),
      /no permission for it \(s3:\w+\) \(AccessDenied, status 403/,
    );
    const { KeyCount } = await ceph.client.send(new ListObjectsV2Command({ Bucket: bucket }));
    expect(KeyCount).toBe(0);
  });
});
