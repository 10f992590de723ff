/** Shell requirement 3: synchronise local backups to S3-compatible storage; by the built executable, on real servers. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { ListObjectsV2Command, PutBucketPolicyCommand, PutObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import { removeBackup, writeBackup } from "../support/expect/backups.ts";
import { type Ceph, startCeph } from "../support/servers/ceph.ts";
import { type Installation, installScripts, type RunOptions, startOnTerminal } from "../support/machine/executables.ts";
import { describeWithCeph, type Member, members } from "../support/servers/s3-members.ts";
import { type S3Server, startS3Server } from "../support/servers/s3-server.ts";
import { fetchAll, noise, open, plainClient, s3Settings, sha256, unfinished } from "../support/servers/storage.ts";
import { startTcpProxy, type TcpProxy } from "../support/servers/tcp-proxy.ts";
import { removeDir, tempDir } from "../support/machine/temp.ts";
import { until } from "../support/machine/until.ts";

setDefaultTimeout(180_000);

const MiB = 1024 * 1024;

/** The AWS CLI as installed on the machine (its folder is put on PATH), where there is one; it is slow, so at one server. */
const awsFolder = findAws();
const clientsFor = (member: string) => [
  "sdk",
  ...(awsFolder && member === Object.keys(members).at(-1) ? ["aws-cli"] : []),
];

