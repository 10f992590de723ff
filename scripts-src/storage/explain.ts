/** What S3 errors mean to the person who runs this: what is wrong, and which setting to change. */
import { codeOf, Failure, messageOf } from "../base/errors.ts";
import { quote } from "../base/process.ts";
import type { Settings } from "../settings/settings.ts";

type Where = Pick<Settings, "S3_URL" | "S3_BUCKET" | "S3_PATH" | "S3_REGION">;

/** HTTP status of an answer; undefined when none came. */
export function statusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } } | null)?.$metadata?.httpStatusCode;
}

/** S3's name of an error ("NoSuchBucket"), else the network's code; answers to HEAD have no body and so no name. */
function nameOf(error: unknown): string {
  const name = error instanceof Error ? error.name : "";
  if (codeOf(error) !== undefined && statusOf(error) === undefined) return codeOf(error) ?? name;
  return /^(Error|TypeError|UnknownError|Unknown|\d+)$/.test(name) ? "" : name;
}

/** Name, status and the server's words (older Ceph sends none): "SlowDown, status 503: Please reduce your request rate." */
export function describeError(error: unknown): string {
  const status = statusOf(error);
  const facts = [nameOf(error), status === undefined ? "" : `status ${status}`].filter(Boolean).join(", ");
  const message = messageOf(error).replace(
    / (For more information, pass|Is the computer able|Does the server speak TLS).*$/s,
    "",
  );
  // of the SDK's XML parser, about a page that a proxy sent
  const inner = /Deserialization error|^(UnknownError|Unknown|\d+|)$/.test(message);
  const words = inner || message === nameOf(error) ? "" : message;
  // without a name: an answer that was cut short or garbled on its way
  if (words === "" && status !== undefined && status < 300) return `${facts}, but the answer cannot be read`;
  return [facts, words.startsWith(`${facts}:`) ? words.slice(facts.length + 2) : words].filter(Boolean).join(": ");
}

/** An answer that no S3 server gives: a proxy or a login page said 200 in its place. `words` are its first ones. */
export const notS3 = (status: number, words: string): Error =>
  Object.assign(new Error(words.trim().slice(0, 60).replaceAll(/\s+/g, " ") || "an empty answer"), {
    name: "NotS3",
    $metadata: { httpStatusCode: status },
  });

const transientNames = new Set([
  "RequestTimeout", // the server waited for our bytes
  "RequestTimeTooSkewed", // the SDK takes the server's clock for the next try
  "BadDigest", // the body was damaged on its way
  "IncompleteBody",
  "OperationAborted",
  "ConditionalRequestConflict",
]);
const tlsProblem = /CERT|SIGNATURE|EPROTO|_TLS_|SSL/;

/** True when the same request can succeed later: the network, an overloaded or restarting server. */
export function isTransient(error: unknown): boolean {
  const status = statusOf(error);
  if (error instanceof Failure || nameOf(error) === "NotS3") return false;
  if (isTimeout(error) || isTimeout((error as Error | undefined)?.cause)) return true;
  if (status === undefined) return codeOf(error) !== undefined && !tlsProblem.test(nameOf(error));
  if (transientNames.has(nameOf(error))) return true;
  // 2xx: an answer that was cut short or garbled
  return status < 300 || status === 408 || status === 429 || (status >= 500 && status !== 501);
}

/** The SDK's handler makes the reason of an aborted request the cause of its own error. */
const isTimeout = (error: unknown) => error instanceof Error && error.name === "TimeoutError";

/** True when the server does not know the condition "only if no object of this name exists". */
export function lacksConditions(error: unknown): boolean {
  return (
    statusOf(error) === 501 || (statusOf(error) === 400 && /if-none-match|header|condition/i.test(messageOf(error)))
  );
}

