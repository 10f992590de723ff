/**
 * An S3 server for tests, strict by default: it runs where no Ceph can be installed, behaves on demand like other
 * members of the S3 family, and fails on demand. The storage conformance tests keep it honest: they run against Ceph too.
 */
import { createHash, randomBytes } from "node:crypto";
import { S3Error, verifyChecksums, verifySignature } from "./s3-signature.ts";

export type Operation =
  | "ListBuckets"
  | "CreateBucket"
  | "HeadBucket"
  | "ListObjectsV2"
  | "ListMultipartUploads"
  | "PutObject"
  | "GetObject"
  | "HeadObject"
  | "DeleteObject"
  | "CreateMultipartUpload"
  | "UploadPart"
  | "ListParts"
  | "CompleteMultipartUpload"
  | "AbortMultipartUpload";

export interface StoredObject {
  body: Buffer;
  etag: string;
  modified: Date;
  metadata: Record<string, string>;
}

interface Upload {
  id: string;
  bucket: string;
  key: string;
  initiated: Date;
  metadata: Record<string, string>;
  parts: Map<number, { body: Buffer; etag: string; modified: Date }>;
}

/** What a request was, as the log keeps it. */
export interface Asked {
  operation: Operation;
  bucket: string;
  key: string;
  bytes: number;
  partNumber: number | undefined;
  headers: Record<string, string>;
  /** Status of the answer, set when it is given. */
  status: number;
}

/** Ways in which relatives differ from AWS. */
export interface Behaviour {
  /** `If-None-Match: *`: as on AWS; ignored when a multipart upload completes (Ceph 16); 501 for PutObject (Swift). */
  conditions: "aws" | "ceph16" | "swift";
  /** ETag of CompleteMultipartUpload: as on AWS, or empty (Ceph 16), or made up. */
  completeEtag: "aws" | "empty" | "wrong";
  /** Errors carry no message (Ceph 16). */
  silent: boolean;
  /** All parts but the last must have one size (R2). */
  equalParts: boolean;
  /** Every body needs Content-MD5 (Object Lock). */
  needsMd5: boolean;
  /** Signatures of another region are refused. */
  region: string | undefined;
  /** The server's clock is so much ahead (ms). */
  clockAhead: number;
  /** The rights that the key lacks. */
  denied: Operation[];
  /** Objects on a page of a listing. */
  pageSize: number;
}

/**
 * What goes wrong with requests of an operation. `instead`: this answer, nothing done. `afterwards`: it is done, and then
 * this answer. `mangle`: the body of the answer is changed. `delay`: ms before it is done, or what it
 * waits for.
 */
export interface Fault {
  operation: Operation;
  /** Only for keys like this. */
  key?: RegExp;
  /** How often; always when absent. */
  times?: number;
  /** Only from so many requests of the operation on (0: from the first). */
  after?: number;
  instead?: { status: number; code: string };
  afterwards?: { status: number; code: string };
  mangle?: (body: string) => string;
  delay?: number | Promise<unknown>;
  /** So many bytes of the object are lost when it is stored. */
  lose?: number;
}

export interface S3Server {
  url: string;
  key: string;
  secret: string;
  behaviour: Behaviour;
  faults: Fault[];
  asked: Asked[];
  /** Creates a bucket, of a new name unless one is given. */
  newBucket(name?: string): Promise<string>;
  /** The objects of a bucket by key. */
  objects(bucket: string): Map<string, StoredObject>;
  /** Unfinished uploads of a bucket. */
  uploads(bucket: string): { key: string; id: string; initiated: Date }[];
  stop(): Promise<void>;
}

const md5 = (data: Uint8Array) => createHash("md5").update(data).digest("hex");
const smallestPart = 5 * 1024 * 1024;

/** Puts an object into a bucket behind the server's back; its own time is now. */
export function storeObject(objects: Map<string, StoredObject>, key: string, body: Buffer): void {
  objects.set(key, { body, etag: `"${md5(body)}"`, modified: new Date(), metadata: {} });
}

/** Takes a backup and its manifest out of a bucket. */
export function dropObject(objects: Map<string, unknown>, key: string): void {
  for (const name of [key, `${key}.json`]) objects.delete(name);
}

