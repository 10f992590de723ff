/** What PostgreSQL's client programs say when something is wrong, and what to do about it. */
import type { Failure } from "../../base/errors.ts";
import * as shared from "../explain.ts";

/** pg_read_all_data does not include them. */
export const hintForLargeObjects =
  "large objects need GRANT SELECT ON LARGE OBJECT each, or a backup as their owner: no role reads them all";

const explanations: shared.Explanations = {
  permanent: [
    [
      // of the options only those words are not ours
      /unrecognized option|invalid option --|requires an argument|too many command-line arguments|cannot be used together/,
      "check DB_DUMP_OPTIONS: pg_dump does not take one of its words (./help DB_DUMP_OPTIONS)",
    ],
    [
      /no matching \w+ were found/,
      `check DB_DUMP_OPTIONS: one of its patterns matches nothing in this database; a name with capital letters is written '"Name"' there`,
    ],
    [
      /password authentication failed|no password supplied/,
      "check user and password: DB_USER and DB_PASSWORD, or those in DATABASE_URL or POSTGRES_CONNECTION_STRING (in a URL, @ is written %40, # %23, % %25, / %2F)",
    ],
    [
      /database "[^]*" does not exist/,
      "check the name of the database (DB_NAME, or the end of the URL); psql -l lists the databases of the server",
    ],
    [
      /role ".*" does not exist/,
      "create the role on the server (CREATE ROLE), or restore with --no-owner; when it is the login itself, check DB_USER",
    ],
    [
      /no pg_hba\.conf entry|authentication failed/i,
      "the server's pg_hba.conf does not let this user in from this host; allow it there, or try sslmode=require",
    ],
    [
      /server does not support SSL, but SSL was required/,
      "the server speaks no TLS: enable it there, or set sslmode=prefer",
    ],
    [
      /certificate verify failed|root certificate file .* does not exist/,
      "give the server's certificate authority with sslrootcert=/path/ca.pem, or check the host name",
    ],
    [
      /invalid (connection option|URI|sslmode|port|.* value)|unsupported .*sslmode/,
      "check the options in DATABASE_URL or POSTGRES_CONNECTION_STRING",
    ],
    [/does not have CONNECT privilege/, "GRANT CONNECT ON DATABASE … TO the user"],
    [
      /is not currently accepting connections/,
      "the database is closed to everybody: ALTER DATABASE … ALLOW_CONNECTIONS true",
    ],
  ],
  passing: [
    [/could not translate host name/, "check the host name (DB_HOST) and this machine's DNS"],
    [
      /Connection refused|No such file or directory\s+Is the server running/,
      "is the server running, and are host and port right (DB_HOST, DB_PORT)? Does it listen on that address?",
    ],
    [
      /timeout expired|Connection timed out|No route to host|Network is unreachable/,
      "the server does not answer: check host, port and firewall",
    ],
    [
      /too many connections for/,
      "a connection limit is reached: try later, or raise it (ALTER DATABASE … CONNECTION LIMIT, ALTER ROLE … CONNECTION LIMIT)",
    ],
    [
      /too many clients|remaining connection slots/,
      "the server has no free connection: raise max_connections or try later",
    ],
    [/permission denied for large object/, hintForLargeObjects],
    [
      /permission denied|must be owner|must be superuser|must be member|must be able to/,
      "the database user lacks a privilege: for backups GRANT pg_read_all_data TO it (PostgreSQL 14 and later); for restores it must own the database's objects",
    ],
    [
      /query would be affected by row-level security/,
      "row security hides rows from this user: back up as a role with BYPASSRLS or as a superuser; the tables' owner sees all rows too, unless FORCE ROW LEVEL SECURITY is set",
    ],
    [
      /terminating connection|server closed the connection|connection to server was lost|SSL SYSCALL error|server process/,
      "the server ended the connection: look at its log (a restart, a crash, out of memory, an administrator)",
    ],
    [
      /cannot execute .* (in a read-only transaction|during recovery)/,
      "nothing can be written there: a standby (restore on its primary), or default_transaction_read_only is on: ALTER DATABASE, or ALTER ROLE of the login, ... RESET default_transaction_read_only",
    ],
    [
      /invalid byte sequence for encoding|has no equivalent in encoding/,
      "the backup holds bytes that the database's encoding does not know (a database with SQL_ASCII checks none): restore it into a database with " +
        "the encoding of the backup (CREATE DATABASE … ENCODING 'SQL_ASCII' TEMPLATE template0), or convert it: gunzip -c FILE | iconv -f LATIN1 -t UTF-8 > dump.sql",
    ],
    [/No space left on device|could not extend file/, "the database server's disk is full"],
    [
      /aborting because of server version mismatch/,
      "install client programs of the server's major version, or set DB_CLIENT_DIR to their folder",
    ],
    [
      /canceling statement due to (statement|lock) timeout[^]*LOCK TABLE/,
      "another session holds a lock on the table: end it (the log names it), or wait longer with DB_DUMP_OPTIONS=--lock-wait-timeout=MILLISECONDS",
    ],
    [
      /conflict with recovery/,
      "the standby replays changes that remove rows which the dump still reads: set hot_standby_feedback = on there (or raise max_standby_streaming_delay), or back up the primary",
    ],
    [
      /canceling statement due to (statement|user request)|transaction timeout|idle-(session|in-transaction) timeout/,
      "the server or an administrator ended it: look for statement_timeout and transaction_timeout (ALTER ROLE … SET, ALTER DATABASE … SET), and try again",
    ],
    [
      /out of shared memory/,
      "one transaction needs more locks than the server has: raise max_locks_per_transaction (restart), or restore as a user who can create databases",
    ],
    [
      /invalid memory alloc request size|cannot enlarge string buffer|out of memory/,
      "a value is too large for pg_dump (binary data of more than about 500 MB), or the server's memory too small: leave its rows out with DB_DUMP_OPTIONS=--exclude-table-data=TABLE and save them by other means, or keep such data as large objects",
    ],
    [
      /canceling statement due to|deadlock detected/,
      "another session was in the way: stop the applications that use the database and try again",
    ],
    [/ERROR: {2}/, "the server refused one statement, for the reason that it gives: mend what it names"],
  ],
};

/** The client's words about what failed, without its name and the line numbers of a stream nobody sees. */
function tidy(stderr: string): string {
  const words = stderr
    .replaceAll(/^(?:psql|pg_dump):(?:<stdin>:\d+:)? ?/gm, "")
    .replaceAll(/^(?:error|fatal|detail): /gm, "");
  // warnings of statements that succeeded come first
  return words.slice(Math.max(0, words.search(/^ERROR: {2}/m)));
}

/** The failure of a client program: what was attempted, its own words, and a hint where we know one. */
export const clientFailure = (what: string, status: number, stderr: string): Failure =>
  shared.explained(what, explanations, { said: tidy(stderr), status });

/** Whether another try may help. */
export const isTemporary = (error: unknown): boolean => shared.isTemporary(error, explanations);
