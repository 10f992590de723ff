/** One object in one request: ask for it, store it, delete it. */
import { DeleteObjectCommand, HeadObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { Failure } from "../base/errors.ts";
import type { Bucket } from "./bucket.ts";
import { isTransient, lacksConditions, notS3, statusOf } from "./explain.ts";

/** An object that an upload makes. */
export interface Target {
  name: string;
  /** Kept in the object's metadata: an answer that got lost can be asked for afterwards. */
  id: string;
  ifAbsent?: boolean | undefined;
}

interface Found {
  bytes: number;
  /** `Target.id` of the upload that made it, when it was one of ours. */
  id: string | undefined;
}

/** Undefined when there is none. One try; throws the SDK's error. */
export async function headObject(bucket: Bucket, name: string, signal: AbortSignal): Promise<Found | undefined> {
  try {
    const command = new HeadObjectCommand({ Bucket: bucket.name, Key: bucket.key(name) });
    const head = await bucket.client.send(command, { abortSignal: signal });
    if (head.ETag === undefined && head.LastModified === undefined) throw notS3(200, "no object's headers");
    return { bytes: head.ContentLength ?? 0, id: head.Metadata?.upload };
  } catch (error) {
    if (statusOf(error) === 404) return undefined;
    throw error;
  }
}

/** What of a target goes into the request that makes the object. */
export const attributes = (bucket: Bucket, { name, id }: Target) => ({
  Bucket: bucket.name,
  Key: bucket.key(name),
  Metadata: { upload: id },
  StorageClass: bucket.storageClass,
});

/** Stores bytes in one request. Throws the SDK's error when trying on is no use. */
export async function putObject(bucket: Bucket, target: Target, body: Uint8Array, signal: AbortSignal): Promise<void> {
  await store(bucket, target, body.byteLength, signal, async (condition) => {
    const object = { ...attributes(bucket, target), Body: body, ContentLength: body.byteLength, ...condition };
    // a browser shows a page only when it is called one
    if (target.name.endsWith(".html")) Object.assign(object, { ContentType: "text/html; charset=utf-8" });
    const { ETag } = await bucket.client.send(new PutObjectCommand(object), { abortSignal: signal });
    if (ETag === undefined) throw notS3(200, "no ETag");
  });
}

/**
 * Sends the request that makes an object visible until it works. An error is believed only after asking whether the
 * object is there all the same (servers and proxies answer 500 or nothing at all to what they have done).
 */
export async function store(
  bucket: Bucket,
  target: Target,
  bytes: number,
  signal: AbortSignal,
  send: (condition: { IfNoneMatch?: "*" }) => Promise<unknown>,
): Promise<void> {
  const attempt = async () => {
    try {
      await sendGuarded(bucket, target, signal, send);
    } catch (error) {
      const unsure = isTransient(error) || statusOf(error) === 404 || statusOf(error) === 412;
      if (!unsure || signal.aborted || !(await hasArrived(bucket, target, bytes, signal))) throw error;
    }
  };
  await bucket.tried(`upload of ${target.name}`, attempt, signal);
}

/**
 * With `ifAbsent`, looks whether the name is free and asks the server not to replace anything: some ignore that wish
 * (Ceph 16 in CompleteMultipartUpload), some refuse it (Swift), so both.
 */
async function sendGuarded(
  bucket: Bucket,
  target: Target,
  signal: AbortSignal,
  send: (condition: { IfNoneMatch?: "*" }) => Promise<unknown>,
): Promise<void> {
  if (!target.ifAbsent) return void (await send({}));
  const there = await headObject(bucket, target.name, signal).catch((error: unknown) => {
    if (statusOf(error) !== 403) throw error; // a key that may only write
  });
  if (there && there.id !== target.id)
    throw new Failure(`${bucket.location(target.name)} exists already, another run wrote it`, {
      hints: ["nothing was replaced; if the other run was of another server, give each server an S3_PATH of its own"],
    });
  try {
    await send({ IfNoneMatch: "*" });
  } catch (error) {
    if (!lacksConditions(error)) throw error;
    await send({});
  }
}

async function hasArrived(bucket: Bucket, target: Target, bytes: number, signal: AbortSignal): Promise<boolean> {
  const found = await headObject(bucket, target.name, signal).catch(() => undefined);
  return found?.id === target.id && found.bytes === bytes;
}

/** Deletes an object; one that is not there is no error. Throws the SDK's error. */
export async function deleteObject(bucket: Bucket, name: string, signal = bucket.signal): Promise<void> {
  const command = new DeleteObjectCommand({ Bucket: bucket.name, Key: bucket.key(name) });
  await bucket.tried(
    `deletion of ${name}`,
    async (stop) => {
      try {
        await bucket.client.send(command, { abortSignal: stop });
      } catch (error) {
        if (statusOf(error) !== 404 || (error as Error).name === "NoSuchBucket") throw error;
      }
    },
    signal,
  );
}
