/** An upload of unknown length: equal parts, bounded memory, nothing left after a failure. */
import { randomUUID } from "node:crypto";
import { open, readFile, stat } from "node:fs/promises";
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { Failure } from "../base/errors.ts";
import { answerTime, type Bucket } from "./bucket.ts";
import { describeError, statusOf } from "./explain.ts";
import { partsAtOnce, partSize, smallestPart } from "./parts.ts";
import { attributes, deleteObject, headObject, putObject, store, type Target } from "./objects.ts";
import { readFailure } from "../base/disk.ts";

/** Cleaning up works after the run was stopped, but not for long. */
const cleanupTime = 15_000;

export interface UploadOptions {
  /** About how long it will be, with margin upwards; decides the part size. Unknown: equal parts up to 78 GiB, then growing ones. */
  expectedBytes?: number;
  /** Never replace an object of this name: an aid, since some servers do not know the condition. */
  ifAbsent?: boolean;
  /** Called with the bytes of each part that has arrived. */
  sent?: ((bytes: number) => void) | undefined;
}

/** An object on its way. It becomes visible when `complete` ends normally, and not before. (lib-storage takes 400 MB and more.) */
export class Upload {
  readonly #bucket: Bucket;
  readonly #target: Target;
  readonly #options: UploadOptions;
  readonly #giveUp = new AbortController();
  readonly #signal: AbortSignal;
  readonly #free: Buffer[] = [];
  readonly #onTheWay = new Set<Promise<void>>();
  readonly #parts: { PartNumber: number; ETag: string | undefined }[] = [];
  #buffer: Buffer;
  #filled = 0;
  #total = 0;
  #begun: Promise<string> | undefined;
  #failure: { error: unknown } | undefined;
  #storing = false;
  #stored = false;
  #aborted = false;

  constructor(bucket: Bucket, name: string, options: UploadOptions = {}) {
    this.#bucket = bucket;
    this.#target = { name, id: randomUUID(), ifAbsent: options.ifAbsent };
    this.#options = options;
    this.#signal = AbortSignal.any([bucket.signal, this.#giveUp.signal]);
    this.#buffer = this.#nextBuffer();
  }

  /** Takes a block and copies it; waits while enough is on its way. Throws once the upload has failed. */
  async write(block: Uint8Array): Promise<void> {
    await this.#explained(async () => {
      for (let rest = block; rest.byteLength > 0;) {
        this.#check();
        if (this.#filled === this.#buffer.length) await this.#sendPart();
        const part = rest.subarray(0, this.#buffer.length - this.#filled);
        this.#buffer.set(part, this.#filled);
        this.#filled += part.byteLength;
        this.#total += part.byteLength;
        rest = rest.subarray(part.byteLength);
      }
    });
  }