/** Where the server listens, and to whom. */
export interface Address {
  hostname: string;
  /** 0: a free one. */
  port: number;
  key: string;
  secret: string;
  /** Over TLS, with this certificate. */
  tls?: { key: string; cert: string };
}

const loopback: Address = { hostname: "127.0.0.1", port: 0, key: "testaccesskey", secret: "testsecretkey/0123456789+" };

/** Starts a server, on a free port of 127.0.0.1 unless told otherwise. */
export function startS3Server(changes: Partial<Behaviour> = {}, where: Partial<Address> = {}): S3Server {
  const address = { ...loopback, ...where };
  const behaviour: Behaviour = {
    conditions: "aws",
    completeEtag: "aws",
    silent: false,
    equalParts: false,
    needsMd5: false,
    region: "us-east-1",
    clockAhead: 0,
    denied: [],
    pageSize: 1000,
    ...changes,
  };
  const { key, secret } = address;
  const state: State = { behaviour, buckets: new Map(), uploads: new Map() };
  const asked: Asked[] = [];
  const faults: Fault[] = [];
  const counts = new Map<Operation, number>();

  async function answer(request: Request): Promise<Response> {
    const target = request.url.slice(new URL(request.url).origin.length);
    const body = Buffer.from(await request.arrayBuffer());
    const asks = understand(request, target, body);
    const log: Asked = { ...asks, bytes: body.length, headers: Object.fromEntries(request.headers), status: 0 };
    asked.push(log);
    const count = counts.get(asks.operation) ?? 0;
    counts.set(asks.operation, count + 1);
    const fits = (f: Fault) => f.operation === asks.operation && (f.key?.test(asks.key) ?? true);
    const fault = faults.find((f) => fits(f) && count >= (f.after ?? 0) && (f.times ?? 1) > 0);
    if (fault?.times !== undefined) fault.times--;
    const response = await respond(request, target, asks, fault);
    log.status = response.status;
    return response;
  }

  async function respond(request: Request, target: string, asks: Asks, fault?: Fault): Promise<Response> {
    const date = { date: new Date(Date.now() + behaviour.clockAhead).toUTCString() };
    try {
      if (fault?.delay !== undefined) await (typeof fault.delay === "number" ? Bun.sleep(fault.delay) : fault.delay);
      if (fault?.instead) throw new S3Error(fault.instead.status, fault.instead.code);
      const rules = { keys: { [key]: secret }, region: behaviour.region, now: () => Date.now() + behaviour.clockAhead };
      verifySignature(request, target, asks.body, rules);
      verifyChecksums(request, asks.body);
      checkKind(request, asks, behaviour);
      const result = operations[asks.operation](state, asks);
      if (fault?.lose) loseBytes(state, asks, fault.lose);
      if (fault?.afterwards) throw new S3Error(fault.afterwards.status, fault.afterwards.code);
      const { status = 200, headers = {}, body = "" } = result;
      const sent = fault?.mangle && typeof body === "string" ? fault.mangle(body) : body;
      return new Response(status === 204 ? null : sent, { status, headers: { ...date, ...headers } });
    } catch (error) {
      if (!(error instanceof S3Error)) throw error;
      const message = behaviour.silent ? "" : `<Message>${escape(error.message)}</Message>`;
      const extra = Object.entries(error.extra).map(([name, value]) => `<${name}>${value}</${name}>`);
      const text = `<?xml version="1.0"?><Error><Code>${error.code}</Code>${message}${extra.join("")}</Error>`;
      const bare = request.method === "HEAD" || error.status === 304;
      return new Response(bare ? null : text, {
        status: error.status,
        headers: { ...date, "content-type": "application/xml" },
      });
    }
  }

  const server = Bun.serve({
    port: address.port,
    hostname: address.hostname,
    idleTimeout: 0,
    maxRequestBodySize: 2 ** 33,
    fetch: answer,
    ...(address.tls && { tls: address.tls }),
  });
  return {
    url: `${address.tls ? "https" : "http"}://127.0.0.1:${server.port}`,
    key,
    secret,
    behaviour,
    faults,
    asked,
    async newBucket(name = `test-${randomBytes(5).toString("hex")}`) {
      state.buckets.set(name, new Map());
      return name;
    },
    objects: (bucket) => state.buckets.get(bucket) ?? new Map<string, StoredObject>(),
    uploads: (bucket) => [...state.uploads.values()].filter((upload) => upload.bucket === bucket),
    stop: () => server.stop(true),
  };
}

