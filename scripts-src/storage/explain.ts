/** What S3 errors mean to the person who runs this: what is wrong, and which setting to change. */
import { codeOf, Failure, messageOf } from "../base/errors.ts";
import type { Settings } from "../settings/settings.ts";

type Where = Pick<Settings, "S3_URL" | "S3_BUCKET" | "S3_PATH" | "S3_REGION">;

/** HTTP status of an answer; undefined when none came. */
export function statusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } } | null)?.$metadata?.httpStatusCode;
}

/** S3's name of an error ("NoSuchBucket"), else the network's code; answers to HEAD have no body and so no name. */
export function nameOf(error: unknown): string {
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
  const words = /^(UnknownError|Unknown|\d+|)$/.test(message) || message === nameOf(error) ? "" : message;
  return [facts, words.startsWith(`${facts}:`) ? words.slice(facts.length + 2) : words].filter(Boolean).join(": ");
}

const transientNames = new Set([
  "RequestTimeout", // the server waited for our bytes
  "RequestTimeTooSkewed", // the SDK takes the server's clock for the next try
  "BadDigest", // the body was damaged on its way
  "IncompleteBody",
  "OperationAborted",
  "ConditionalRequestConflict",
]);
const tlsProblem = /CERT|SIGNATURE|EPROTO|_TLS_|SSL/;

/** True when the same request may well succeed later: the network, an overloaded or restarting server. */
export function isTransient(error: unknown): boolean {
  const status = statusOf(error);
  if (error instanceof Failure) return false;
  if (error instanceof Error && error.name === "TimeoutError") return true;
  if (status === undefined) return codeOf(error) !== undefined && !tlsProblem.test(nameOf(error));
  if (transientNames.has(nameOf(error))) return true;
  // 2xx: an answer that was cut short or garbled
  return status < 300 || status === 408 || status === 429 || (status >= 500 && status !== 501);
}

/** True when the server does not know the condition "only if no object of this name is there". */
export function lacksConditions(error: unknown): boolean {
  return (
    statusOf(error) === 501 || (statusOf(error) === 400 && /if-none-match|header|condition/i.test(messageOf(error)))
  );
}

interface Meaning {
  says: string;
  hints: string[];
}

/** With some servers a path is right, mostly it is a bucket that stands there as well as in S3_BUCKET. */
function pathHint({ S3_URL }: Where): string[] {
  const path = S3_URL === undefined ? "/" : new URL(S3_URL).pathname;
  return path === "/"
    ? []
    : [`S3_URL ends in a path (${path}): most servers want none, the bucket stands in S3_BUCKET`];
}

