/** What somebody who got hold of the access key could do to what it has stored: tried on an object, not read from rules. */
import {
  DeleteObjectCommand,
  type DeleteObjectCommandInput,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandOutput,
  PutObjectCommand,
} from "@aws-sdk/client-s3";
import type { Bucket } from "./bucket.ts";
import { statusOf } from "./explain.ts";

/**
 * - `unversioned`: overwrite or delete every object, and nothing is left of it.
 * - `versions deletable`: the same, by deleting the versions that the bucket keeps.
 * - `protected`: neither; a version stays of whatever is overwritten or deleted (a policy or an object lock guards it).
 */
export type Exposure = "unversioned" | "versions deletable" | "protected";

/** Stores an object, deletes it, and tries to delete its version too. Leaves nothing where it can. Throws the SDK's error. */
export async function findExposure(bucket: Bucket, name: string, body: Uint8Array): Promise<Exposure> {
  const target = { Bucket: bucket.name, Key: bucket.key(name) };
  const put = (abortSignal: AbortSignal) =>
    bucket.client.send(new PutObjectCommand({ ...target, Body: body, ContentLength: body.byteLength }), {
      abortSignal,
    });
  const { VersionId } = await bucket.tried(`upload of ${name}`, put);
  const isDeleted = await mayDelete(bucket, target);
  if (VersionId === undefined || VersionId === "null")
    return isDeleted || (await may(bucket, put)) ? "unversioned" : "protected";
  if (!(await mayDestroy(bucket, { ...target, VersionId }))) return "protected";
  await removeVersions(bucket, target);
  return "versions deletable";
}

/** False when the access key may not, or the bucket locks its objects. Throws the SDK's error. */
async function may(bucket: Bucket, work: (abortSignal: AbortSignal) => Promise<unknown>): Promise<boolean> {
  try {
    await bucket.tried("probe of the bucket", work);
    return true;
  } catch (error) {
    if (statusOf(error) === 403) return false;
    throw error;
  }
}

const mayDelete = (bucket: Bucket, object: DeleteObjectCommandInput) =>
  may(bucket, (abortSignal) => bucket.client.send(new DeleteObjectCommand(object), { abortSignal }));

const mayDestroy = async (bucket: Bucket, version: DeleteObjectCommandInput) =>
  (await mayDelete(bucket, version)) || (await mayDelete(bucket, { ...version, BypassGovernanceRetention: true }));

/** Those of earlier tries, and the mark that a deletion leaves; as far as the access key can list them. */
async function removeVersions(bucket: Bucket, target: { Bucket: string; Key: string }): Promise<void> {
  const { Versions = [], DeleteMarkers = [] } = await bucket.client
    .send(new ListObjectVersionsCommand({ Bucket: target.Bucket, Prefix: target.Key }), { abortSignal: bucket.signal })
    .catch(() => ({}) as ListObjectVersionsCommandOutput);
  for (const { Key, VersionId } of [...Versions, ...DeleteMarkers])
    if (Key === target.Key) await mayDestroy(bucket, { ...target, VersionId });
}
