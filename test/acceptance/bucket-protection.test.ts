/** `backup --upload --dry-run` says whether the access key could destroy all backups: tried on real buckets of Ceph. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import {
  CreateBucketCommand,
  ListObjectVersionsCommand,
  PutBucketPolicyCommand,
  PutBucketVersioningCommand,
  PutObjectLockConfigurationCommand,
} from "@aws-sdk/client-s3";
import { type Ceph, startCeph } from "../support/servers/ceph.ts";
import { describeWithCeph } from "../support/servers/s3-members.ts";
import { blocks } from "../support/expect/documentation.ts";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { expectSuccess } from "../support/expect/expect.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { s3Settings } from "../support/servers/storage.ts";
import { protectingPolicy } from "../../scripts-src/steps/dry-run-checks.ts";

setDefaultTimeout(180_000);

test("DOCUMENTATION.md shows the policy that the dry run prints", () => {
  const shown = blocks.find(({ mark }) => mark === "a bucket policy")?.text ?? "";
  expect(JSON.parse(shown)).toEqual(JSON.parse(protectingPolicy("my-backups")));
});

describeWithCeph("protection in S3", () => {
  let ceph: Ceph;
  let server: PostgresServer;
  let scripts: Installation;
  beforeAll(async () => {
    [ceph, server] = [await startCeph(), await startPostgres(15)];
    await server.createDatabase("app", "CREATE TABLE t AS SELECT 1 AS a");
    scripts = installScripts();
  });
  afterAll(async () => {
    await server.stop();
    await ceph.stop();
  });

  const versioned = async () => {
    const Bucket = await ceph.newBucket();
    await ceph.client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: "Enabled" } }));
    return Bucket;
  };
  /** What the dry run says of the bucket, with the first user's key. */
  async function protection(bucket: string): Promise<string> {
    scripts.configure({ ...server.settings("app"), ...s3Settings(ceph, bucket, "x") });
    const ran = await scripts.run("backup", ["--upload", "--dry-run"]);
    expectSuccess(ran);
    return /^. protection in S3: .*(?:\n {4}hint: .*)*/m.exec(ran.stdout)?.[0] ?? ran.stdout;
  }
  const policyIn = (text: string) => /a bucket policy that does this: (\{.*\})/.exec(text)?.[1] ?? "";
  const left = async (Bucket: string) => {
    const { Versions = [], DeleteMarkers = [] } = await ceph.client.send(new ListObjectVersionsCommand({ Bucket }));
    return [Versions.length, DeleteMarkers.length];
  };

  test("a bucket without versions can be emptied: warned of, with the way out", async () => {
    const bucket = await ceph.newBucket();
    const said = await protection(bucket);
    expect(said).toMatch(/^! .*can destroy all backups: the bucket keeps no versions/);
    expect(said).toMatch(/hint: turn on the bucket's versioning/);
    expect(await left(bucket)).toEqual([0, 0]);
  });

  test("versions that the key may delete are no protection; the policy that is printed is one", async () => {
    const bucket = await versioned();
    const said = await protection(bucket);
    expect(said).toMatch(/^! .*can destroy all backups: it may delete the versions/);
    expect(await left(bucket)).toEqual([0, 0]);
    const Policy = policyIn(said).replace("ARN-OF-THE-KEYS-USER", "arn:aws:iam:::user/test");
    await ceph.client.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }));
    expect(await protection(bucket)).toMatch(/^✓ .*cannot destroy backups/);
    // under it all goes on: a backup, and retention that deletes
    scripts.configure({ ...server.settings("app"), ...s3Settings(ceph, bucket, "x"), BACKUP_RETENTION_DAYS: "1" });
    expectSuccess(await scripts.run("backup", ["--upload"]));
  });

  test.each([
    ["COMPLIANCE", /^✓ .*cannot destroy backups/],
    // the owner of the bucket may bypass it
    ["GOVERNANCE", /^! .*can destroy all backups: it may delete the versions/],
  ] as const)("an object lock, mode %s", async (Mode, expected) => {
    const Bucket = `locked-${crypto.randomUUID()}`;
    await ceph.client.send(new CreateBucketCommand({ Bucket, ObjectLockEnabledForBucket: true }));
    await ceph.client.send(
      new PutObjectLockConfigurationCommand({
        Bucket,
        ObjectLockConfiguration: { ObjectLockEnabled: "Enabled", Rule: { DefaultRetention: { Mode, Days: 1 } } },
      }),
    );
    expect(await protection(Bucket)).toMatch(expected);
    if (Mode === "GOVERNANCE") expect(await left(Bucket)).toEqual([0, 0]);
  });
});
