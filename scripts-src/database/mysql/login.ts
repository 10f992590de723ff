/** Which MySQL or MariaDB database the settings name, and how it is reached. */
import { usageFailure } from "../../base/errors.ts";
import { hideSecrets } from "../../base/secrets.ts";
import type { Settings } from "../../settings/settings.ts";
import type { Family } from "./clients.ts";

export interface Target {
  /** What the settings call it; the server's own word counts more. */
  family: Family;
  host?: string;
  port?: number;
  /** Path of the Unix socket. */
  socket?: string;
  user?: string;
  password?: string;
  database: string;
  /** TLS and other options of the client programs, by MySQL's names. */
  options: ReadonlyMap<string, string>;
  /** For people, without user and password: `mariadb://db:3306/app`. */
  where: string;
}

/** Parameters that a URL may have, as the client programs call them. */
const knownOptions = (
  "ssl-mode ssl-ca ssl-capath ssl-cert ssl-key ssl-crl ssl-crlpath ssl-cipher tls-version default-auth plugin-dir " +
  "get-server-public-key server-public-key-path socket"
).split(" ");
const sslModes = ["DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"];

/** Throws `Failure` with status 2, which names the setting and never a secret. */
export function targetFromSettings(settings: Settings): Target {
  const parts = settings.DATABASE_URL === undefined ? fromParts(settings) : fromUrl(settings.DATABASE_URL, settings);
  hideSecrets(parts.password === undefined ? [] : [parts.password]);
  return { ...parts, where: describe(parts) };
}

type Parts = Omit<Target, "where">;

function fromParts({ DB_TYPE, DB_HOST = "localhost", DB_PORT, DB_USER, DB_PASSWORD, ...settings }: Settings): Parts {
  const DB_NAME = loginDatabase(settings);
  if (!DB_NAME) throw usageFailure("DB_NAME: no database is named", "set DB_NAME");
  return {
    family: DB_TYPE === "mariadb" ? "mariadb" : "mysql",
    ...place(DB_HOST, DB_PORT),
    user: DB_USER,
    password: DB_PASSWORD,
    database: DB_NAME,
    options: new Map(),
  };
}

/** With DB_NAMES, DB_NAME is set to one of them after the other, whatever the URL names; without it, any database does. */
const loginDatabase = ({ DB_NAME, DB_NAMES }: Pick<Settings, "DB_NAME" | "DB_NAMES">, named = ""): string | undefined =>
  DB_NAME ?? (named || (DB_NAMES === undefined ? undefined : "information_schema"));

const shape = "mysql://user:password@host:3306/NAME";
const encoding = "in a URL, @ is written %40, # %23, % %25, / %2F, ? %3F and : %3A";

function fromUrl(text: string, settings: Settings): Parts {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url) throw usageFailure("DATABASE_URL: this is no valid URL", `write it as ${shape}; ${encoding}`);
  if (url.hash) throw usageFailure("DATABASE_URL: there is a # in it", encoding);
  const named = decode(url.pathname.replace(/^\//, ""));
  const database = settings.DB_NAMES === undefined ? named : loginDatabase(settings, named);
  if (!database) throw usageFailure("DATABASE_URL: no database is named", `add its name: ${shape}`);
  const options = optionsFrom(url.searchParams);
  const socket = options.get("socket");
  options.delete("socket");
  return {
    family: url.protocol === "mariadb:" ? "mariadb" : "mysql",
    ...place(socket ?? (decode(url.hostname) || "localhost"), url.port ? Number(url.port) : undefined),
    user: decode(url.username) || undefined,
    password: decode(url.password) || undefined,
    database,
    options,
  };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw usageFailure("DATABASE_URL: a % stands in it that encodes nothing", encoding);
  }
}

/** A host that starts with `/` is a Unix socket. */
const place = (host: string, port: number | undefined): Pick<Parts, "host" | "port" | "socket"> =>
  host.startsWith("/") ? { socket: host } : { host: host.replace(/^\[(.*)\]$/, "$1"), port };

function optionsFrom(parameters: URLSearchParams): Map<string, string> {
  const options = new Map<string, string>();
  for (const [written, value] of parameters) {
    const name = written.toLowerCase().replaceAll("_", "-");
    if (!knownOptions.includes(name))
      throw usageFailure(`DATABASE_URL: unknown parameter ${written}`, `known are ${knownOptions.join(", ")}`);
    options.set(name, name === "ssl-mode" ? value.toUpperCase() : value);
  }
  const mode = options.get("ssl-mode");
  if (mode !== undefined && !sslModes.includes(mode))
    throw usageFailure(`DATABASE_URL: ssl-mode must be one of ${sslModes.join(", ")}`);
  return options;
}

/** The server is on this machine, as far as that can be seen: in a container it is not. */
export const isLocal = ({ host = "localhost", socket }: Target): boolean =>
  socket !== undefined || /^(?:localhost|127\..*|::1)$/.test(host);

function describe({ family, host = "", port, socket, database }: Parts): string {
  if (socket !== undefined) return `${family}:///${database}?socket=${socket}`;
  const name = host.includes(":") ? `[${host}]` : host;
  // without a port, "localhost" means the default socket to the client programs
  const at = port ?? (host === "localhost" ? undefined : 3306);
  return `${family}://${name}${at === undefined ? "" : `:${at}`}/${database}`;
}
