/** Checks AWS's signature version 4 and the checksums of a request, as strictly as AWS does. */
import { createHash, createHmac } from "node:crypto";
import { crc32 } from "node:zlib";

/** An answer that S3 gives instead of doing what was asked. */
export class S3Error extends Error {
  readonly status: number;
  readonly code: string;
  /** More elements of the answer. */
  readonly extra: Record<string, string>;

  constructor(status: number, code: string, message: string = code, extra: Record<string, string> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.extra = extra;
  }
}

export interface Rules {
  keys: Record<string, string>;
  /** Only this region's signatures are taken; undefined: any. */
  region?: string | undefined;
  /** The server's clock. */
  now: () => number;
}

const sha256 = (data: string | Uint8Array) => createHash("sha256").update(data).digest("hex");
const hmac = (key: string | Buffer, text: string) => createHmac("sha256", key).update(text).digest();

/** Throws the `S3Error` that AWS would answer; returns the access key. */
export function verifySignature(request: Request, target: string, body: Uint8Array, rules: Rules): string {
  const authorization = request.headers.get("authorization");
  if (!authorization) throw new S3Error(403, "AccessDenied", "no Authorization header");
  const { key, date, region, signed, signature } =
    /^AWS4-HMAC-SHA256 Credential=(?<key>[^/]+)\/(?<date>\d{8})\/(?<region>[^/]+)\/s3\/aws4_request, ?SignedHeaders=(?<signed>[^,]+), ?Signature=(?<signature>[0-9a-f]{64})$/.exec(
      authorization,
    )?.groups ?? {};
  if (!key || !date || !region || !signed) throw new S3Error(400, "AuthorizationHeaderMalformed", "cannot be read");
  if (rules.region !== undefined && region !== rules.region)
    throw new S3Error(
      400,
      "AuthorizationHeaderMalformed",
      `The authorization header is malformed; the region '${region}' is wrong; expecting '${rules.region}'`,
      { Region: rules.region },
    );
  const secret = rules.keys[key];
  if (secret === undefined) throw new S3Error(403, "InvalidAccessKeyId", "The key does not exist in our records.");
  checkTime(request, rules.now());
  const payload = request.headers.get("x-amz-content-sha256") ?? "";
  const scope = `${date}/${region}/s3/aws4_request`;
  const time = request.headers.get("x-amz-date") ?? "";
  const toSign = ["AWS4-HMAC-SHA256", time, scope, sha256(canonical(request, target, signed, payload))].join("\n");
  const signing = ["s3", "aws4_request"].reduce(hmac, hmac(hmac(`AWS4${secret}`, date), region));
  if (hmac(signing, toSign).toString("hex") !== signature)
    throw new S3Error(403, "SignatureDoesNotMatch", "The request signature we calculated does not match.");
  checkSigned(request, signed.split(";"));
  if (payload !== "UNSIGNED-PAYLOAD" && payload !== sha256(body))
    throw new S3Error(400, "XAmzContentSHA256Mismatch", "The provided sha256 does not match what was computed.");
  return key;
}

function checkTime(request: Request, now: number): void {
  const [, y, mo, d, h, mi, s] =
    /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(request.headers.get("x-amz-date") ?? "") ?? [];
  const time = Date.parse(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`);
  if (!(Math.abs(now - time) < 15 * 60_000))
    throw new S3Error(
      403,
      "RequestTimeTooSkewed",
      "The difference between the request time and the server's is too large.",
    );
}

/** Everything that matters must be under the signature. */
function checkSigned(request: Request, signed: string[]): void {
  const must = [...request.headers.keys()].filter(
    (name) => name === "host" || name === "content-md5" || name.startsWith("x-amz-"),
  );
  const missing = must.filter((name) => !signed.includes(name));
  if (missing.length > 0) throw new S3Error(403, "AccessDenied", `headers are not signed: ${missing.join(", ")}`);
}

function canonical(request: Request, target: string, signed: string, payload: string): string {
  const [path = "", query = ""] = target.split("?", 2);
  const words = query
    .split("&")
    .filter(Boolean)
    .map((word) => (word.includes("=") ? word : `${word}=`))
    .toSorted();
  const headers = signed
    .split(";")
    .map((name) => `${name}:${(request.headers.get(name) ?? "").trim().replace(/ +/g, " ")}\n`);
  return [request.method, path, words.join("&"), headers.join(""), signed, payload].join("\n");
}

/** Content-MD5 and x-amz-checksum-crc32, where they are given. */
export function verifyChecksums(request: Request, body: Uint8Array): void {
  const md5 = request.headers.get("content-md5");
  if (md5 !== null && md5 !== createHash("md5").update(body).digest("base64"))
    throw new S3Error(400, "BadDigest", "The Content-MD5 you specified did not match what we received.");
  const given = request.headers.get("x-amz-checksum-crc32");
  if (given === null) return;
  const computed = Buffer.alloc(4);
  computed.writeUInt32BE(crc32(body) >>> 0);
  if (given !== computed.toString("base64"))
    throw new S3Error(400, "BadDigest", "The CRC32 you specified did not match.");
}
