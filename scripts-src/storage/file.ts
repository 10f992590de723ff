/** Uploads a file, in one request or in parts. */
import { randomUUID } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { readFailure } from "../base/disk.ts";
import { Failure } from "../base/errors.ts";
import type { Bucket } from "./bucket.ts";
import { putObject } from "./objects.ts";
import { smallestPart } from "./parts.ts";
import type { UploadOptions } from "./storage.ts";
import { Upload } from "./upload.ts";

/** See `Storage.uploadFile`. */
export async function uploadFile(bucket: Bucket, path: string, name: string, options: UploadOptions): Promise<void> {
  const file = await open(path, "r").catch((error: unknown) => {
    throw readFailure(path, error);
  });
  try {
    const { size } = await file.stat();
    if (size > smallestPart) return await uploadLarge(bucket, file, { path, name, size }, options);
    const body = Buffer.allocUnsafeSlow(size);
    if ((await readSome(file, path, body, 0)) !== size) throw changed(path);
    await bucket.explained(`upload ${name} to ${bucket.location(name)}`, "s3:PutObject", () =>
      putObject(bucket, { name, id: randomUUID(), ifAbsent: options.ifAbsent }, body, bucket.signal),
    );
    options.sent?.(size);
  } finally {
    await file.close();
  }
}

async function uploadLarge(
  bucket: Bucket,
  file: FileHandle,
  { path, name, size }: { path: string; name: string; size: number },
  options: UploadOptions,
): Promise<void> {
  const upload = new Upload(bucket, name, { ...options, expectedBytes: size });
  try {
    for (let position = 0; position < size;) {
      const bytes = await upload.fill((space) => readSome(file, path, space.subarray(0, size - position), position));
      if (bytes === 0) throw changed(path);
      position += bytes;
    }
    if ((await file.stat()).size !== size) throw changed(path);
    await upload.complete();
  } catch (error) {
    await upload.abort();
    throw error;
  }
}

async function readSome(file: FileHandle, path: string, space: Buffer, position: number): Promise<number> {
  if (space.length === 0) return 0;
  const { bytesRead } = await file.read(space, 0, space.length, position).catch((error: unknown) => {
    throw readFailure(path, error);
  });
  return bytesRead;
}

const changed = (path: string) => new Failure(`${path} changed while it was uploaded`);
