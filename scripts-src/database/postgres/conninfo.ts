/**
 * libpq's connection strings, both forms, as its documentation and fe-connect.c define them
 * (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING). We take them apart because the password
 * must not stand on a command line, and the database's name is needed for the backup's.
 */
import { distance } from "fastest-levenshtein";
import { usageFailure } from "../../base/errors.ts";
import { hideSecrets } from "../../base/secrets.ts";
import type { Settings } from "../../settings/settings.ts";

/** Keywords of libpq with their values, in the order in which they were first named; none comes twice. */
export type Keywords = (readonly [keyword: string, value: string])[];

/** How to reach a PostgreSQL database. */
interface Target {
  /** Everything but the password and the options. */
  keywords: Keywords;
  /** For PGOPTIONS: a setting of a session may be a secret, and arguments are seen by every user of the machine. */
  options?: string | undefined;
  /** For PGPASSWORD. */
  password?: string;
  database: string;
}

/** The database that the settings name. Throws `Failure` with status 2, which names the setting and never a secret. */
export function targetFromSettings(settings: Settings): Target {
  const name = settings.DATABASE_URL === undefined ? "POSTGRES_CONNECTION_STRING" : "DATABASE_URL";
  const text = settings[name];
  const named = text === undefined ? fromParts(settings) : parseConninfo(text, name);
  const all = settings.DB_NAMES === undefined ? named : withLogin(named, settings.DB_NAME);
  const keywords = all.filter(([keyword]) => keyword !== "password" && keyword !== "options");
  const value = (wanted: string) => all.find(([keyword]) => keyword === wanted)?.[1];
  const password = value("password") || undefined;
  hideSecrets(password === undefined ? [] : [password]);
  const secret = otherSecrets.find((keyword) => value(keyword) !== undefined);
  if (secret !== undefined)
    throw usageFailure(
      `${name}: ${secret} is not accepted: it would stand in the list of processes`,
      secret === "sslpassword" ? "use a key file without a passphrase, mode 0600" : "log in with a password instead",
    );
  const database = value("dbname");
  if (!database)
    throw usageFailure(
      `${text === undefined ? "DB_NAME" : name}: no database is named`,
      text === undefined
        ? "set DB_NAME"
        : "add its name: postgres://user:password@host:5432/NAME, or dbname=NAME in the keyword form",
    );
  return { keywords, password, options: value("options"), database };
}

/** With DB_NAMES, DB_NAME is set to one of them after the other, whatever the URL names; without it, there is `postgres`. */
function withLogin(keywords: Keywords, wanted: string | undefined): Keywords {
  const name = wanted ?? keywords.find(([keyword]) => keyword === "dbname")?.[1] ?? "postgres";
  return [...keywords.filter(([keyword]) => keyword !== "dbname"), ["dbname", name]];
}

function fromParts(settings: Settings): Keywords {
  const { DB_HOST: host = "localhost", DB_PORT: port = 5432, DB_NAME, DB_USER, DB_PASSWORD } = settings;
  const parts = [
    ["host", host.replace(/^\[(.*)\]$/, "$1")],
    ["port", String(port)],
    ["dbname", DB_NAME],
    ["user", DB_USER],
    ["password", DB_PASSWORD],
  ] as const;
  return parts.flatMap(([keyword, value]) => (value === undefined ? [] : [[keyword, value] as const]));
}

/** For people, without user and password: `postgresql://db:5432/app`. */
export function describeTarget(keywords: Keywords, database: string): string {
  const value = new Map(keywords);
  const hosts = (value.get("host") || value.get("hostaddr") || "").split(",");
  const ports = (value.get("port") ?? "").split(",");
  const port = (index: number) => ports[ports.length === 1 ? 0 : index] || process.env.PGPORT || "5432";
  const socket = hosts.find((host) => host.startsWith("/") || host.startsWith("@"));
  if (socket !== undefined) return `postgresql:///${database}?host=${socket}&port=${port(hosts.indexOf(socket))}`;
  const places = hosts.map((host, index) => host && `${inBrackets(host)}:${port(index)}`);
  return `postgresql://${places.join(",")}/${database}`;
}

const inBrackets = (host: string) => (host.includes(":") ? `[${host}]` : host);

/** The keyword form, for `--dbname=`: what libpq reads from it is `keywords` again. */
export function formatConninfo(keywords: Keywords): string {
  return keywords.map(([keyword, value]) => `${keyword}=${quote(value)}`).join(" ");
}

const quote = (value: string) =>
  /^[\w./:@%+,-]+$/.test(value) ? value : `'${value.replaceAll(/[\\']/g, String.raw`\$&`)}'`;

/** Takes a URI or a keyword string apart. Throws `Failure` with status 2; `setting` is its name for the message. */
export function parseConninfo(text: string, setting: string): Keywords {
  const uri = /^postgres(?:ql)?:\/\/(.*)$/s.exec(text)?.[1];
  const found = new Map<string, string>();
  // Not one of these messages holds a part of the string: it may be a part of the password.
  const refuse: Refuse = (cause, hint) => {
    throw usageFailure(`${setting}: ${cause}`, hint);
  };
  if (uri === undefined) readKeywords(text, found, refuse);
  else readUri(uri, found, refuse);
  if ([...found.keys()].some((keyword) => !/^\w+$/.test(keyword)))
    refuse("a keyword has other characters than letters, digits and _", uri === undefined ? quoteHint : encodeHint);
  // nothing runs over from the password before the @
  const ends = uri !== undefined && !/[?&]password=/.test(uri);
  const unknown = unknownKeyword([...found.keys()].filter((keyword) => !(ends && keyword === "password")));
  if (unknown) refuse(unknown.cause, unknown.hint);
  for (const port of found.get("port")?.split(",") ?? [])
    if (port !== "" && !(/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65_535))
      refuse("the port is not a number from 1 to 65535", uri === undefined ? quoteHint : encodeHint);
  return [...found];
}

