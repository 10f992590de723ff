import type { Logger } from "../base/log.ts";
import type { Exposure } from "./exposure.ts";

/** An object in the bucket, directly below S3_PATH. */
export interface RemoteObject {
  /** Name relative to S3_PATH. */
  name: string;
  bytes: number;
}

export interface UploadOptions {
  /** About how long it will be, with margin upwards; decides the part size. Unknown: equal parts up to 78 GiB, then growing ones. */
  expectedBytes?: number;
  /** Never replace an object of this name: an aid, since some servers do not know the condition. */
  ifAbsent?: boolean;
  /** Called with the bytes of each part that has arrived. */
  sent?: (bytes: number) => void;
}

/** An object on its way. It becomes visible when `complete` ends normally, and not before. */
export interface UploadSink {
  /** Takes a block and copies it; waits while enough is on its way. Throws once the upload has failed. */
  write(block: Uint8Array): Promise<void>;
  /** Ends the object and compares its size. Throws `Failure` after cleaning up; then nothing is stored. */
  complete(): Promise<void>;
  /**
   * Gives the upload up and cleans up; may be called at any time, even after the run was stopped. After `complete` it
   * takes the object back, unless another run has replaced it. Never throws.
   */
  abort(): Promise<void>;
}

/**
 * S3-compatible storage as the scripts need it. Names are relative to S3_PATH. Every method tries again by itself
 * (each time logged), throws an explained `Failure`, and ends with the reason of the run's signal when that is aborted.
 */
export interface Storage {
  /** Where an object lies, for people: `s3://bucket/path/name`. */
  location: (name: string) => string;
  /** The host of the requests, where neither AWS nor S3_URL but AWS_ENDPOINT_URL or ~/.aws/config decides it. */
  readonly elsewhere: string | undefined;
  /** The objects directly below S3_PATH whose name starts with `prefix`, in pages of 1,000. */
  list(prefix?: string): AsyncIterable<RemoteObject>;
  /** `S3_PATH/`, or empty. */
  readonly prefix: string;
  /** Names of the objects anywhere in the bucket, folder (`a/b/`) by folder, the upper ones first; at most so many pages of 1,000. */
  explore(pages: number): AsyncIterable<{ folder: string; names: string[] }>;
  /** How far (ms) this machine's clock is ahead of the server's, by its last answer; 0 while they differ by a few minutes or nothing was asked. */
  clockAhead(): number;
  /** Size of one object; undefined when there is none. */
  head(name: string): Promise<{ bytes: number } | undefined>;
  /** Stores a small object in one request. */
  put(name: string, body: Uint8Array, options?: Pick<UploadOptions, "ifAbsent">): Promise<void>;
  upload(name: string, options?: UploadOptions): UploadSink;
  /** Stores a file; throws when it changes meanwhile. The size of a small one is for the caller to compare (a listing is cheaper than a HEAD each). */
  uploadFile(path: string, name: string, options?: UploadOptions): Promise<void>;
  /**
   * The bytes of an object from offset `from` on; a broken connection is resumed where it broke. With `bytes`, an object of
   * another size is refused before any of it is read; more than the announced size is never returned.
   */
  get(name: string, options?: { from?: number; bytes?: number }): AsyncIterable<Uint8Array>;
  /** Deletes one object; one that is not there is no error. */
  delete(name: string): Promise<void>;
  /** What a thief of the access key could do; tried with an object of this name, which is deleted again. */
  exposure(name: string, body: Uint8Array): Promise<Exposure>;
  /**
   * Aborts unfinished uploads below S3_PATH that began more than `olderThanMs` ago and whose name `isOurs`: their parts
   * are billed for ever. Returns how many. A server that does not allow it is noted in the log only.
   */
  sweepStaleUploads(olderThanMs: number, isOurs: (name: string) => boolean): Promise<number>;
}

export interface StorageContext {
  log: Logger;
  /** Aborted when the run is stopped; its reason is a `Stopped`. */
  signal: AbortSignal;
  /** Waits between tries in milliseconds, for tests. */
  waits?: readonly number[];
}
