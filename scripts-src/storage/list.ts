/** Listings, page by page: objects, and uploads that nobody finished. */
import {
  AbortMultipartUploadCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListObjectsV2Command,
  type MultipartUpload,
} from "@aws-sdk/client-s3";
import type { DeserializeMiddleware } from "@smithy/types";
import { Failure } from "../base/errors.ts";
import type { Bucket } from "./bucket.ts";
import { describeError, notS3 } from "./explain.ts";

/** A file in a folder, or an object directly below S3_PATH. */
export interface StoredFile {
  name: string;
  bytes: number;
}

/** See `connect`. */
export async function* listObjects(bucket: Bucket, start = ""): AsyncGenerator<StoredFile> {
  for await (const { objects } of listPages(bucket, start)) yield* objects;
}

/** See `connect`. */
export async function* explore(bucket: Bucket, pages: number): AsyncGenerator<{ folder: string; names: string[] }> {
  let left = pages;
  for (const waiting = [""]; waiting.length > 0;) {
    const folder = waiting.shift() ?? "";
    for await (const { objects, folders } of listPages({ ...bucket, prefix: folder }, "")) {
      yield { folder, names: objects.map(({ name }) => name) };
      waiting.push(...folders);
      if (--left <= 0) return;
    }
  }
}

/** The objects directly below the bucket's prefix, and the prefixes of those that lie deeper. */
async function* listPages(bucket: Bucket, start: string): AsyncGenerator<{ objects: StoredFile[]; folders: string[] }> {
  let token: string | undefined;
  do {
    const page = await listPage(bucket, start, token);
    const objects = (page.Contents ?? []).map(({ Key = "", Size = 0 }) => ({
      name: decodeKey(Key, page.EncodingType).slice(bucket.prefix.length),
      bytes: Size,
    }));
    const folders = (page.CommonPrefixes ?? []).map(({ Prefix = "" }) => decodeKey(Prefix, page.EncodingType));
    yield { objects, folders };
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
  command.middlewareStack.add(requireRoot("<ListBucketResult"), reading);
  const where = bucket.location("");
  return bucket.explained(`list ${where}`, "s3:ListBucket", () =>
    bucket.tried(`listing of ${where}`, (signal) => bucket.client.send(command, { abortSignal: signal })),
  );
}

const reading = { step: "deserialize", priority: "low" } as const;

/** An answer without `root` fails: a web page must not pass for an empty listing. */
const requireRoot =
  <I extends object, O extends object>(root: string): DeserializeMiddleware<I, O> =>
  (next) =>
  async (args) => {
    const result = await next(args);
    const response = result.response as { statusCode: number; body: ReadableStream | Buffer };
    const text = await new Response(response.body).text();
    if (response.statusCode === 200 && !text.includes(root)) throw notS3(200, text);
    response.body = Buffer.from(text);
    return result;
  };

/**
 * A key as it is: keys may hold what XML cannot, so they come percent-encoded (a space as + or %20). One that is encoded wrongly
 * stays as it came: no backup has such a name.
 */
function decodeKey(key: string, encoding: string | undefined): string {
  try {
    return encoding === "url" ? decodeURIComponent(key.replaceAll("+", " ")) : key;
  } catch {
    return key;
  }
}

const cutShort = (bucket: Bucket) =>
  new Failure(`cannot list ${bucket.location("")}: the server says that there is more, but not how to get it`);

/**
 * Aborts unfinished uploads below S3_PATH that began more than `olderThanMs` ago and whose name `isOurs`: their parts
 * are billed for ever. Returns how many. A server that does not allow it is noted in the log only.
 */
export async function sweepStaleUploads(
  bucket: Bucket,
  olderThanMs: number,
  isOurs: (name: string) => boolean,
): Promise<number> {
  let swept = 0;
  try {
    for await (const { Key = "", UploadId, Initiated } of listUploads(bucket)) {
      // by the server's clock: were ours days ahead, uploads of other runs would be taken for old ones
      const now = Date.now() + bucket.client.config.systemClockOffset;
      const age = now - Number(Initiated ?? now);
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
    command.middlewareStack.add(requireRoot("<ListMultipartUploadsResult"), reading);
    page = await bucket.tried(`listing of unfinished uploads in ${bucket.location("")}`, (signal) =>
      bucket.client.send(command, { abortSignal: signal }),
    );
    yield* page.Uploads ?? [];
  } while (page.IsTruncated && page.NextKeyMarker);
}
