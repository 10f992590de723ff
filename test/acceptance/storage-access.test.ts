/** Ways in to S3: TLS, regions, AWS's own chain of credentials, session tokens, the host style; by the built executable. */
import { afterEach, beforeAll, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { writeBackup } from "../support/expect/backups.ts";
import { type Certificate, selfSigned } from "../support/servers/certificates.ts";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { type S3Server, startS3Server } from "../support/servers/s3-server.ts";
import { startMailServer } from "../support/servers/smtp.ts";
import { s3Settings } from "../support/servers/storage.ts";

setDefaultTimeout(180_000);

let server: S3Server;
let bucket: string;
let scripts: Installation;
let files: string[];

async function begin(certificate?: Certificate): Promise<void> {
  server = startS3Server({}, certificate && { tls: certificate });
  bucket = await server.newBucket();
  scripts = installScripts(s3Settings(server, bucket));
  files = writeBackup(scripts.backups, "app", "2026-01-01");
}
afterEach(async () => {
  scripts.remove();
  await server.stop();
});
const sync = (env: Record<string, string> = {}) => scripts.run("sync", [], { env });
const stored = () => [...server.objects(bucket).keys()];

describe("over TLS", () => {
  let certificate: Certificate;
  beforeAll(() => {
    certificate = selfSigned();
  });
  beforeEach(() => begin(certificate));

  test("a certificate that is not trusted: says so, and how to trust it; nothing is sent", async () => {
    const { status, stderr } = await sync();
    expect(status).toBe(1);
    expect(stderr).toContain("the TLS certificate of 127.0.0.1");
    expect(stderr).toContain("hint: check S3_URL; name the file of a private certificate authority in CA_FILE");
    expect(server.asked).toEqual([]);
  });

  test("S13: NODE_TLS_REJECT_UNAUTHORIZED=0 has no effect: on S3, mail and webhook; and that is said once", async () => {
    const mail = await startMailServer({ security: "tls", certificate });
    const webhook = Bun.serve({ port: 0, tls: certificate, fetch: () => new Response("ok") });
    const notices = { ...mail.settings, NOTIFY_WEBHOOK_URL: `https://127.0.0.1:${webhook.port}/` };
    const { status, stderr } = await sync({ NODE_TLS_REJECT_UNAUTHORIZED: "0", ...notices });
    await mail.stop();
    await webhook.stop(true);
    expect(status).toBe(1);
    expect(stderr).toContain("the TLS certificate of 127.0.0.1");
    expect(stderr.match(/the notice was not sent: .* has a certificate/g)).toHaveLength(2);
    expect(stderr.match(/WARN sync: NODE_TLS_REJECT_UNAUTHORIZED=0 has no effect/g)).toHaveLength(1);
    expect(stderr).not.toContain("insecure");
    expect([server.asked, mail.mails]).toEqual([[], []]);
  });

  test("a private certificate authority: NODE_EXTRA_CA_CERTS, as the hint says", async () => {
    const { status, stderr } = await sync({ NODE_EXTRA_CA_CERTS: certificate.file });
    expect([status, stderr.match(/ERROR.*/)]).toEqual([0, null]);
    expect(stored()).toEqual(files);
  });
});

describe("what AWS asks for", () => {
  beforeEach(() => begin());

  test("2.5: without keys, AWS's own chain: the environment, then a profile", async () => {
    scripts.configure({ S3_URL: server.url, S3_BUCKET: bucket });
    const nothing = await sync({ AWS_EC2_METADATA_DISABLED: "true", HOME: scripts.dir });
    expect(nothing.status).toBe(1);
    expect(nothing.stderr).toContain("there are no S3 credentials");
    expect(nothing.stderr).toContain("hint: set S3_ACCESS_KEY and S3_SECRET_KEY");

    const variables = { AWS_ACCESS_KEY_ID: server.key, AWS_SECRET_ACCESS_KEY: server.secret };
    expect((await sync({ HOME: scripts.dir, ...variables })).status).toBe(0);

    const profile = join(scripts.dir, "credentials");
    writeFileSync(profile, `[backup]\naws_access_key_id = ${server.key}\naws_secret_access_key = ${server.secret}\n`);
    const again = await sync({ HOME: scripts.dir, AWS_SHARED_CREDENTIALS_FILE: profile, AWS_PROFILE: "backup" });
    expect(again.status).toBe(0);
    expect(again.stderr).toContain("2 already there");
  });

  test("S13: an endpoint from AWS_ENDPOINT_URL or ~/.aws/config is used, and said in the log and in the dry run", async () => {
    const { S3_URL: _, ...rest } = s3Settings(server, bucket);
    scripts.configure(rest);
    const config = join(scripts.dir, "config");
    writeFileSync(config, `[default]\nendpoint_url = ${server.url}\n`);
    const host = new URL(server.url).host;
    const ways: Record<string, string>[] = [
      { AWS_ENDPOINT_URL: server.url },
      { AWS_ENDPOINT_URL_S3: server.url },
      { AWS_CONFIG_FILE: config },
    ];
    for (const env of ways) {
      const { status, stderr } = await sync(env);
      expect(status, stderr).toBe(0);
      expect(stderr.match(new RegExp(`INFO sync: S3 requests go to ${host}: S3_URL is not set`, "g"))).toHaveLength(1);
      const dry = await scripts.run("sync", ["--dry-run"], { env });
      expect(dry.stdout).toMatch(new RegExp(`✓ storage .*; at ${host}, by AWS_ENDPOINT_URL or ~/.aws/config`));
    }
    expect(stored()).toEqual(files);
    scripts.configure(s3Settings(server, bucket));
    expect((await sync({ AWS_ENDPOINT_URL: "http://127.0.0.1:9" })).stderr).not.toContain("S3 requests go to");
  });

  test("a profile on the machine does not disturb the keys that are set", async () => {
    const config = join(scripts.dir, "config");
    writeFileSync(
      config,
      "[default]\nregion = eu-nowhere-1\nendpoint_url = http://127.0.0.1:9\nretry_mode = adaptive\n",
    );
    const { status, stderr } = await sync({
      AWS_CONFIG_FILE: config,
      AWS_ACCESS_KEY_ID: "other",
      AWS_SECRET_ACCESS_KEY: "x",
    });
    expect([status, stderr.match(/ERROR.*/)]).toEqual([0, null]);
  });

  test("a wrong region: says so, and which one is right", async () => {
    server.behaviour.region = "eu-central-1";
    const { status, stderr } = await sync();
    expect(status).toBe(1);
    expect(stderr).toContain("the bucket is not in the region us-east-1 (AuthorizationHeaderMalformed, status 400");
    expect(stderr).toContain("hint: set S3_REGION=eu-central-1");
    expect((await sync({ S3_REGION: "eu-central-1" })).status).toBe(0);
  });

  test("a session token is sent, signed and never shown; the storage class goes with every object", async () => {
    const token = "session-token-of-temporary-credentials";
    const { status, stderr } = await sync({
      S3_SESSION_TOKEN: token,
      S3_STORAGE_CLASS: "STANDARD_IA",
      LOG_LEVEL: "debug",
    });
    expect(status).toBe(0);
    const puts = server.asked.filter(({ operation }) => operation === "PutObject");
    expect(puts.map(({ headers }) => headers["x-amz-security-token"])).toEqual([token, token]);
    expect(puts.map(({ headers }) => headers["x-amz-storage-class"])).toEqual(["STANDARD_IA", "STANDARD_IA"]);
    expect(stderr).not.toContain(token);
  });

  test("every body has a signed Content-MD5 and its exact length, none a trailer, a checksum of its own or an Expect", async () => {
    writeBackup(scripts.backups, "app", "2026-01-02", 9 * 1024 * 1024);
    expect((await sync()).status).toBe(0);
    const bodies = server.asked.filter(({ bytes }) => bytes > 0);
    expect(new Set(bodies.map(({ operation }) => operation))).toEqual(
      new Set(["PutObject", "UploadPart", "CompleteMultipartUpload"]),
    );
    for (const { headers, bytes } of bodies) {
      expect(headers["content-md5"]).toBeString();
      expect(headers.authorization).toContain("content-md5;");
      expect(headers["content-length"]).toBe(String(bytes));
      const unwanted = ["transfer-encoding", "content-encoding", "expect", "x-amz-trailer", "x-amz-checksum-crc32"];
      expect(unwanted.filter((name) => name in headers)).toEqual([]);
    }
  });

  test("S3_FORCE_PATH_STYLE=false puts the bucket into the host name", async () => {
    const S3_URL = server.url.replace("127.0.0.1", "localhost");
    const { status, stderr } = await sync({ S3_URL, S3_FORCE_PATH_STYLE: "false" });
    // the name resolves on some machines only; either way it was the name that was asked for
    if (status === 0) {
      expect(new Set(server.asked.map(({ headers }) => headers.host))).toEqual(
        new Set([`${bucket}.${S3_URL.slice(7)}`]),
      );
      expect(stored()).toEqual(files);
    } else expect(stderr).toMatch(/the host name of .* does not resolve[^]*S3_FORCE_PATH_STYLE=true/);
  });

  test("S3_PATH with the bucket in it is refused, and says what to write", async () => {
    const { status, stderr } = await sync({ S3_PATH: "s3://bk/foo" });
    expect(status).toBe(2);
    expect(stderr).toMatch(/S3_PATH.* must be the path within the bucket alone, such as production\/app/);
  });

  test("an endpoint with a path: where nothing is found, a hint at that", async () => {
    await server.newBucket("my-backups");
    const { status, stderr } = await sync({ S3_URL: `${server.url}/my-backups` });
    expect(status).toBe(1);
    expect(stderr).toContain("hint: S3_URL ends in a path (/my-backups)");
  });

  test("refused connections: the log counts the tries that there are", async () => {
    const { status, stderr } = await sync({ S3_URL: "http://127.0.0.1:1" });
    expect(status).toBe(1);
    expect(stderr.match(/\(try \d of \d\)/g)).toEqual(["(try 1 of 3)", "(try 2 of 3)"]);
  });

  test.each([".", "a/../b", "./x"])("S3_PATH=%s is refused: no URL could name it", async (S3_PATH) => {
    const { status, stderr } = await sync({ S3_PATH });
    expect(status).toBe(2);
    expect(stderr).toContain("must be a path without . or .. as a folder");
  });

  test("a clock that is an hour off does not keep backups from S3", async () => {
    server.behaviour.clockAhead = -3_600_000;
    const { status, stderr } = await sync();
    expect(status).toBe(0);
    expect(stderr).toContain("RequestTimeTooSkewed");
  });

  test.each([
    ["QuotaExceeded", 403, /full or its quota is used up \(QuotaExceeded, status 403/, "BACKUP_RETENTION_DAYS"],
    ["InvalidStorageClass", 400, /storage class is unknown there/, "S3_STORAGE_CLASS"],
    ["ExpiredToken", 400, /temporary credentials are no longer valid/, "S3_SESSION_TOKEN"],
    [
      "KMS.DisabledException",
      400,
      /\(SSE-KMS\) cannot be used \(KMS.DisabledException, status 400/,
      "kms:GenerateDataKey",
    ],
    ["UserSuspended", 403, /has suspended the account of the access key/, "the provider"],
    ["NoNameThatWeKnow", 403, /no permission for it \(s3:PutObject\) \(NoNameThatWeKnow/, "allow s3:PutObject"],
    ["NotImplemented", 501, /cannot upload .*NotImplemented, status 501/, "S3_URL"],
  ])("%s: what it means, and what to do", async (code, status, message, hint) => {
    server.faults.push({ operation: "PutObject", instead: { code, status } });
    const { status: exit, stderr } = await sync();
    expect(exit).toBe(1);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(new RegExp(`hint: .*${hint}`));
    expect(stored()).toEqual([]);
  });
});