describe.each(Object.entries(members))("sync to %s", (member, start) => {
  let server: Member;
  let client: S3Client;
  let bucket: string;
  let scripts: Installation;
  beforeAll(async () => {
    server = await start();
    client = plainClient(server);
  });
  afterAll(() => server?.stop());
  beforeEach(async () => {
    bucket = await server.newBucket();
    scripts = installScripts();
    use();
  });
  afterEach(() => scripts.remove());

  function use(settings: Record<string, string> = {}): void {
    scripts.configure({ ...s3Settings(server, bucket, "deep/er"), ...settings });
  }
  const sync = (args: string[] = [], options: RunOptions = {}) =>
    scripts.run("sync", args, {
      ...options,
      env: { PATH: `${awsFolder}:${process.env.PATH}`, AWS_MAX_ATTEMPTS: "1", ...options.env },
    });
  const keys = async () => {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket }));
    return Contents.map(({ Key = "" }) => Key);
  };
  const names = async () => (await keys()).map((key) => key.replace("deep/er/", ""));
  const backup = (database: string, day: string, bytes?: number) => writeBackup(scripts.backups, database, day, bytes);
  const foreign = (Key: string) => client.send(new PutObjectCommand({ Bucket: bucket, Key, Body: "foreign" }));
  /** Between us and the server: 20 MB a second. */
  async function slowLine(): Promise<TcpProxy> {
    const line = await startTcpProxy(Number(new URL(server.url).port));
    line.bytesPerSecond = 20_000_000;
    use({ S3_URL: line.url });
    return line;
  }
  const storage = async () => (await open(server, bucket, { S3_PATH: "deep/er" })).storage;

  describe.each(clientsFor(member))("by %s", (how) => {
    beforeEach(() => use({ SYNC_CLIENT: how }));

    test("shell 3.1: uploads all backup files to bucket and path, and nothing else", async () => {
      const files = [
        ...backup("app", "2026-01-01"),
        ...backup("app", "2026-01-02", 20 * MiB + 1),
        ...backup("%E2%82%AC uro".replaceAll(" ", "%20"), "2026-01-01"),
      ];
      writeFileSync(join(scripts.backups, ".app_2026-01-03_03-00-00.sql.gz.partial"), "half");
      writeFileSync(join(scripts.backups, "notes.txt"), "not a backup");
      mkdirSync(join(scripts.backups, "sub"));
      writeFileSync(join(scripts.backups, "sub/app_2026-01-01_03-00-00.sql.gz"), "of somebody else");
      const { status, stdout, stderr } = await sync();
      expect([status, stdout]).toEqual([0, ""]);
      expect(stderr).toContain("INFO sync: sync done");
      expect(await keys()).toEqual(files.map((name) => `deep/er/${name}`).toSorted());
      const there = await fetchAll(await storage(), "app_2026-01-02_03-00-00.sql.gz");
      expect(sha256(there)).toBe(sha256(noise(20 * MiB + 1)));
    });

    test("a second run sends nothing; what changed in size is sent again", async () => {
      const [name] = backup("app", "2026-01-01");
      expect((await sync()).status).toBe(0);
      const again = await sync();
      expect([again.status, again.stderr.includes(" 0 files uploaded")]).toEqual([0, true]);
      backup("app", "2026-01-01", 50);
      expect((await sync()).stderr).toMatch(/ [12] files? uploaded/);
      expect((await (await storage()).head(name))?.bytes).toBe(50);
    });

    test.each([
      ["the file is shorter than its manifest says", ([name]) => truncateSync(join(scripts.backups, name), 60)],
      ["its manifest is cut short", ([, manifest]) => truncateSync(join(scripts.backups, manifest), 60)],
    ] as [string, (files: readonly [string, string]) => void][])(
      "a good copy in S3 is not replaced by a damaged file (%s); the rest is sent, nothing deleted, status 1",
      async (_case, harm) => {
        use({ SYNC_CLIENT: how, REMOTE_S3_DELETE: "true" });
        const gone = backup("app", "2026-01-01");
        const damaged = backup("app", "2026-01-02");
        expect((await sync()).status).toBe(0);
        const before = await Promise.all(damaged.map(async (name) => fetchAll(await storage(), name)));
        removeBackup(scripts.backups, gone);
        harm(damaged);
        const more = backup("app", "2026-01-03");
        for (const [args, there] of [
          [["--dry-run"], [...gone, ...damaged]],
          [[], [...gone, ...damaged, ...more]],
        ] as const) {
          const { status, stdout, stderr } = await sync([...args]);
          expect(status).toBe(1);
          expect(stdout + stderr).toMatch(new RegExp(`1 backup left out.*\n.*${damaged[0]}.* is damaged: `));
          expect(stdout + stderr).toContain("hint: the copies in S3 of what was left out were not touched");
          expect(await names()).toEqual([...there]);
        }
        expect(await Promise.all(damaged.map(async (name) => fetchAll(await storage(), name)))).toEqual(before);
      },
    );

    test("shell 3.3: REMOTE_S3_DELETE=true removes from S3 what is gone locally, and never anything else", async () => {
      use({ SYNC_CLIENT: how, REMOTE_S3_DELETE: "true" });
      const old = backup("app", "2026-01-01");
      const stays = backup("app", "2026-01-02");
      const newest = backup("app", "2026-01-05");
      const other = backup("other", "2026-01-01");
      const newer = backup("app", "2026-01-07");
      expect((await sync()).status).toBe(0);
      for (const gone of [old, other, newer]) removeBackup(scripts.backups, gone);
      rmSync(join(scripts.backups, stays[1]));
      const strangers = [
        "notes.txt",
        "app_latest.sql.gz",
        "app-x_2026-01-01_03-00-00.sql.gz",
        "sub/app_2026-01-01_03-00-00.sql.gz",
      ];
      for (const name of strangers) await foreign(`deep/er/${name}`);
      await foreign(`deep/erx/${old[0]}`);
      const { status, stderr } = await sync();
      expect(status).toBe(0);
      expect(stderr).toContain(" 2 deleted");
      expect(stderr).toMatch(new RegExp(`delete.*${old[0]}`));
      const left = [...stays, ...newest, ...other, ...newer, ...strangers].map((name) => `deep/er/${name}`);
      expect(await keys()).toEqual([...left, `deep/erx/${old[0]}`].toSorted());
    });

    test("shell 3.4: REMOTE_S3_DELETE=false removes nothing", async () => {
      use({ SYNC_CLIENT: how, REMOTE_S3_DELETE: "false" });
      const old = backup("app", "2026-01-01");
      const files = [...old, ...backup("app", "2026-01-02")];
      await sync();
      removeBackup(scripts.backups, old);
      const { status, stderr } = await sync();
      expect([status, stderr.includes(" 0 deleted")]).toEqual([0, true]);
      expect(await names()).toEqual(files.toSorted());
    });

    test("a damaged backup outdates nothing, also when S3 holds it just as damaged", async () => {
      use({ SYNC_CLIENT: how, REMOTE_S3_DELETE: "true" });
      const old = backup("app", "2026-01-01");
      const [newest] = backup("app", "2026-01-02");
      await sync();
      truncateSync(join(scripts.backups, newest), 10);
      await (await storage()).put(newest, readFileSync(join(scripts.backups, newest)));
      removeBackup(scripts.backups, old);
      const before = await keys();
      const { status, stderr } = await sync();
      expect(status).toBe(1);
      expect(stderr).toMatch(new RegExp(`1 backup left out, nothing is deleted:\n.*${newest}.* is damaged: `));
      expect(await keys()).toEqual(before);
    });

    test("a lost disk does not empty the bucket", async () => {
      use({ SYNC_CLIENT: how, REMOTE_S3_DELETE: "true" });
      const files = backup("app", "2026-01-01");
      await sync();
      removeBackup(scripts.backups, files);
      const { status, stderr } = await sync();
      expect(status).toBe(1);
      expect(stderr).toMatch(/there is no backup.*\n.*hint: check BACKUP_DIR/);
      expect(await names()).toEqual([...files]);
    });

    test("--dry-run prints the plan to stdout and changes nothing", async () => {
      use({ SYNC_CLIENT: how, REMOTE_S3_DELETE: "true" });
      const old = backup("app", "2026-01-01");
      backup("app", "2026-01-02");
      await sync();
      removeBackup(scripts.backups, old);
      const [added] = backup("app", "2026-01-03");
      const before = await keys();
      const { status, stdout } = await sync(["--dry-run"]);
      expect(status).toBe(0);
      expect(stdout).toMatch(new RegExp(`upload.*${added}`));
      expect(stdout).toMatch(new RegExp(`delete.*${old[0]}`));
      expect(await keys()).toEqual(before);
    });

    test.each([
      [
        "an unknown access key",
        { S3_ACCESS_KEY: "nosuchkey000" },
        /does not know the access key \(InvalidAccessKeyId/,
        "S3_ACCESS_KEY",
      ],
      [
        "a wrong secret",
        { S3_SECRET_KEY: "wrongsecret000" },
        /the secret key does not belong to the access key \(SignatureDoesNotMatch/,
        "S3_SECRET_KEY",
      ],
      ["no such bucket", { S3_BUCKET: "no-such-bucket-here" }, /there is no bucket no-such-bucket-here/, "S3_BUCKET"],
      ["an endpoint that refuses", { S3_URL: "http://127.0.0.1:9" }, /127.0.0.1:9 refuses the connection/, "S3_URL"],
      ["a server without TLS", { S3_URL: "https" }, /does not speak TLS on this port/, "http://"],
    ])("shell 3.5: %s: says so, and which setting to check", async (_case, settings, message, setting) => {
      backup("app", "2026-01-01");
      const S3_URL =
        "S3_URL" in settings && settings.S3_URL === "https" ? server.url.replace("http:", "https:") : undefined;
      use({ SYNC_CLIENT: how, ...settings, ...(S3_URL && { S3_URL }) });
      const { status, stderr, stdout } = await sync();
      expect([status, stdout]).toEqual([1, ""]);
      expect(stderr).toMatch(message);
      expect(stderr).toMatch(new RegExp(`hint: .*${setting}`));
      expect(stderr).not.toContain(server.secret);
      expect(stderr).not.toContain("wrongsecret000");
      expect(await keys()).toEqual([]);
    });
  });

  test("goes on where it was interrupted, and leaves no half upload", async () => {
    const first = backup("app", "2026-01-02");
    const large = backup("app", "2026-01-01", 120 * MiB);
    const line = await slowLine();
    const running = scripts.start("sync");
    await until("the first backup is there", async () => (await names()).includes(first[1]));
    await until("the large one is on its way", async () => (await unfinished(client, bucket)).length > 0);
    running.kill("SIGTERM");
    const { status, stderr } = await running.done;
    expect(status).toBe(143);
    expect(stderr).toContain("stopped by SIGTERM");
    expect(await names()).toEqual([...first]);
    expect(await unfinished(client, bucket)).toEqual([]);
    await line.stop();
    use();
    const again = await sync();
    expect([again.status, again.stderr.includes("sync done: 2 files uploaded (120 MiB), 2 already there")]).toEqual([
      0,
      true,
    ]);
    expect(await names()).toEqual([...large, ...first].toSorted());
  });

  test("uploads many small files at once, and an unchanged sync asks for the listing alone", async () => {
    const days = Array.from({ length: 60 }, (_day, i) => new Date(Date.UTC(2026, 0, i + 1)).toISOString().slice(0, 10));
    const files = days.flatMap((day) => backup("app", day, 2_000));
    expect((await sync()).status).toBe(0);
    expect(await names()).toEqual(files);
    if (!("asked" in server)) return;
    const { asked } = server as S3Server;
    asked.length = 0;
    expect((await sync()).status).toBe(0);
    expect(asked.map(({ operation }) => operation)).toEqual(["ListObjectsV2"]);
  });

  test("says what is gone locally and stays in S3, ten lines of it at most", async () => {
    use({ REMOTE_S3_DELETE: "true" });
    const all = Array.from({ length: 15 }, (_, i) => backup("app", `2026-02-${String(i + 10)}`));
    await sync();
    for (const gone of all.slice(1)) removeBackup(scripts.backups, gone);
    const { status, stderr } = await sync();
    expect([status, stderr.match(/ keep app_\S+: not older than the newest local backup/g)?.length]).toEqual([0, 10]);
    expect(stderr).toContain(" 4 more backups in S3 are kept for the same reason");
    expect(await names()).toEqual(all.flat());
    use();
    expect((await sync()).stderr).not.toContain(" keep ");
  });

  test("on a terminal it shows how far it is", async () => {
    backup("app", "2026-01-01", 20 * MiB);
    const line = await slowLine();
    const terminal = startOnTerminal([join(scripts.dir, "sync")]);
    await terminal.sees(/sync [█░]+ \d+ %.*\/s/);
    expect(await terminal.exited).toBe(0);
    await line.stop();
  });
});

