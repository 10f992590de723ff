/** One bucket and folder: the SDK's client set for the whole S3 family, and how every request is tried, logged and explained. */
import { createHash } from "node:crypto";
import { S3Client, type ServiceInputTypes, type ServiceOutputTypes, type StorageClass } from "@aws-sdk/client-s3";
import type { BuildMiddleware } from "@smithy/types";
import { FetchHttpHandler } from "@smithy/fetch-http-handler";
import { trusted, trustInTls } from "../base/authorities.ts";
import { Failure } from "../base/errors.ts";
import { retry } from "../base/retry.ts";
import type { Logger } from "../base/log.ts";
import type { Settings } from "../settings/settings.ts";
import { describeError, explain, isTransient, notS3, statusOf } from "./explain.ts";

/** A minute of patience in all: a router that restarts must not cost a backup of hours. */
const patience = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000];
/** As long as the server has never answered, a wrong setting is likelier than a broken line. */
const firstContactTries = 3;

export interface StorageContext {
  log: Logger;
  /** Aborted when the run is stopped; its reason is a `Stopped`. */
  signal: AbortSignal;
  /** Waits between tries in milliseconds, for tests. */
  waits?: readonly number[];
}

export interface Bucket {
  name: string;
  /** `S3_PATH/`, or empty. */
  prefix: string;
  storageClass: StorageClass | undefined;
  log: Logger;
  signal: AbortSignal;
  client: S3Client;
  /** See `connect`. */
  elsewhere: () => string | undefined;
  /** Key of an object. */
  key: (name: string) => string;
  /** Where an object lies, for people: `s3://bucket/path/name`. */
  location: (name: string) => string;
  /** Sends requests until they work or trying on is no use; `what` is for the log ("upload of x"). Throws the SDK's error. */
  tried: <T>(what: string, work: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal) => Promise<T>;
  /** Does `work` ("list x"), which needs the permission `right` ("s3:ListBucket"); throws an explained `Failure`. */
  explained: <T>(what: string, right: string, work: () => Promise<T>) => Promise<T>;
}

/** No request is sent yet. */
export function connectBucket(
  settings: Settings,
  name: string,
  { log, signal, waits = patience }: StorageContext,
): Bucket {
  const prefix = settings.S3_PATH ? `${settings.S3_PATH}/` : "";
  const client = makeClient(settings);
  let answered = false;
  const tried: Bucket["tried"] = (what, work, stop = signal) =>
    retry(
      what,
      async () => {
        try {
          const result = await work(stop);
          answered = true;
          return result;
        } catch (error) {
          answered ||= statusOf(error) !== undefined;
          throw error;
        }
      },
      {
        log,
        signal: stop,
        waits: waits.map((wait) => Math.round(wait * (0.75 + Math.random() / 2))),
        again: isTransient,
        limit: () => (answered ? Infinity : firstContactTries),
        describe: describeError,
      },
    );
  return {
    name,
    prefix,
    storageClass: settings.S3_STORAGE_CLASS as StorageClass | undefined,
    log,
    signal,
    client,
    elsewhere: settings.S3_URL === undefined ? watchHost(client, log) : () => undefined,
    key: (object) => prefix + object,
    location: (object) => `s3://${name}/${prefix}${object}`,
    tried,
    async explained(what, right, work) {
      try {
        return await work();
      } catch (error) {
        signal.throwIfAborted();
        throw error instanceof Failure ? error : explain(error, what, right, settings);
      }
    },
  };
}

const ofAws = /\.(?:amazonaws\.(?:com|com\.cn|eu)|api\.aws)$/;
const reported = new Set<string | undefined>();

/** Logs once to which host requests go, when AWS_ENDPOINT_URL or ~/.aws/config names it. The returned function returns that host. */
function watchHost(client: S3Client, log: Logger): () => string | undefined {
  let elsewhere: string | undefined;
  const watch: BuildMiddleware<ServiceInputTypes, ServiceOutputTypes> = (next) => (args) => {
    const { hostname, port } = args.request as { hostname: string; port?: number };
    if (!ofAws.test(hostname)) elsewhere = port === undefined ? hostname : `${hostname}:${port}`;
    if (elsewhere !== undefined && !reported.has(elsewhere))
      log.info(
        `S3 requests go to ${elsewhere}: S3_URL is not set, and AWS_ENDPOINT_URL or ~/.aws/config names that server`,
      );
    reported.add(elsewhere);
    return next(args);
  };
  client.middlewareStack.add(watch, { step: "build", name: "watchHost" });
  return () => elsewhere;
}

