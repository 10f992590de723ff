/** The environment of the programs that we start: what they need and document, never all of ours. */

/** What programs and their libraries read, wherever they come from. */
const general =
  /^(?:PATH|HOME|USER|LOGNAME|SHELL|TERM|LANG|LC_\w+|LOCPATH|LOCALE_ARCHIVE|GCONV_PATH|TZ|TZDIR|TMPDIR|TMP|TEMP|XDG_\w+|(?:LD|DYLD)_\w+|NSS_WRAPPER_\w+|RES_OPTIONS|LOCALDOMAIN|HOSTALIASES|SSL_CERT_\w+|OPENSSL_\w+|SSLKEYLOGFILE|(?:https?|all|no|ftp)_proxy)$/i;
/** What libpq, psql and pg_dump document, with Kerberos. */
const postgres = /^(?:PG[A-Z]\w*|PSQL_\w+|KRB5\w*|GSS\w*)$/;
/** What MySQL's and MariaDB's programs document; MYSQL_ROOT_PASSWORD and others are those of a container's server. */
const mysql =
  /^(?:MYSQL_(?:HOST|PWD|TCP_PORT|UNIX_PORT|HOME|GROUP_SUFFIX|TEST_LOGIN_FILE|DEBUG)|MARIADB_(?:HOST|TCP_PORT|UNIX_PORT|HOME|PLUGIN_DIR|TLS\w*)|LIBMYSQL_\w+)$/;
/** For client programs that are scripts and reach a container or another machine. */
const wrappers =
  /^(?:DOCKER_(?:HOST|CONTEXT|CONFIG|CERT_PATH|TLS_VERIFY)|CONTAINER_(?:HOST|CONNECTION)|KUBECONFIG|SSH_AUTH_SOCK)$/;

const isPassedOn = (name: string) => [general, postgres, mysql, wrappers].some((pattern) => pattern.test(name));

/**
 * The environment for a program: what it may need of ours, messages in English so that they can be understood and explained,
 * and `extra`.
 */
export function childEnvironment(extra: Record<string, string> = {}): Record<string, string> {
  // LC_ALL would decide the language of messages too
  const { LC_ALL: locale } = process.env;
  const kept = variables((name) => isPassedOn(name) && !(locale ? /^LC_/ : /^LC_ALL$/).test(name));
  return { ...kept, ...(locale && { LANG: locale }), LC_MESSAGES: "C", LANGUAGE: "", ...extra };
}

/** The variables of our environment whose names fit. */
export const variables = (fits: (name: string) => boolean): Record<string, string> =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => fits(name))) as Record<string, string>;