/** By S3's name of an error, the network's code, or the HTTP status of an answer without a name: what it means, and what to do. */
const meanings: Readonly<Record<string, readonly [meaning: string, ...hints: string[]]>> = {
  InvalidAccessKeyId: [
    "{host} does not know the access key",
    "check S3_ACCESS_KEY, and that S3_URL is the provider it belongs to",
  ],
  SignatureDoesNotMatch: [
    "the secret key does not belong to the access key",
    "check S3_SECRET_KEY: copy all of it again, without spaces",
    "{path}",
  ],
  ExpiredToken: [
    "the temporary credentials are no longer valid",
    "renew S3_ACCESS_KEY, S3_SECRET_KEY and S3_SESSION_TOKEN",
  ],
  CredentialsProviderError: [
    "there are no S3 credentials",
    "set S3_ACCESS_KEY and S3_SECRET_KEY, or give this machine an AWS profile or role",
  ],
  NoSuchBucket: [
    "there is no bucket {bucket} at {host}",
    "create the bucket, or check S3_BUCKET, S3_URL and S3_REGION",
  ],
  NoSuchKey: ["there is no such object", "{path}", "check S3_PATH and the name"],
  InvalidBucketName: [
    "{bucket} cannot be the name of a bucket",
    "check S3_BUCKET: 3 to 63 of a-z 0-9 . -, without a path",
  ],
  AccessDenied: [
    "the access key has no permission for it ({right})",
    "allow {right} on bucket {bucket} to the key in S3_ACCESS_KEY, and check S3_BUCKET and S3_PATH",
  ],
  AccountProblem: [
    "{host} has suspended the account of the access key",
    "look into the provider's console (billing, limits), or ask the provider",
  ],
  KMS: [
    "the key that encrypts the bucket's objects (SSE-KMS) cannot be used",
    "look at the encryption of bucket {bucket}: its KMS key must exist and be enabled, and the user of S3_ACCESS_KEY needs the rights kms:GenerateDataKey and kms:Decrypt",
  ],
  RequestTimeTooSkewed: ["the clock of this machine is wrong", "set the clock (timedatectl set-ntp true, or chrony)"],
  SlowDown: ["{host} is overloaded or limits our rate", "try again later; sync sends what is missing"],
  InternalError: ["{host} has a fault of its own", "try again later; sync sends what is missing"],
  QuotaExceeded: [
    "the storage is full or its quota is used up",
    "free some space there, set BACKUP_RETENTION_DAYS, or raise the quota",
  ],
  InvalidStorageClass: ["the storage class is unknown there", "check S3_STORAGE_CLASS, or leave it out"],
  InvalidObjectState: [
    "the object lies in an archive storage class",
    "bring it back, then try again: aws s3api restore-object --bucket {bucket} --key {key} --restore-request Days=7 (the same for {key}.json)",
  ],
  KeyTooLongError: ["the key is too long", "shorten S3_PATH"],
  PreconditionFailed: [
    "an object of this name exists already, another run wrote it",
    "nothing was replaced; if the other run was of another server, give each server an S3_PATH of its own",
  ],
  NotS3: [
    "the answer does not come from an S3 server",
    "check S3_URL ({host}): a proxy, a login page or another service answers there; NO_PROXY={hostname} goes past a proxy",
  ],
  PermanentRedirect: ["the bucket is not in the region {region}", "{regionOfBucket}"],
  302: [
    "{host} redirects elsewhere",
    "check S3_URL: a proxy or a login page may answer there; redirects are not followed",
  ],
  407: [
    "the proxy wants a login",
    "write it into HTTPS_PROXY and HTTP_PROXY (http://user:password@proxy:3128), or except the storage with NO_PROXY",
  ],
  413: [
    "{host}, or a proxy in front of it, does not accept a request of this size",
    "allow bodies of 100 MB and more there (nginx: client_max_body_size 0)",
  ],
  ERR_PROXY_TUNNEL: [
    "the proxy does not connect us to {host}",
    "check HTTPS_PROXY (http://user:password@proxy:3128), or except the storage with NO_PROXY",
  ],
  ECONNREFUSED: ["{host} refuses the connection", "{reach} (host and port), and that the server runs"],
  ENOTFOUND: [
    "the host name of {host} does not resolve",
    "{reach} and the network's DNS; S3_FORCE_PATH_STYLE=true keeps the bucket out of the host name",
  ],
  EPROTO: ["{host} does not speak TLS on this port", "write S3_URL with http:// when the server speaks plain HTTP"],
  Malformed_HTTP_Response: ["{host} does not answer in HTTP", "check S3_URL: https:// or http://, and the port"],
  untrusted: [
    "the TLS certificate of {host} is not trusted",
    "check S3_URL; name the file of a private certificate authority in CA_FILE",
  ],
};