interface State {
  behaviour: Behaviour;
  buckets: Map<string, Map<string, StoredObject>>;
  uploads: Map<string, Upload>;
}

interface Asks {
  operation: Operation;
  bucket: string;
  key: string;
  query: URLSearchParams;
  headers: Headers;
  body: Buffer;
  partNumber: number | undefined;
}

function understand(request: Request, target: string, body: Buffer): Asks {
  const [path = "", search = ""] = target.split("?", 2);
  const [, inHost] = /^(.+)\.localhost:/.exec(request.headers.get("host") ?? "") ?? [];
  const [, bucket = "", key = ""] = /^\/([^/]*)\/?(.*)$/s.exec(inHost ? `/${inHost}${path}` : path) ?? [];
  const query = new URLSearchParams(search);
  const partNumber = query.has("partNumber") ? Number(query.get("partNumber")) : undefined;
  const operation = operationOf(request.method, bucket, key, query);
  return { operation, bucket, key: decodeURIComponent(key), query, headers: request.headers, body, partNumber };
}

function operationOf(method: string, bucket: string, key: string, query: URLSearchParams): Operation {
  const multipart = query.has("uploadId");
  if (bucket === "") return "ListBuckets";
  if (key === "") {
    if (method === "PUT") return "CreateBucket";
    if (method === "HEAD") return "HeadBucket";
    return query.has("uploads") ? "ListMultipartUploads" : "ListObjectsV2";
  }
  if (method === "PUT") return multipart ? "UploadPart" : "PutObject";
  if (method === "POST") return multipart ? "CompleteMultipartUpload" : "CreateMultipartUpload";
  if (method === "DELETE") return multipart ? "AbortMultipartUpload" : "DeleteObject";
  if (method === "HEAD") return "HeadObject";
  return multipart ? "ListParts" : "GetObject";
}

/** What is wrong with a request whatever its operation. */
function checkKind(request: Request, asks: Asks, behaviour: Behaviour): void {
  if (request.headers.get("content-encoding")?.includes("aws-chunked"))
    throw new S3Error(501, "NotImplemented", "aws-chunked bodies are not taken");
  if (behaviour.denied.includes(asks.operation)) throw new S3Error(403, "AccessDenied", "Access Denied");
  const stores = asks.operation === "PutObject" || asks.operation === "UploadPart";
  if (
    behaviour.needsMd5 &&
    stores &&
    ![...request.headers.keys()].some((name) => /^content-md5$|^x-amz-checksum-/.test(name))
  )
    throw new S3Error(400, "InvalidRequest", "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object");
  if (Buffer.byteLength(asks.key) > 1024) throw new S3Error(400, "KeyTooLongError", "Your key is too long");
}

interface Done {
  status?: number;
  headers?: Record<string, string>;
  body?: string | Uint8Array;
}

