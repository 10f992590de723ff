/** Storage on the AWS SDK. Loaded only when S3 is needed. */
import { randomUUID } from "node:crypto";
import { HeadBucketCommand, type S3Client } from "@aws-sdk/client-s3";
import type { EndpointV2 } from "@smithy/types";
import type { Logger } from "../base/log.ts";
import type { Settings } from "../settings/settings.ts";
import { connectBucket, makeClient, type StorageContext } from "./bucket.ts";
import { download } from "./download.ts";
import { findExposure } from "./exposure.ts";
import { explore, listObjects, sweepStaleUploads } from "./list.ts";
import { deleteObject, headObject, putObject } from "./objects.ts";
import { Upload, uploadFile, type UploadOptions } from "./upload.ts";

/** S3-compatible storage as the scripts need it. */
export type Storage = Awaited<ReturnType<typeof connect>>;

/**
 * Names are relative to S3_PATH. Every method tries again by itself (each time logged), throws an explained `Failure`, and ends with
 * the reason of the run's signal when that is aborted. No request is sent yet.
 */
export async function connect(settings: Settings, bucketName: string, context: StorageContext) {
  const elsewhere = await endpointElsewhere(settings, bucketName, context.log);
  const bucket = connectBucket(settings, bucketName, context);
  const { explained, tried, location, signal, prefix } = bucket;
  return {
    /** The host of the requests, where neither AWS nor S3_URL but AWS_ENDPOINT_URL or ~/.aws/config decides it. */
    elsewhere,
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

const ofAws = /\.(?:amazonaws\.(?:com|com\.cn|eu)|api\.aws)$/;
const reported = new Set<string>();

/** The host of requests where it is neither AWS nor that of S3_URL; it is logged once. Sends nothing. */
async function endpointElsewhere(settings: Settings, bucket: string, log: Logger): Promise<string | undefined> {
  if (settings.S3_URL !== undefined) return undefined;
  // keys play no part in it, and may be missing
  const client = makeClient({ ...settings, S3_ACCESS_KEY: "none", S3_SECRET_KEY: "none" });
  const host = await hostOf(client, bucket);
  client.destroy();
  if (host === "" || ofAws.test(host)) return undefined;
  if (!reported.has(host))
    log.info(`S3 requests go to ${host}: S3_URL is not set, and AWS_ENDPOINT_URL or ~/.aws/config names that server`);
  reported.add(host);
  return host;
}

/** Where the SDK would send requests for a bucket. Sends nothing. */
async function hostOf(client: S3Client, bucket: string): Promise<string> {
  const command = new HeadBucketCommand({ Bucket: bucket });
  let host = "";
  command.middlewareStack.add(
    (_, context) => () => {
      host = (context.endpointV2 as EndpointV2).url.host;
      return Promise.resolve({ response: undefined, output: { $metadata: {} } });
    },
    { step: "build", name: "hostOf" },
  );
  await client.send(command);
  return host;
}