/** Other names of the same errors. */
const otherNames: Readonly<Record<string, readonly string[]>> = {
  ExpiredToken: ["ExpiredTokenException", "InvalidToken", "TokenRefreshRequired"],
  CredentialsProviderError: ["ProviderError"],
  NoSuchKey: ["NotFound"],
  AccessDenied: ["Forbidden", "403"],
  AccountProblem: ["AllAccessDisabled", "NotSignedUp", "UserSuspended"],
  InternalError: ["500", "502", "504", "RequestTimeout"],
  SlowDown: ["ServiceUnavailable", "TooManyRequests", "TooManyRequestsException", "429", "503"],
  QuotaExceeded: ["InsufficientStorage", "XMinioStorageFull", "507"],
  PermanentRedirect: ["AuthorizationHeaderMalformed", "TemporaryRedirect", "IllegalLocationConstraintException", "301"],
  302: ["303", "307"],
  PreconditionFailed: ["412"],
  ENOTFOUND: ["EAI_AGAIN"],
};
const sameAs = new Map(Object.entries(otherNames).flatMap(([name, others]) => others.map((other) => [other, name])));

/** What the error means and what to do; undefined when we cannot say more than it says itself. */
function meaningOf(error: unknown, what: string, right: string, where: Where): readonly string[] | undefined {
  const name = nameOf(error);
  const untrusted = tlsProblem.test(name) && statusOf(error) === undefined ? meanings["untrusted"] : undefined;
  // KMS has many names: KMS.DisabledException; a name that we do not know has the meaning of its status
  const names = [name, name.replace(/\..*/, ""), String(statusOf(error))];
  const meaning = names.map((one) => meanings[sameAs.get(one) ?? one]).find(Boolean) ?? untrusted;
  const { host, hostname } = where.S3_URL ? new URL(where.S3_URL) : { host: "AWS", hostname: "AWS" };
  const words: Record<string, string> = {
    host,
    hostname,
    // AWS names the one that is missing, which may be another: kms:GenerateDataKey
    right: /not authorized to perform: ([\w-]+:\w+)/.exec(messageOf(error))?.[1] ?? right,
    key: quote(/^[^:]*s3:\/\/[^/]+\/(.*?)(?:\.json)?$/.exec(what)?.[1] ?? ""),
    bucket: String(where.S3_BUCKET),
    region: where.S3_REGION,
    regionOfBucket: regionHint(error),
    path: pathHint(where),
    reach: where.S3_URL ? "check S3_URL" : "check the network; for storage other than AWS set S3_URL",
  };
  return meaning?.map((text) => text.replaceAll(/\{(\w+)\}/g, (_, word: string) => words[word] ?? "")).filter(Boolean);
}

/** With some servers a path is right, mostly it is a bucket that stands there as well as in S3_BUCKET. */
function pathHint({ S3_URL }: Where): string {
  const path = S3_URL === undefined ? "/" : new URL(S3_URL).pathname;
  return path === "/" ? "" : `S3_URL ends in a path (${path}): most servers want none, the bucket stands in S3_BUCKET`;
}

function regionHint(error: unknown): string {
  const { Region, $response } = error as { Region?: string; $response?: { headers?: Record<string, string> } };
  const region =
    Region ?? $response?.headers?.["x-amz-bucket-region"] ?? /expecting '([\w-]+)'/.exec(messageOf(error))?.[1];
  return region ? `set S3_REGION=${region}` : "set S3_REGION to the region of the bucket (and S3_URL to its endpoint)";
}

/**
 * The error for people: "cannot WHAT: what it means (name, status: the server's words)", with hints that name the
 * setting to change. `right` is the permission that it needs ("s3:PutObject").
 */
export function explain(error: unknown, what: string, right: string, where: Where): Failure {
  const [meaning, ...hints] = meaningOf(error, what, right, where) ?? [];
  const facts = describeError(error);
  return new Failure(`cannot ${what}: ${meaning ? `${meaning} (${facts})` : facts}`, {
    cause: error,
    hints: meaning ? hints : ["check S3_URL, S3_BUCKET and S3_REGION; LOG_LEVEL=debug logs more"],
  });
}