const operations: Record<Operation, (state: State, asks: Asks) => Done> = {
  ListBuckets: () => ({ body: xml("ListAllMyBucketsResult", "") }),
  CreateBucket(state, { bucket }) {
    if (!state.buckets.has(bucket)) state.buckets.set(bucket, new Map());
    return {};
  },
  HeadBucket: (state, asks) => (objectsOf(state, asks), {}),
  PutObject(state, asks) {
    const objects = objectsOf(state, asks);
    if (asks.headers.has("if-none-match") && state.behaviour.conditions === "swift")
      throw new S3Error(501, "NotImplemented", "A header you provided implies functionality that is not implemented.");
    checkCondition(objects, asks);
    const etag = `"${md5(asks.body)}"`;
    objects.set(asks.key, { body: asks.body, etag, modified: new Date(), metadata: metadataOf(asks) });
    return { headers: { etag } };
  },
  GetObject(state, asks) {
    const { body, etag, modified, metadata } = objectOf(state, asks);
    const match = asks.headers.get("if-match");
    if (match !== null && match !== etag) throw new S3Error(412, "PreconditionFailed");
    const headers = { etag, "last-modified": modified.toUTCString(), ...namedMetadata(metadata) };
    const [, from] = /^bytes=(\d+)-$/.exec(asks.headers.get("range") ?? "") ?? [];
    if (from === undefined) return { headers, body };
    if (Number(from) >= body.length) throw new S3Error(416, "InvalidRange");
    const range = { "content-range": `bytes ${from}-${body.length - 1}/${body.length}` };
    return { status: 206, headers: { ...headers, ...range }, body: body.subarray(Number(from)) };
  },
  HeadObject(state, asks) {
    const { body, etag, modified, metadata } = objectOf(state, asks);
    const headers = { etag, "last-modified": modified.toUTCString(), ...namedMetadata(metadata) };
    return { headers: { ...headers, "content-length": String(body.length) } };
  },
  DeleteObject: (state, asks) => (objectsOf(state, asks).delete(asks.key), { status: 204 }),
  ListObjectsV2: listObjects,
  ListMultipartUploads(state, asks) {
    objectsOf(state, asks);
    const prefix = asks.query.get("prefix") ?? "";
    const found = [...state.uploads.values()].filter((u) => u.bucket === asks.bucket && u.key.startsWith(prefix));
    const one = ({ id, key, initiated }: Upload) =>
      `<Upload><Key>${escape(key)}</Key><UploadId>${id}</UploadId><Initiated>${initiated.toISOString()}</Initiated></Upload>`;
    return { body: xml("ListMultipartUploadsResult", `<IsTruncated>false</IsTruncated>${found.map(one).join("")}`) };
  },
  CreateMultipartUpload(state, asks) {
    objectsOf(state, asks);
    const { bucket, key } = asks;
    const id = randomBytes(16).toString("hex");
    state.uploads.set(id, { id, bucket, key, initiated: new Date(), metadata: metadataOf(asks), parts: new Map() });
    return { body: xml("InitiateMultipartUploadResult", `<UploadId>${id}</UploadId>`) };
  },
  UploadPart(state, asks) {
    const upload = uploadOf(state, asks);
    const number = asks.partNumber ?? 0;
    if (number < 1 || number > 10_000) throw new S3Error(400, "InvalidArgument", "Part number must be 1 to 10000");
    const etag = `"${md5(asks.body)}"`;
    upload.parts.set(number, { body: asks.body, etag, modified: new Date() });
    return { headers: { etag } };
  },
  ListParts(state, asks) {
    const parts = [...uploadOf(state, asks).parts].map(
      ([number, { body, etag }]) =>
        `<Part><PartNumber>${number}</PartNumber><ETag>${etag}</ETag><Size>${body.length}</Size></Part>`,
    );
    return { body: xml("ListPartsResult", `<IsTruncated>false</IsTruncated>${parts.join("")}`) };
  },
  CompleteMultipartUpload: completeUpload,
  AbortMultipartUpload(state, asks) {
    state.uploads.delete(uploadOf(state, asks).id);
    return { status: 204 };
  },
};

function listObjects(state: State, asks: Asks): Done {
  const { query } = asks;
  const [prefix, delimiter] = [query.get("prefix") ?? "", query.get("delimiter") ?? ""];
  const after = query.get("continuation-token") ?? query.get("start-after") ?? "";
  const code = (key: string) =>
    query.get("encoding-type") === "url" ? encodeURIComponent(key).replaceAll("%20", "+") : escape(key);
  const inside = [...objectsOf(state, asks)].filter(([key]) => key.startsWith(prefix));
  // what lies deeper than the delimiter is one entry
  const folderOf = (key: string) => {
    const end = delimiter ? key.indexOf(delimiter, prefix.length) : -1;
    return end < 0 ? undefined : key.slice(0, end + delimiter.length);
  };
  const entries = new Map(inside.map(([key, object]) => [folderOf(key) ?? key, folderOf(key) ? undefined : object]));
  const all = [...entries].toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const rest = all.filter(([key]) => after === "" || Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0);
  const page = rest.slice(0, Math.min(state.behaviour.pageSize, Number(query.get("max-keys") ?? 1000)));
  const more = page.length < rest.length;
  const contents = page.map(([key, object]) =>
    object
      ? `<Contents><Key>${code(key)}</Key><LastModified>${object.modified.toISOString()}</LastModified><ETag>${escape(object.etag)}</ETag><Size>${object.body.length}</Size></Contents>`
      : `<CommonPrefixes><Prefix>${code(key)}</Prefix></CommonPrefixes>`,
  );
  const next = more ? `<NextContinuationToken>${escape(page.at(-1)![0])}</NextContinuationToken>` : "";
  const encoding = query.has("encoding-type") ? `<EncodingType>${query.get("encoding-type")}</EncodingType>` : "";
  const head = `<KeyCount>${page.length}</KeyCount><IsTruncated>${more}</IsTruncated>${encoding}${next}`;
  return { body: xml("ListBucketResult", head + contents.join("")) };
}