/**
 * The client for every kind of S3: bodies are plain bytes with Content-MD5 instead of CRC32 trailers (which R2, B2, older
 * Ceph and MinIO refuse or corrupt, aws/aws-sdk-js-v3#6810), no `Expect: 100-continue`, tries are ours and logged.
 */
function makeClient(settings: Settings): S3Client {
  if (settings.S3_ACCESS_KEY === undefined) trustInTls();
  const client = new S3Client({
    region: settings.S3_REGION,
    ...(settings.S3_URL && { endpoint: settings.S3_URL }),
    forcePathStyle: settings.S3_FORCE_PATH_STYLE ?? settings.S3_URL !== undefined,
    // without keys: AWS's own chain (environment, profile, role)
    ...(settings.S3_ACCESS_KEY !== undefined &&
      settings.S3_SECRET_KEY !== undefined && {
        credentials: {
          accessKeyId: settings.S3_ACCESS_KEY,
          secretAccessKey: settings.S3_SECRET_KEY,
          ...(settings.S3_SESSION_TOKEN && { sessionToken: settings.S3_SESSION_TOKEN }),
        },
      }),
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    expectContinueHeader: false,
    maxAttempts: 1,
    defaultsMode: "standard",
    requestHandler: fetchHandler,
  });
  client.middlewareStack.add(protectBody, { step: "build", priority: "low", name: "protectBody" });
  return client;
}

/**
 * Content-MD5 of a body: every provider verifies it, and a bucket with Object Lock demands it. It is signed, so the bytes
 * themselves need not be: their sha256 would cost us and the server another 0.6 s of CPU a GiB.
 */
const protectBody: BuildMiddleware<ServiceInputTypes, ServiceOutputTypes> = (next) => (args) => {
  const { body, headers } = args.request as { body?: unknown; headers: Record<string, string> };
  if (body instanceof Uint8Array || typeof body === "string")
    headers["content-md5"] = createHash("md5").update(body).digest("base64");
  if (body instanceof Uint8Array) headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD";
  return next(args);
};

/**
 * How long (ms) an answer may take; CompleteMultipartUpload of a large object takes the server minutes, the begin of an upload does
 * not. Tests make it shorter.
 */
export const answerTime = { POST: 900_000, other: 120_000, begin: 30_000 };

/**
 * The SDK's way to the network, on Bun's own HTTP client instead of node:http: half the CPU time and 80 MB less memory
 * for a 1 GiB upload.
 */
const fetchHandler = new FetchHttpHandler({ keepAlive: true, customFetch: send as typeof fetch });

/** The body of an object is a stream; that of any other answer is complete, since the limit of time holds for it too. */
async function send(request: Request): Promise<Response> {
  const { method, url, headers } = request;
  // how long a body takes depends on the line: Bun's own limit, 5 minutes without a byte, is right for it
  const limit = method === "POST" ? answerTime.POST : request.body ? undefined : answerTime.other;
  headers.set("accept-encoding", "identity");
  const late = new AbortController();
  const timer = limit && setTimeout(() => late.abort(new DOMException("no answer in time", "TimeoutError")), limit);
  try {
    const answer = await fetch(request, {
      redirect: "manual",
      decompress: false,
      timeout: limit === undefined,
      signal: AbortSignal.any([request.signal, late.signal]),
      ...trusted(),
    } as RequestInit);
    if (answer.ok && method !== "GET" && answer.headers.get("content-type")?.startsWith("text/html"))
      throw notS3(answer.status, await answer.text());
    if (method === "GET" && answer.ok && new URL(url).searchParams.get("x-id") === "GetObject") return answer;
    const bytes = await answer.bytes();
    return new Response(bytes.length > 0 ? bytes : null, answer);
  } finally {
    clearTimeout(timer);
  }
}