describe("sync without a server", () => {
  let scripts: Installation;
  beforeEach(() => {
    scripts = installScripts(
      s3Settings({ url: "http://127.0.0.1:9", key: "k", secret: "the secret words" }, "bucket", "path"),
    );
    writeBackup(scripts.backups, "app", "2026-01-01");
  });
  afterEach(() => scripts.remove());

  /** A folder for PATH that holds a few programs, and an `aws` that records how it was called. */
  function fakePath(words: string | undefined): { PATH: string; recorded(): string[]; remove(): void } {
    const dir = tempDir("path");
    for (const program of ["sh", "env", "printf"]) symlinkSync(Bun.which(program)!, join(dir, program));
    const record = join(dir, "record");
    if (words !== undefined) {
      const lines = [
        "#!/bin/sh",
        `{ for word in "$@"; do printf '%s\\n' "$word"; done; env; } > ${record}`,
        `printf '%s\\n' '${words}'`,
      ];
      writeFileSync(join(dir, "aws"), `${lines.join("\n")}\n`);
      chmodSync(join(dir, "aws"), 0o755);
    }
    return { PATH: dir, recorded: () => readFileSync(record, "utf8").split("\n"), remove: () => removeDir(dir) };
  }

  test("shell 3.2: aws-cli without the AWS CLI: exit status 3 and how to install it", async () => {
    const path = fakePath(undefined);
    const { status, stderr, stdout } = await scripts.run("sync", [], {
      env: { PATH: path.PATH, SYNC_CLIENT: "aws-cli" },
    });
    path.remove();
    expect([status, stdout]).toEqual([3, ""]);
    expect(stderr).toContain("the AWS CLI (aws) is not installed");
    expect(stderr).toContain("hint: install it: apt-get install awscli");
    expect(stderr).toContain("SYNC_CLIENT=sdk");
  });

  test.each(["true", "false"])("shell 3.3, 3.4: runs aws s3 sync, with REMOTE_S3_DELETE=%s", async (value) => {
    const path = fakePath("upload: app_2026-01-01_03-00-00.sql.gz to s3://bucket/path/app_2026-01-01_03-00-00.sql.gz");
    // what is missing in S3, and whose is what could be deleted, is asked by ourselves
    const s3 = startS3Server({ region: undefined }, { key: "k", secret: "the secret words" });
    await s3.newBucket("bucket");
    const { storage } = await open({ url: s3.url, key: "k", secret: "the secret words" }, "bucket", {
      S3_PATH: "path",
    });
    const deletes = value === "true";
    const local = readdirSync(scripts.backups).toSorted();
    if (deletes) {
      for (const name of local) await storage.put(name, readFileSync(join(scripts.backups, name)));
      await storage.put("app_2025-01-01_03-00-00.sql.gz", Buffer.from("old"));
    }
    const env = {
      S3_URL: s3.url,
      PATH: path.PATH,
      SYNC_CLIENT: "aws-cli",
      REMOTE_S3_DELETE: value,
      S3_REGION: "eu-x",
      S3_STORAGE_CLASS: "GLACIER_IR",
    };
    const { status, stderr } = await scripts.run("sync", [], { env });
    const recorded = path.recorded();
    path.remove();
    await s3.stop();
    expect(stderr).toContain("INFO sync: upload: app_2026-01-01_03-00-00.sql.gz to s3://bucket/path/");
    // a CLI that reports more than it has done is not believed
    expect([status, / has no bytes, but \d+ were sent/.test(stderr)]).toEqual(deletes ? [0, false] : [1, true]);
    const args = recorded.slice(
      0,
      recorded.findIndex((word) => word.includes("=")),
    );
    expect(args).toEqual([
      "s3",
      "sync",
      scripts.backups,
      "s3://bucket/path",
      "--size-only",
      "--no-progress",
      "--no-follow-symlinks",
      "--endpoint-url",
      s3.url,
      "--storage-class",
      "GLACIER_IR",
      ...(deletes ? ["--delete"] : []),
      "--exclude",
      "*",
      // the manifest in a call of its own, when its backup has been sent
      "--include",
      deletes ? "app_2025-01-01_03-00-00.sql.gz" : "app_2026-01-01_03-00-00.sql.gz.json",
    ]);
    expect(recorded).toContain("AWS_ACCESS_KEY_ID=k");
    expect(recorded).toContain("AWS_SECRET_ACCESS_KEY=the secret words");
    expect(recorded).toContain("AWS_REGION=eu-x");
    expect(recorded).toContain("AWS_REQUEST_CHECKSUM_CALCULATION=when_required");
    expect(args.join(" ")).not.toContain("the secret words");
    expect(recorded.some((line) => line.startsWith("S3_SECRET_KEY"))).toBe(false);
  });

  test("S3 credentials that are half given, and no bucket: refused before anything is attempted", async () => {
    scripts.configure({ S3_ACCESS_KEY: "only-one" });
    const { status, stderr } = await scripts.run("sync");
    expect(status).toBe(2);
    expect(stderr).toContain("S3_BUCKET");
    expect(stderr).toContain("S3_SECRET_KEY");
  });

  test("no backup folder: exit status 4, and which setting to check", async () => {
    renameSync(scripts.backups, `${scripts.backups}-gone`);
    const { status, stderr } = await scripts.run("sync");
    expect(status).toBe(4);
    expect(stderr).toContain(`there is no backup folder ${scripts.backups}`);
    expect(stderr).toContain("hint: check BACKUP_DIR");
  });
});

