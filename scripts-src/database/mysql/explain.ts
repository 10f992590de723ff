/** What the client programs of MySQL and MariaDB say when something is wrong, and what to do about it. */
import type { Failure } from "../../base/errors.ts";
import * as shared from "../explain.ts";
import type { Client } from "./clients.ts";

/** "ERROR 1045 (28000): …", "Got error: 1045: …", "Couldn't execute …: … (1044)" */
const code = (...numbers: number[]) => new RegExp(String.raw`(?:error:? |\()(?:${numbers.join("|")})(?=[ :)])`, "i");

const explanations: shared.Explanations = {
  permanent: [
    [
      code(1045, 1698),
      "check user and password: DB_USER and DB_PASSWORD, or those in DATABASE_URL (in a URL, @ is written %40, # %23, % %25, / %2F); MySQL knows a user only together with the host it comes from",
    ],
    [code(1049), "check the name of the database (DB_NAME, or the end of the URL), or create it (CREATE DATABASE)"],
    [
      /\bSYSTEM_USER\b/,
      "a view or program of the database belongs to an administrator, and only an administrator may replace it: restore as one",
    ],
    [
      /\b(?:SET USER|SET_USER_ID|SET_ANY_DEFINER)\b/,
      "only an administrator may make views and programs in the name of others: restore as one, or with --no-owner",
    ],
    [
      code(1044, 1142, 1143, 1227, 1370, 1410, 4166),
      "the database user lacks a privilege: for backups GRANT SELECT, SHOW VIEW, TRIGGER, EVENT on the database; for restores GRANT ALL on it",
    ],
    [
      /insufficient privileges|insufficent privileges/,
      "to back up routines of others, the user needs SELECT on mysql.proc (MariaDB: also SHOW CREATE ROUTINE) or SHOW_ROUTINE (MySQL)",
    ],
    [code(1862, 1820), "the user's password has expired: set a new one (ALTER USER … IDENTIFIED BY …)"],
    [
      code(2059, 1251, 1524, 2061),
      "this client program cannot log in the way the server asks: use the client programs of the server's own family and version (DB_CLIENT_DIR), or TLS (ssl-mode=REQUIRED)",
    ],
    [
      code(2026, 3159, 1043),
      "TLS failed: check ssl-mode and ssl-ca in DATABASE_URL, and the host name in the server's certificate; for a server without TLS write ?ssl-mode=DISABLED behind DATABASE_URL (which takes the place of DB_HOST, DB_USER and so on)",
    ],
    [
      /unknown (variable|option)|unknown suffix/,
      "the client program does not know an option: check DB_DUMP_OPTIONS and the parameters of DATABASE_URL",
    ],
    [
      /max_allowed_packet/,
      "a row is larger than the server takes: raise max_allowed_packet there (SET GLOBAL max_allowed_packet = 1073741824)",
    ],
    [
      code(1064, 1231, 1273, 3105),
      "the server does not take what the dump holds: restore into a server of the kind and version that was dumped",
    ],
    [
      /--dump-history for table/,
      "the dump program cannot write the history of a table that is versioned by transactions: set DB_DUMP_OPTIONS=--skip-dump-history for backups without any history",
    ],
    [
      code(1168, 1356, 1449, 4124),
      "a view, or a table of the MERGE engine, names something that is not there any more: fix or drop it (the message names it)",
    ],
    [
      code(3548),
      "a column uses a coordinate system that was made on the other server, and belongs to no database: CREATE SPATIAL REFERENCE SYSTEM makes it " +
        "(information_schema.ST_SPATIAL_REFERENCE_SYSTEMS of that server has its definition)",
    ],
  ],
  passing: [
    [code(1129, 1130), "the server does not let this machine in: look at the user's host and at FLUSH HOSTS"],
    [code(2005), "check the host name (DB_HOST) and this machine's DNS"],
    [
      /through socket/,
      "is the server running? A host of localhost means its Unix socket: name the socket (DB_HOST=/path/mysqld.sock), or a port (DB_PORT=3306) to use TCP",
    ],
    [
      code(2002, 2003),
      "is the server running, and are host and port right (DB_HOST, DB_PORT)? Does it listen on that address?",
    ],
    [code(1040, 1203, 1226), "the server has no free connection: raise max_connections or try later"],
    [
      /reading initial communication packet/,
      "does MariaDB or MySQL listen on that port (DB_TYPE, DB_HOST, DB_PORT)? Another kind of server, or a tunnel without one, answers like that",
    ],
    [
      code(2006, 2013, 2055, 1053, 1927, 1159, 1161),
      "the server ended the connection: look at its log (a restart, a crash, out of memory, a timeout, a row above max_allowed_packet)",
    ],
    [
      code(1812),
      // MySQL 9.7, killed in a RENAME TABLE, where a database has a - in its name: recovery takes the files back, and finds them only when
      // it starts again
      "restart the server: after a crash it may miss a table until its next start",
    ],
    [
      code(1205, 1213),
      "another session was in the way, or a prepared transaction (XA RECOVER lists them): stop the applications that use the database and try again",
    ],
    [
      /error:? 1412\b|Couldn't execute 'SELECT .*doesn't exist/i,
      "a table was changed (ALTER, TRUNCATE, DROP) while it was backed up: back up at a quieter time",
    ],
    [
      code(1418, 1419),
      "with binary logging on, functions and triggers need SUPER or SET GLOBAL log_bin_trust_function_creators = 1",
    ],
    [
      code(3750),
      "the server wants a primary key for every table: SET GLOBAL sql_require_primary_key = OFF while you restore",
    ],
    [code(1290, 1836), "the server is read-only: it may be a replica; use the primary"],
    [/errno: 28\b|No space left on device|error:? (1021|1114)\b/i, "the database server's disk is full"],
  ],
};

/**
 * The programs' words, without their names, the line numbers of a stream nobody sees, and the failing statement that
 * MariaDB's client repeats: it holds data.
 */
const tidy = (stderr: string): string =>
  stderr
    .replace(/^[\s\S]*^-{14}$/m, "")
    .replaceAll(/^\S*(?:mysqldump|mariadb-dump|mysql|mariadb): /gm, "")
    .replaceAll(/^(ERROR \d+ \(\w+\)) at line \d+/gm, "$1")
    .replaceAll(/^(?:\[Warning\]|WARNING: ).*$/gm, "");

/** The failure of a client program: what was attempted, its own words, and a hint where we know one. */
export const clientFailure = (what: string, client: Client, status: number, stderr: string): Failure =>
  shared.explained(what, explanations, { said: tidy(stderr), status, program: `${client.name}: ` });

/** Whether another try may help. */
export const isTemporary = (error: unknown): boolean => shared.isTemporary(error, explanations);
