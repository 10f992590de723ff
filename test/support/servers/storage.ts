/** Opens the storage room for tests: on any S3 server, with short waits, and with a log that can be read. */
import { createHash } from "node:crypto";
import { ListMultipartUploadsCommand, S3Client } from "@aws-sdk/client-s3";
import { getLogger } from "@logtape/logtape";
import type { Logger } from "../../../scripts-src/base/log.ts";
import { settingsFrom } from "../../../scripts-src/settings/settings.ts";
import { openStorage } from "../../../scripts-src/storage/open.ts";
import type { Storage } from "../../../scripts-src/storage/connect.ts";
import type { UploadOptions } from "../../../scripts-src/storage/upload.ts";

/** Any S3 server. */
export interface Login {
  url: string;
  key: string;
  secret: string;
}

/** The S3 settings for a server and a bucket. */
export const s3Settings = (server: Login, bucket: string, path = "") => ({
  S3_URL: server.url,
  S3_BUCKET: bucket,
  S3_PATH: path,
  S3_ACCESS_KEY: server.key,
  S3_SECRET_KEY: server.secret,
});

export interface Opened {
  storage: Storage;
  /** The lines of the log so far. */
  lines: string[];
  /** Stops the run as a signal would. */
  stop: (reason?: Error) => void;
}

const shortWaits = [5, 10, 20, 20, 20, 20, 20];

/** Opens storage with these settings on top of the server's. */
export async function open(
  server: Login,
  bucket: string,
  settings: Record<string, string> = {},
  waits: readonly number[] = shortWaits,
): Promise<Opened> {
  const lines: string[] = [];
  const controller = new AbortController();
  const storage = await openStorage(settingsFrom({ ...s3Settings(server, bucket), ...settings }), {
    log: recordingLog(lines),
    signal: controller.signal,
    waits,
  });
  return { storage, lines, stop: (reason) => controller.abort(reason ?? new Error("stopped by the test")) };
}

/** A log that is an array: "LEVEL text". */
function recordingLog(lines: string[]): Logger {
  const log = getLogger(["backup_scripts", "test", crypto.randomUUID()]);
  for (const level of ["debug", "info", "warn", "error"] as const) {
    (log as unknown as Record<string, (text: string) => void>)[level] = (text) => lines.push(`${level} ${text}`);
  }
  return log;
}

/** The SDK as it comes, to look at a server behind the storage room's back. */
export const plainClient = ({ url, key, secret }: Login): S3Client =>
  new S3Client({
    endpoint: url,
    region: "us-east-1",
    forcePathStyle: true,
    credentials: { accessKeyId: key, secretAccessKey: secret },
  });

/** Keys of the unfinished uploads in a bucket. */
export async function unfinished(client: S3Client, bucket: string): Promise<string[]> {
  const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
  return Uploads.map(({ Key }) => Key ?? "");
}

export const sha256 = (data: Uint8Array): string => createHash("sha256").update(data).digest("hex");

/** Bytes that compress badly and differ everywhere, the same for the same length. */
export function noise(length: number): Buffer {
  const block = Buffer.alloc(Math.min(length, 65_521));
  for (let i = 0, x = length + 1; i < block.length; i++)
    block[i] = (x = (x * 1_103_515_245 + 12_345) & 0x7fffffff) >> 16;
  const data = Buffer.alloc(length);
  for (let at = 0; at < length; at += block.length) block.copy(data, at);
  if (length >= 8) data.writeUInt32LE(length, length - 4);
  return data;
}

/** Sends data in blocks of a size that fits nothing, and gives up as a script would. */
export async function sendAll(
  storage: Storage,
  name: string,
  data: Buffer,
  options: UploadOptions = {},
): Promise<void> {
  const upload = storage.upload(name, options);
  try {
    for (let at = 0; at < data.length; at += 777_777) await upload.write(data.subarray(at, at + 777_777));
    await upload.complete();
  } catch (error) {
    await upload.abort();
    throw error;
  }
}

/** All bytes of an object. */
export const fetchAll = async (storage: Storage, name: string): Promise<Buffer> =>
  Buffer.concat(await Array.fromAsync(storage.get(name)));

/** The names in a listing. */
export const namesOf = async (storage: Storage, prefix?: string): Promise<string[]> =>
  (await Array.fromAsync(storage.list(prefix))).map(({ name }) => name);
