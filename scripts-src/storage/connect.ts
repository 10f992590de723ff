/** Storage on the AWS SDK. Loaded only when S3 is needed. */
import { randomUUID } from "node:crypto";
import type { Settings } from "../settings/settings.ts";
import { connectBucket } from "./bucket.ts";
import { download } from "./download.ts";
import { endpointElsewhere } from "./endpoint.ts";
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
