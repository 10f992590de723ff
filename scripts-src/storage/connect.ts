/** Storage on the AWS SDK. Loaded only when S3 is needed. */
import { randomUUID } from "node:crypto";
import type { Settings } from "../settings/settings.ts";
import { connectBucket, type StorageContext } from "./bucket.ts";
import { download } from "./download.ts";
import { findExposure } from "./exposure.ts";
import { explore, listObjects, sweepStaleUploads } from "./list.ts";
import { deleteObject, headObject, putObject } from "./objects.ts";
import { Upload, uploadFile, type UploadOptions } from "./upload.ts";

/** S3-compatible storage as the scripts need it. */
export type Storage = ReturnType<typeof connect>;

/**
 * Names are relative to S3_PATH. Every method tries again by itself (each time logged), throws an explained `Failure`, and ends with
 * the reason of the run's signal when that is aborted. No request is sent yet.
 */
export function connect(settings: Settings, bucketName: string, context: StorageContext) {
  const bucket = connectBucket(settings, bucketName, context);
  const { explained, tried, location, signal, prefix } = bucket;
  return {
    /** The host of the requests that were sent, where neither AWS nor S3_URL but AWS_ENDPOINT_URL or ~/.aws/config decides it. */
    elsewhere: bucket.elsewhere,
    location,
    prefix,
    /** The objects directly below S3_PATH whose name starts with `start`, in pages of 1,000. */
    list: (start?: string) => listObjects(bucket, start),
    /** Names of the objects anywhere in the bucket, folder (`a/b/`) by folder, the upper ones first; at most so many pages of 1,000. */
    explore: (pages: number) => explore(bucket, pages),
    /** How far (ms) this machine's clock is ahead of the server's, as the SDK saw it at the last answer; 0 while that is a few minutes. */
    clockAhead: () => -bucket.client.config.systemClockOffset,
    /** Size of one object; undefined when there is none. */
    head: (name: string): Promise<{ bytes: number } | undefined> =>
      explained(`look at ${location(name)}`, "s3:GetObject", () =>
        tried(`look at ${name}`, (stop) => headObject(bucket, name, stop)),
      ),
    /** Stores a small object in one request. */
    put: (name: string, body: Uint8Array) =>
      explained(`upload ${name} to ${location(name)}`, "s3:PutObject", () =>
        putObject(bucket, { name, id: randomUUID() }, body, signal),
      ),
    upload: (name: string, options?: UploadOptions) => new Upload(bucket, name, options),
    uploadFile: (path: string, name: string, sent?: (bytes: number) => void) => uploadFile(bucket, path, name, sent),
    get: (name: string, bytes?: number) => download(bucket, name, bytes),
    /** Deletes one object; one that is not there is no error. */
    delete: (name: string) =>
      explained(`delete ${location(name)}`, "s3:DeleteObject", () => deleteObject(bucket, name)),
    /** What a thief of the access key could do; tried with an object of this name, which is deleted again. */
    exposure: (name: string, body: Uint8Array) =>
      explained(`try versions of ${location(name)}`, "s3:PutObject", () => findExposure(bucket, name, body)),
    sweepStaleUploads: (olderThanMs: number, isOurs: (name: string) => boolean) =>
      sweepStaleUploads(bucket, olderThanMs, isOurs),
  };
}