  /** Ends the object and compares its size. Throws `Failure` after cleaning up; then nothing is stored. */
  async complete(): Promise<void> {
    try {
      await this.#explained(async () => {
        this.#check();
        if (this.#begun) await this.#completeParts(this.#begun);
        else {
          this.#storing = true;
          await putObject(this.#bucket, this.#target, this.#buffer.subarray(0, this.#filled), this.#signal);
          this.#options.sent?.(this.#total);
        }
        await this.#confirm();
        this.#stored = true;
      });
    } catch (error) {
      if (!this.#stored) await this.abort();
      throw error;
    }
  }

  /**
   * Gives the upload up and cleans up; may be called at any time, even after the run was stopped. After `complete` it
   * takes the object back, unless another run has replaced it. Never throws.
   */
  async abort(): Promise<void> {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#giveUp.abort(new Failure(`the upload of ${this.#target.name} was aborted`));
    await Promise.allSettled(this.#onTheWay);
    try {
      await this.#cleanUp(AbortSignal.timeout(cleanupTime));
    } catch (error) {
      const what = this.#bucket.location(this.#target.name);
      this.#bucket.log.warn(`cannot clean up after the upload of ${what}: ${describeError(error)}`);
    }
  }

  /** Throws when the upload has failed or has ended. */
  #check(): void {
    if (this.#failure) throw this.#failure.error;
    if (this.#stored || this.#aborted) throw new Failure(`the upload of ${this.#target.name} has ended`);
    this.#signal.throwIfAborted();
  }

  #explained<T>(work: () => Promise<T>): Promise<T> {
    const { name } = this.#target;
    return this.#bucket.explained(`upload ${name} to ${this.#bucket.location(name)}`, "s3:PutObject", work);
  }

  #nextBuffer(): Buffer {
    const size = partSize(this.#parts.length + 1, this.#options.expectedBytes);
    const used = this.#free.pop();
    return used?.length === size ? used : Buffer.allocUnsafeSlow(size);
  }

  /** Sends off the filled part and starts the next one. */
  async #sendPart(): Promise<void> {
    const uploadId = await (this.#begun ??= this.#begin());
    while (this.#onTheWay.size >= partsAtOnce(this.#buffer.length)) await Promise.race(this.#onTheWay);
    this.#check();
    const part = { PartNumber: this.#parts.length + 1, ETag: undefined };
    this.#parts.push(part);
    const sending = this.#uploadPart(uploadId, part, this.#buffer, this.#filled)
      .catch((error: unknown) => {
        this.#failure ??= { error };
        this.#giveUp.abort(error);
      })
      .finally(() => this.#onTheWay.delete(sending));
    this.#onTheWay.add(sending);
    this.#buffer = this.#nextBuffer();
    this.#filled = 0;
  }

  /** Not stopped half-way by a signal: an upload whose id we never learn could not be aborted. */
  #begin(): Promise<string> {
    const command = new CreateMultipartUploadCommand(attributes(this.#bucket, this.#target));
    const begun = this.#bucket.tried(
      `begin of the upload of ${this.#target.name}`,
      async () => {
        const late = AbortSignal.timeout(answerTime.begin);
        const { UploadId } = await this.#bucket.client.send(command, { abortSignal: late }).catch((error: unknown) => {
          // the SDK's own error does not say why it was aborted
          throw late.aborted ? late.reason : error;
        });
        if (!UploadId) throw new Failure(`${this.#bucket.location("")} gave no upload id`);
        return UploadId;
      },
      this.#signal,
    );
    begun.catch(() => {}); // it is awaited by #sendPart, and by #cleanUp
    return begun;
  }

  async #uploadPart(
    UploadId: string,
    part: { PartNumber: number; ETag: string | undefined },
    buffer: Buffer,
    bytes: number,
  ): Promise<void> {
    const { client, name, key, tried } = this.#bucket;
    const what = `upload of part ${part.PartNumber} of ${this.#target.name}`;
    const where = { Bucket: name, Key: key(this.#target.name), UploadId, PartNumber: part.PartNumber };
    const command = new UploadPartCommand({ ...where, Body: buffer.subarray(0, bytes), ContentLength: bytes });
    part.ETag = (await tried(what, (signal) => client.send(command, { abortSignal: signal }), this.#signal)).ETag;
    this.#free.push(buffer);
    this.#options.sent?.(bytes);
  }

  async #completeParts(begun: Promise<string>): Promise<void> {
    if (this.#filled > 0) await this.#sendPart();
    await Promise.all(this.#onTheWay);
    this.#check();
    this.#storing = true;
    const { client, name, key } = this.#bucket;
    const where = { Bucket: name, Key: key(this.#target.name), UploadId: await begun };
    await store(this.#bucket, this.#target, this.#total, this.#signal, (condition) =>
      client.send(
        new CompleteMultipartUploadCommand({ ...where, MultipartUpload: { Parts: this.#parts }, ...condition }),
        { abortSignal: this.#signal },
      ),
    );
  }

  /** Compares the size of what is stored with what was sent; ETags are not to be trusted (empty on older Ceph). */
  async #confirm(): Promise<void> {
    const { name, id } = this.#target;
    const where = this.#bucket.location(name);
    const check = async (signal: AbortSignal) => {
      const found = await headObject(this.#bucket, name, signal);
      // some servers take a moment to show what they have stored
      if (!found) throw Object.assign(new Error("the object is not there yet"), { code: "NotThereYet" });
      if (found.id !== id && found.id !== undefined)
        throw new Failure(`${where} was replaced by another run meanwhile`);
      if (found.bytes !== this.#total)
        throw new Failure(`${where} has ${found.bytes} bytes, but ${this.#total} were sent`);
    };
    try {
      await this.#bucket.tried(`check of ${name}`, check, this.#signal);
    } catch (error) {
      if (statusOf(error) !== 403) throw error;
      this.#bucket.log.warn(`${where}: the size cannot be compared, the access key may not read (s3:GetObject)`);
    }
  }

  /** Takes back the parts, and the object too when it arrived after all. */
  async #cleanUp(signal: AbortSignal): Promise<void> {
    const { client, name, key, tried } = this.#bucket;
    const uploadId = await this.#begun?.catch(() => undefined);
    if (uploadId !== undefined && !this.#stored) {
      const where = { Bucket: name, Key: key(this.#target.name), UploadId: uploadId };
      await tried(
        `abort of the upload of ${this.#target.name}`,
        async () => {
          await client.send(new AbortMultipartUploadCommand(where), { abortSignal: signal }).catch((error: unknown) => {
            if (statusOf(error) !== 404) throw error;
          });
        },
        signal,
      );
    }
    if (!this.#storing) return;
    const found = await headObject(this.#bucket, this.#target.name, signal);
    if (found?.id === this.#target.id) await deleteObject(this.#bucket, this.#target.name, signal);
  }
}

/** Bytes that are read at once; larger blocks are hardly faster. */
const blockBytes = 1_048_576;

/**
 * Stores a file. Throws when the file changes meanwhile. The caller compares the sizes of small files: one listing is cheaper than a HEAD
 * for each. `sent` is called with the bytes of each part that has arrived.
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