describeWithCeph("shell 3.5: a key that lacks a permission, at a real Ceph", () => {
  let ceph: Ceph;
  let scripts: Installation;
  let bucket: string;
  beforeAll(async () => {
    ceph = await startCeph();
  });
  afterAll(() => ceph?.stop());
  beforeEach(async () => {
    bucket = await ceph.newBucket();
    scripts = installScripts(s3Settings({ url: ceph.url, ...ceph.stranger }, bucket));
  });
  afterEach(() => scripts.remove());

  const allow = (...Action: string[]) =>
    ceph.client.send(
      new PutBucketPolicyCommand({
        Bucket: bucket,
        Policy: JSON.stringify({
          Version: "2012-10-17",
          Statement: [
            {
              Effect: "Allow",
              Principal: { AWS: ["arn:aws:iam:::user/stranger"] },
              Action,
              Resource: [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`],
            },
          ],
        }),
      }),
    );

  test.each([
    ["to list", ["s3:PutObject"], /cannot list .*no permission for it \(s3:ListBucket\) \(AccessDenied, status 403/],
    [
      "to write",
      ["s3:ListBucket", "s3:GetObject"],
      /cannot upload .*no permission for it \(s3:PutObject\) \(AccessDenied, status 403/,
    ],
    [
      "to delete",
      ["s3:ListBucket", "s3:GetObject", "s3:PutObject"],
      /cannot delete .*no permission for it \(s3:DeleteObject\) \(AccessDenied, status 403/,
    ],
  ])("%s", async (_right, actions, message) => {
    const gone = writeBackup(scripts.backups, "app", "2026-01-01");
    const { storage } = await open(ceph, bucket);
    for (const name of gone) await storage.put(name, readFileSync(join(scripts.backups, name)));
    removeBackup(scripts.backups, gone);
    writeBackup(scripts.backups, "app", "2026-01-02");
    await allow(...actions);
    const { status, stderr } = await scripts.run("sync", [], { env: { REMOTE_S3_DELETE: "true" } });
    expect(status).toBe(1);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(new RegExp(`hint: allow s3:\\w+ on bucket ${bucket}`));
  });
});

/** The folder of the real AWS CLI; a version manager's stand-in is followed to what it stands for. */
function findAws(): string {
  const found = Bun.which("aws");
  if (!found) return "";
  const { stdout, success } = Bun.spawnSync([found, "--version"], { stderr: "pipe" });
  return success && stdout.toString().startsWith("aws-cli/") ? found.replace(/\/aws$/, "") : "";
}