function completeUpload(state: State, asks: Asks): Done {
  const upload = uploadOf(state, asks);
  const objects = objectsOf(state, asks);
  const wanted = [...asks.body.toString().matchAll(/<Part>(.*?)<\/Part>/gs)].map(([, part = ""]) => ({
    number: Number(/<PartNumber>(\d+)</.exec(part)?.[1]),
    etag: /<ETag>(.*?)</.exec(part)?.[1]?.replaceAll("&quot;", '"').replaceAll("&#34;", '"'),
  }));
  const parts = wanted.map(({ number, etag }) => {
    const part = upload.parts.get(number);
    if (!part || part.etag !== etag)
      throw new S3Error(400, "InvalidPart", "a part could not be found or has another ETag");
    return part;
  });
  const sizes = parts.slice(0, -1).map(({ body }) => body.length);
  if (parts.length === 0) throw new S3Error(400, "MalformedXML");
  if (sizes.some((size) => size < smallestPart)) throw new S3Error(400, "EntityTooSmall");
  if (state.behaviour.equalParts && new Set(sizes).size > 1)
    throw new S3Error(400, "InvalidPart", "All non-trailing parts must have the same length.");
  if (state.behaviour.conditions !== "ceph16") checkCondition(objects, asks);
  const body = Buffer.concat(parts.map((part) => part.body));
  const etag = `"${md5(Buffer.concat(parts.map((part) => Buffer.from(md5(part.body), "hex"))))}-${parts.length}"`;
  objects.set(upload.key, { body, etag, modified: new Date(), metadata: upload.metadata });
  state.uploads.delete(upload.id);
  const shown = { aws: etag, empty: "", wrong: '"00000000000000000000000000000000-1"' }[state.behaviour.completeEtag];
  return { body: xml("CompleteMultipartUploadResult", `<ETag>${escape(shown)}</ETag>`) };
}

function checkCondition(objects: Map<string, StoredObject>, asks: Asks): void {
  if (asks.headers.get("if-none-match") === "*" && objects.has(asks.key))
    throw new S3Error(412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold");
}

function objectsOf(state: State, { bucket }: Asks): Map<string, StoredObject> {
  const objects = state.buckets.get(bucket);
  if (!objects) throw new S3Error(404, "NoSuchBucket", "The specified bucket does not exist");
  return objects;
}

function objectOf(state: State, asks: Asks): StoredObject {
  const object = objectsOf(state, asks).get(asks.key);
  if (!object) throw new S3Error(404, "NoSuchKey", "The specified key does not exist.");
  return object;
}

function loseBytes(state: State, asks: Asks, bytes: number): void {
  const object = objectOf(state, asks);
  object.body = object.body.subarray(0, -bytes);
}

function uploadOf(state: State, asks: Asks): Upload {
  const upload = state.uploads.get(asks.query.get("uploadId") ?? "");
  if (!upload || upload.bucket !== asks.bucket || upload.key !== asks.key)
    throw new S3Error(404, "NoSuchUpload", "The specified upload does not exist.");
  return upload;
}

const metadataOf = ({ headers }: Asks) =>
  Object.fromEntries(
    [...headers].flatMap(([name, value]) => (name.startsWith("x-amz-meta-") ? [[name.slice(11), value]] : [])),
  );
const namedMetadata = (metadata: Record<string, string>) =>
  Object.fromEntries(Object.entries(metadata).map(([name, value]) => [`x-amz-meta-${name}`, value]));
const escape = (text: string) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
const xml = (name: string, inner: string) =>
  `<?xml version="1.0" encoding="UTF-8"?><${name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${inner}</${name}>`;
