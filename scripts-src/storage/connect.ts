/** Storage on the AWS SDK. Loaded only when S3 is needed. */
import { randomUUID } from "node:crypto";
import { HeadBucketCommand, type S3Client } from "@aws-sdk/client-s3";
import type { EndpointV2 } from "@smithy/types";
import type { Logger } from "../base/log.ts";
import type { Settings } from "../settings/settings.ts";
import { connectBucket, makeClient } from "./bucket.ts";
import { download } from "./download.ts";
import { findExposure } from "./exposure.ts";
import { uploadFile } from "./file.ts";
import { explore, listObjects, sweepStaleUploads } from "./list.ts";
import { deleteObject, headObject, putObject } from "./objects.ts";
import type { Storage, StorageContext } from "./storage.ts";
import { Upload } from "./upload.ts";

/** See `openStorage`. No request is sent yet. */
export async function connect(settings: Settings, bucketName: string, context: StorageContext): Promise<Storage> {
  const elsewhere = await endpointElsewhere(settings, bucketName, context.log);
  const bucket = connectBucket(settings, bucketName, context);
  const { explained, tried, location, signal } = bucket;
  return {
    elsewhere,
    location,
    list: (prefix) => listObjects(bucket, prefix),
    prefix: bucket.prefix,
    explore: (pages) => explore(bucket, pages),
    // the SDK compares the clocks with every answer, to sign by the server's
    clockAhead: () => -bucket.client.config.systemClockOffset,
    head: (name) =>
      explained(`look at ${location(name)}`, "s3:GetObject", () =>
        tried(`look at ${name}`, (stop) => headObject(bucket, name, stop)),
      ),
    put: (name, body, { ifAbsent } = {}) =>
      explained(`upload ${name} to ${location(name)}`, "s3:PutObject", () =>
        putObject(bucket, { name, id: randomUUID(), ifAbsent }, body, signal),
      ),
    upload: (name, options) => new Upload(bucket, name, options),
    uploadFile: (path, name, options = {}) => uploadFile(bucket, path, name, options),
    get: (name, { from, bytes } = {}) => download(bucket, name, from, bytes),
    delete: (name) => explained(`delete ${location(name)}`, "s3:DeleteObject", () => deleteObject(bucket, name)),
    exposure: (name, body) =>
      explained(`try versions of ${location(name)}`, "s3:PutObject", () => findExposure(bucket, name, body)),
    sweepStaleUploads: (olderThanMs, isOurs) => sweepStaleUploads(bucket, olderThanMs, isOurs),
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