/** What the error means, by its name; undefined when we cannot tell more than it says itself. */
function meaningOf(error: unknown, right: string, where: Where): Meaning | undefined {
  const host = where.S3_URL ? new URL(where.S3_URL).host : "AWS";
  const bucket = where.S3_BUCKET ?? "";
  const reach = where.S3_URL ? "check S3_URL" : "check the network; for storage other than AWS set S3_URL";
  switch (nameOf(error) || statusOf(error)) {
    case "InvalidAccessKeyId":
      return {
        says: `${host} does not know the access key`,
        hints: ["check S3_ACCESS_KEY, and that S3_URL is the provider it belongs to"],
      };
    case "SignatureDoesNotMatch":
      return {
        says: "the secret key does not belong to the access key",
        hints: ["check S3_SECRET_KEY: copy it once more, whole and without spaces"],
      };
    case "ExpiredToken":
    case "ExpiredTokenException":
    case "InvalidToken":
    case "TokenRefreshRequired":
      return {
        says: "the temporary credentials are not valid any more",
        hints: ["renew S3_ACCESS_KEY, S3_SECRET_KEY and S3_SESSION_TOKEN"],
      };
    case "CredentialsProviderError":
    case "ProviderError":
      return {
        says: "there are no S3 credentials",
        hints: ["set S3_ACCESS_KEY and S3_SECRET_KEY, or give this machine an AWS profile or role"],
      };
    case "NoSuchBucket":
      return {
        says: `there is no bucket ${bucket} at ${host}`,
        hints: ["create the bucket, or check S3_BUCKET, S3_URL and S3_REGION"],
      };
    case "NoSuchKey":
    case "NotFound":
      return { says: "there is no such object", hints: [...pathHint(where), "check S3_PATH and the name"] };
    case "InvalidBucketName":
      return {
        says: `${bucket} cannot be the name of a bucket`,
        hints: ["check S3_BUCKET: 3 to 63 of a-z 0-9 . -, without a path"],
      };
    case "AccessDenied":
    case "AllAccessDisabled":
    case "Forbidden":
    case 403:
      return {
        says: `the access key has no permission for it (${right})`,
        hints: [`allow ${right} on bucket ${bucket} to the key in S3_ACCESS_KEY, and check S3_BUCKET and S3_PATH`],
      };
    case "AuthorizationHeaderMalformed":
    case "PermanentRedirect":
    case "TemporaryRedirect":
    case "IllegalLocationConstraintException":
    case 301:
      return wrongRegion(error, where);
    case "RequestTimeTooSkewed":
      return {
        says: "the clock of this machine is wrong",
        hints: ["set the clock (timedatectl set-ntp true, or chrony)"],
      };
    case "SlowDown":
    case "ServiceUnavailable":
    case "TooManyRequests":
    case "TooManyRequestsException":
    case 429:
    case 503:
      return {
        says: `${host} is overloaded or limits our rate`,
        hints: ["try again later; sync sends what is missing"],
      };
    case "QuotaExceeded":
    case "InsufficientStorage":
    case "XMinioStorageFull":
    case 507:
      return {
        says: "the storage is full or the quota used up",
        hints: ["free some space there, set BACKUP_RETENTION_DAYS, or raise the quota"],
      };
    case "InvalidStorageClass":
      return { says: "the storage class is not known there", hints: ["check S3_STORAGE_CLASS, or leave it out"] };
    case "InvalidObjectState":
      return {
        says: "the object lies in an archive storage class",
        hints: ["have the provider restore it first (aws s3api restore-object)"],
      };
    case "KeyTooLongError":
      return { says: "the key is too long", hints: ["shorten S3_PATH"] };
    case "PreconditionFailed":
    case 412:
      return {
        says: "an object of this name is there already, another run wrote it",
        hints: ["nothing was replaced; run the backup again"],
      };
    case "ECONNREFUSED":
      return { says: `${host} refuses the connection`, hints: [`${reach} (host and port), and that the server runs`] };
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return {
        says: `the host name of ${host} does not resolve`,
        hints: [`${reach} and the network's DNS; S3_FORCE_PATH_STYLE=true keeps the bucket out of the host name`],
      };
    case "EPROTO":
      return {
        says: `${host} does not speak TLS on this port`,
        hints: ["write S3_URL with http:// when the server speaks plain HTTP"],
      };
    case "Malformed_HTTP_Response":
      return { says: `${host} does not answer in HTTP`, hints: ["check S3_URL: https:// or http://, and the port"] };
    default:
      return tlsProblem.test(nameOf(error)) && statusOf(error) === undefined
        ? {
            says: `the TLS certificate of ${host} is not trusted`,
            hints: ["check S3_URL; name a private certificate authority with NODE_EXTRA_CA_CERTS=/path/ca.pem"],
          }
        : undefined;
  }
}

function wrongRegion(error: unknown, where: Where): Meaning {
  const { Region, $response } = error as { Region?: string; $response?: { headers?: Record<string, string> } };
  const region =
    Region ?? $response?.headers?.["x-amz-bucket-region"] ?? /expecting '([\w-]+)'/.exec(messageOf(error))?.[1];
  return {
    says: `the bucket is not in the region ${where.S3_REGION}`,
    hints: [
      region ? `set S3_REGION=${region}` : "set S3_REGION to the region of the bucket (and S3_URL to its endpoint)",
    ],
  };
}

/**
 * The error for people: "cannot DO: what it means (name, status: the server's words)", with hints that name the
 * setting to change. `right` is the permission that the deed needs ("s3:PutObject").
 */
export function explain(error: unknown, deed: string, right: string, where: Where): Failure {
  const meaning = meaningOf(error, right, where);
  const facts = describeError(error);
  return new Failure(`cannot ${deed}: ${meaning ? `${meaning.says} (${facts})` : facts}`, {
    cause: error,
    hints: meaning?.hints ?? [`check S3_URL, S3_BUCKET and S3_REGION; LOG_LEVEL=debug tells more`],
  });
}
