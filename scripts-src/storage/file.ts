/** Uploads a file, in one request or in parts. */
import { open, readFile, stat } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { readFailure } from "../base/disk.ts";
import { Failure } from "../base/errors.ts";
import type { Bucket } from "./bucket.ts";
import { putObject } from "./objects.ts";
import { smallestPart } from "./parts.ts";
import { Upload } from "./upload.ts";

/** Bytes that are read at once; larger blocks are hardly faster. */
const blockBytes = 1_048_576;

/**
 * Stores a file; throws when it changes meanwhile. The size of a small one is for the caller to compare (a listing is cheaper than a HEAD
 * each). `sent` is called with the bytes of each part that has arrived.
 */
export async function uploadFile(
  bucket: Bucket,
  path: string,
  name: string,
  sent: (bytes: number) => void = () => {},
): Promise<void> {
  const failed = (error: unknown) => Promise.reject(readFailure(path, error));
  const { size } = await stat(path).catch(failed);
  if (size <= smallestPart) {
    const body = await readFile(path).catch(failed);
    await bucket.explained(`upload ${name} to ${bucket.location(name)}`, "s3:PutObject", () =>
      putObject(bucket, { name, id: randomUUID() }, body, bucket.signal),
    );
    return sent(body.length);
  }
  const upload = new Upload(bucket, name, { sent, expectedBytes: size });
  try {
    await using file = await open(path);
    const block = Buffer.allocUnsafeSlow(blockBytes);
    let bytes = 0;
    for (let read = 1; read > 0; bytes += read) {
      read = (await file.read(block, 0, blockBytes, bytes)).bytesRead;
      await upload.write(block.subarray(0, read));
    }
    if (bytes !== size) throw new Failure(`${path} changed while it was uploaded`);
    await upload.complete();
  } catch (error) {
    await upload.abort();
    throw readFailure(path, error);
  }
}