type Refuse = (cause: string, hint: string) => never;
const encodeHint =
  "percent-encode special characters in user name and password: @ as %40, / as %2F, : as %3A, space as %20, % as %25";
const quoteHint = String.raw`put values in single quotes, with \' for ' and \\ for \ in them: host=db dbname=app password='it\'s'`;

/** `[user[:password]@][host][:port][,...][/dbname][?keyword=value&...]`; a `/` ends the search for the `@`. */
function readUri(uri: string, found: Map<string, string>, refuse: Refuse): void {
  if (/\s/.test(uri)) refuse("there is a space or line break in the URL", encodeHint);
  const [, credentials = "", rest = ""] = /^(?:([^@/]*)@)?(.*)$/.exec(uri) ?? [];
  const [, user = "", password = ""] = /^([^:]*):?(.*)$/.exec(credentials) ?? [];
  const [host, port, behind] = readPlaces(rest, refuse);
  const [, dbname = "", parameters = ""] = /^(?:\/([^?]*))?\??(.*)$/.exec(behind) ?? [];
  if (host.includes("@") || dbname.includes("@")) refuse("there is an @ or / that is not encoded", encodeHint);
  for (const [keyword, value] of Object.entries({ user, password, host, port, dbname }))
    if (value !== "") found.set(keyword, percentDecode(value, refuse));
  for (const [index, parameter] of parameters.split("&").entries()) {
    if (parameter === "" && index === parameters.split("&").length - 1) continue;
    const words = parameter.split("=").map((word) => percentDecode(word, refuse));
    const [keyword, value] = words;
    if (keyword === undefined || value === undefined || words.length > 2)
      return refuse(
        "what follows the ? is not keyword=value&keyword=value",
        "percent-encode & as %26 and = as %3D in a value",
      );
    // libpq knows this one spelling of JDBC
    if (keyword === "ssl" && value === "true") found.set("sslmode", "require");
    else found.set(keyword, value);
  }
}

/** Hosts and ports, each joined by commas as libpq takes them, and what follows. */
function readPlaces(text: string, refuse: Refuse): [hosts: string, ports: string, behind: string] {
  const place = /(?:\[([^\]]+)\](?=[:/?,]|$)|((?!\[)[^:/?,]*))(?::([^/?,]*))?(,?)/y;
  const hosts: string[] = [];
  const ports: string[] = [];
  for (let more = true; more;) {
    const [all, bracketed, plain = "", port = "", comma] = place.exec(text) ?? [];
    if (all === undefined)
      return refuse("the brackets around an IPv6 address do not match", "write it as [2001:db8::1]:5432");
    hosts.push(bracketed ?? plain);
    ports.push(port);
    more = comma === ",";
  }
  return [hosts.join(","), ports.join(","), text.slice(place.lastIndex)];
}

function percentDecode(text: string, refuse: Refuse): string {
  if (/%(?![0-9a-f]{2})/i.test(text)) refuse("a % is not followed by two hexadecimal digits", encodeHint);
  if (text.includes("%00")) refuse("%00 stands for a character that no value can have", "remove it");
  try {
    return decodeURIComponent(text);
  } catch {
    return refuse("what the % signs stand for is not UTF-8", encodeHint);
  }
}

/** `keyword = value …`; a value ends at a space, or stands in single quotes; `\` takes the next character as it is. */
function readKeywords(text: string, found: Map<string, string>, refuse: Refuse): void {
  // the spaces of C, not those of JavaScript
  const pair =
    /[ \t-\r]*([^= \t-\r]*)[ \t-\r]*=[ \t-\r]*(?:'((?:\\.|[^\\'])*)'|((?:\\.|[^\\' \t-\r])(?:\\.|[^\\ \t-\r])*)?(?=[ \t-\r]|$))/sy;
  for (let rest = text.replace(/[ \t-\r]+$/, ""); rest !== ""; rest = rest.slice(pair.lastIndex)) {
    pair.lastIndex = 0;
    const [all, keyword = "", quoted, plain = ""] = pair.exec(rest) ?? [];
    if (all === undefined)
      return refuse(
        /=\s*'/.test(rest)
          ? "a quote is not closed"
          : "it is neither a postgres:// URL nor keyword=value keyword=value",
        quoteHint,
      );
    found.set(keyword, (quoted ?? plain).replaceAll(/\\(.)/gs, "$1"));
  }
}

/** Keywords of libpq 13 to 18 (https://www.postgresql.org/docs/18/libpq-connect.html). */
const documented =
  "host hostaddr port dbname user password passfile require_auth channel_binding connect_timeout client_encoding options " +
  "application_name fallback_application_name keepalives keepalives_idle keepalives_interval keepalives_count tcp_user_timeout " +
  "replication gssencmode sslmode requiressl sslnegotiation sslcompression sslcert sslkey sslkeylogfile sslpassword sslcertmode " +
  "sslrootcert sslcrl sslcrldir sslsni requirepeer ssl_min_protocol_version ssl_max_protocol_version min_protocol_version " +
  "max_protocol_version krbsrvname gsslib gssdelegation scram_client_key scram_server_key service target_session_attrs " +
  "load_balance_hosts oauth_issuer oauth_client_id oauth_client_secret oauth_scope";

export const knownKeywords: readonly string[] = documented.split(" ");

/** Secrets of libpq besides the password: they can only be given on the command line. */
const otherSecrets = ["sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"];
/** The text after one of these may be a piece of its value that was not encoded or quoted. */
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
