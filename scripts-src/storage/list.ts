/** Listings, page by page: objects, and uploads that nobody finished. */
import {
  AbortMultipartUploadCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListObjectsV2Command,
  type MultipartUpload,
} from "@aws-sdk/client-s3";
import { Failure } from "../shared/errors.ts";
import type { Bucket } from "./bucket.ts";
import { describeError } from "./explain.ts";
import type { RemoteObject } from "./storage.ts";

/** Keys of strangers may hold what XML cannot: they come percent-encoded, a space as + or %20. */
const decodeKey = (key: string, encoding: string | undefined) =>
  encoding === "url" ? decodeURIComponent(key.replaceAll("+", " ")) : key;

/** See `Storage.list`. */
export async function* listObjects(bucket: Bucket, start = ""): AsyncGenerator<RemoteObject> {
  let token: string | undefined;
  do {
    const page = await listPage(bucket, start, token);
    for (const { Key, Size, LastModified } of page.Contents ?? []) {
      const key = decodeKey(Key ?? "", page.EncodingType);
      yield { key, name: key.slice(bucket.prefix.length), bytes: Size ?? 0, modified: LastModified ?? new Date(0) };
    }
    const next = page.IsTruncated ? page.NextContinuationToken : undefined;
    // half a listing must not pass for a whole one
    if (page.IsTruncated && (!next || next === token)) throw cutShort(bucket);
    token = next;
  } while (token !== undefined);
}

function listPage(bucket: Bucket, start: string, token: string | undefined) {
  const command = new ListObjectsV2Command({
    Bucket: bucket.name,
    Prefix: bucket.prefix + start,
    Delimiter: "/",
    EncodingType: "url",
    ContinuationToken: token,
  });
  return bucket.explained(`list ${bucket.location("")}`, "s3:ListBucket", () =>
    bucket.tried(`listing of ${bucket.location("")}`, (signal) => bucket.client.send(command, { abortSignal: signal })),
  );
}

const cutShort = (bucket: Bucket) =>
  new Failure(`cannot list ${bucket.location("")}: the server says that there is more, but not how to get it`);

/** See `Storage.sweepStaleUploads`. */
export async function sweepStaleUploads(
  bucket: Bucket,
  olderThanMs: number,
  isOurs: (name: string) => boolean,
): Promise<number> {
  let swept = 0;
  try {
    for await (const { Key = "", UploadId, Initiated } of listUploads(bucket)) {
      const age = Date.now() - Number(Initiated ?? Date.now());
      if (age < olderThanMs || !isOurs(Key.slice(bucket.prefix.length))) continue;
      const command = new AbortMultipartUploadCommand({ Bucket: bucket.name, Key, UploadId });
      await bucket.tried(`abort of an old upload of ${Key}`, (signal) =>
        bucket.client.send(command, { abortSignal: signal }),
      );
      bucket.log.info(`aborted an unfinished upload of ${Key}, begun ${Initiated?.toISOString()}`);
      swept++;
    }
  } catch (error) {
    bucket.signal.throwIfAborted();
    bucket.log.debug(`unfinished uploads cannot be swept: ${describeError(error)}`);
  }
  return swept;
}

async function* listUploads(bucket: Bucket): AsyncGenerator<MultipartUpload> {
  let page: ListMultipartUploadsCommandOutput | undefined;
  do {
    const command = new ListMultipartUploadsCommand({
      Bucket: bucket.name,
      Prefix: bucket.prefix,
      KeyMarker: page?.NextKeyMarker,
      UploadIdMarker: page?.NextUploadIdMarker,
    });
    page = await bucket.tried(`listing of unfinished uploads in ${bucket.location("")}`, (signal) =>
      bucket.client.send(command, { abortSignal: signal }),
    );
    yield* page.Uploads ?? [];
  } while (page.IsTruncated && page.NextKeyMarker);
}
