/** The keywords of libpq's connection strings, versions 13 to 18 (https://www.postgresql.org/docs/18/libpq-connect.html). */
import { distance } from "fastest-levenshtein";

const documented =
  "host hostaddr port dbname user password passfile require_auth channel_binding connect_timeout client_encoding options " +
  "application_name fallback_application_name keepalives keepalives_idle keepalives_interval keepalives_count tcp_user_timeout " +
  "replication gssencmode sslmode requiressl sslnegotiation sslcompression sslcert sslkey sslkeylogfile sslpassword sslcertmode " +
  "sslrootcert sslcrl sslcrldir sslsni requirepeer ssl_min_protocol_version ssl_max_protocol_version min_protocol_version " +
  "max_protocol_version krbsrvname gsslib gssdelegation scram_client_key scram_server_key service target_session_attrs " +
  "load_balance_hosts oauth_issuer oauth_client_id oauth_client_secret oauth_scope";

export const knownKeywords: readonly string[] = documented.split(" ");

/** What libpq takes as a secret beside the password; no way leads there but the command line. */
export const otherSecrets = ["sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"];
/** What stands behind one of these may be a piece of its value that was not encoded or quoted. */
const holdSecrets = ["password", ...otherSecrets];

/** Why a connection string with these keywords is refused, and what to do; undefined when libpq knows all of them. */
export function unknownKeyword(keywords: readonly string[]): { cause: string; hint: string } | undefined {
  const at = keywords.findIndex((keyword) => !knownKeywords.includes(keyword));
  const unknown = keywords[at];
  if (unknown === undefined) return undefined;
  const likely = likelyKeyword(unknown);
  if (likely !== undefined)
    return { cause: `there is no keyword ${unknown}; did you mean ${likely}?`, hint: `write ${likely}=...` };
  const secret = keywords.slice(0, at).findLast((keyword) => holdSecrets.includes(keyword));
  if (secret !== undefined)
    return {
      cause: `what follows ${secret} holds a keyword that libpq does not know`,
      hint: `if it belongs to the value of ${secret}, encode it (in a URL: & as %26, = as %3D) or put the value in single quotes`,
    };
  return {
    cause: `libpq knows no keyword ${unknown}`,
    hint: "remove it: settings of an application's own driver belong into the application's URL alone",
  };
}

/** One or two wrong letters. */
function likelyKeyword(unknown: string): string | undefined {
  const [best] = knownKeywords
    .map((keyword) => ({ keyword, far: distance(unknown.toLowerCase(), keyword) }))
    .toSorted((a, b) => a.far - b.far);
  return best && best.far <= (unknown.length < 6 ? 1 : 2) ? best.keyword : undefined;
}
