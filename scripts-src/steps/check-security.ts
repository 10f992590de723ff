/** What a dry run of `backup` looks at of its protection: who can read the backups, and who can destroy them. */
import { keysFrom, publicKeyOf, readIdentities } from "../archive/keys.ts";
import { seal } from "../archive/seal.ts";
import { messageOf } from "../base/errors.ts";
import type { Check, Warned } from "../run/checklist.ts";
import type { Job } from "../run/script.ts";
import type { Exposure } from "../storage/exposure.ts";
import { openStorage } from "../storage/open.ts";
import { probeExposure } from "../storage/probe.ts";

/** Tries to encrypt, and whether the private key lies where it should not. */
export const checkEncryption = (job: Job, recipients: readonly string[]): Check => ({
  what: "encryption",
  async look() {
    for await (const _ of seal(nothing(), recipients));
    const found = `to ${recipients.join(", ")}`;
    const { identityFile } = keysFrom(job);
    const secrets = identityFile === undefined ? [] : await readIdentities(identityFile).catch(() => []);
    if (identityFile === undefined || secrets.length === 0) return found;
    const opened = await Promise.all(secrets.map(publicKeyOf));
    if (!opened.some((recipient) => recipients.includes(recipient)))
      return warned(`${found}; the private key in ${identityFile} decrypts none of these backups`, [
        "set AGE_IDENTITY_FILE to the private key of one of AGE_RECIPIENTS, or add its public key there",
      ]);
    return warned(`${found}; the private key lies on this machine too, in ${identityFile}`, [
      "when this machine only makes backups, move the key to where they are restored: who breaks in here can read all of them",
    ]);
  },
});

async function* nothing(): AsyncGenerator<Uint8Array> {}

const warned = (warning: string, hints: readonly string[]): Warned => ({ warning, hints });

/** Whether whoever takes over this machine could destroy the backups in S3. */
export const checkExposure = (job: Job): Check => ({
  what: "protection in S3",
  async look() {
    const exposure = await probeExposure(await openStorage(job.settings, job)).catch((error: unknown) => {
      job.signal.throwIfAborted();
      return { skipped: `not tried: ${messageOf(error)}` };
    });
    if (typeof exposure === "object") return exposure;
    if (exposure === "protected")
      return "this access key cannot destroy backups: the bucket keeps a version of what it overwrites or deletes";
    return warned(dangers[exposure], [
      exposure === "unversioned"
        ? "turn on the bucket's versioning (or object lock), then forbid this key to delete versions"
        : "forbid this key to delete versions",
      `a bucket policy that does this: ${protectingPolicy(job.settings.S3_BUCKET ?? "")}`,
    ]);
  },
});

const dangers: Record<Exclude<Exposure, "protected">, string> = {
  unversioned: "whoever gets hold of this access key can destroy all backups: the bucket keeps no versions",
  "versions deletable":
    "whoever gets hold of this access key can destroy all backups: it may delete the versions that the bucket keeps",
};

/** A policy for the bucket under which the access key can still back up and prune, but destroy nothing. */
export const protectingPolicy = (bucketName: string): string =>
  JSON.stringify({
    Version: "2012-10-17",
    Statement: [
      {
        Effect: "Deny",
        Principal: { AWS: "ARN-OF-THE-KEYS-USER" },
        Action: [
          "s3:DeleteObjectVersion",
          "s3:BypassGovernanceRetention",
          "s3:PutBucketVersioning",
          "s3:PutLifecycleConfiguration",
          "s3:PutBucketPolicy",
          "s3:DeleteBucketPolicy",
        ],
        Resource: [`arn:aws:s3:::${bucketName}`, `arn:aws:s3:::${bucketName}/*`],
      },
    ],
  });
