/** How MySQL's and MariaDB's client programs reach the database. */
import { closeSync, openSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { diskFailure } from "../../base/disk.ts";
import { type Program, start } from "../../base/process.ts";
import type { DatabaseContext } from "../database.ts";
import type { Client, Family } from "./clients.ts";
import type { Target } from "./login.ts";

/** What the settings say. */
export interface Login extends DatabaseContext {
  target: Target;
  /** DB_CLIENT_DIR. */
  folder: string | undefined;
}

/** A way to a database of the server. */
export interface Connection extends Login {
  /** The program for everything but dumps. */
  client: Client;
}

/** A way to a database that is always there, for what is done to the present one. */
export interface Place extends Connection {
  /** SQL with which each session begins. */
  settings: string;
  /** The present database: its name, and how it is called for people. */
  database: string;
  where: string;
  /** The server renames tables that are locked (MySQL since 8.0.13), and the user may lock them. */
  locks: boolean;
  /** MySQL: the user may make triggers for every account. */
  isSystemUser: boolean;
}

/** A database that every server has and every user may use. */
export const everywhere = "information_schema";

/** The same login, in another database. */
export const inDatabase = (connection: Connection, database: string): Connection => ({
  ...connection,
  target: { ...connection.target, database, where: connection.target.where.replace(/[^/?]*(?=$|\?)/, () => database) },
});

/** A client program that reads its login from an option file. */
export function startClient({ target, signal }: Connection, client: Client, words: readonly string[]): Program {
  using login = writeOptionFile(target, client);
  return start([client.path, login.argument, ...words], { env: login.env, signal, file: login.file });
}

interface OptionFile extends Disposable {
  /** The open file. It has no name any more: nobody else can open it, and nothing is left of it when its readers have ended. */
  file: number;
  /** The first argument. Not --defaults-extra-file: after that one the programs would still read ~/.my.cnf, which wins. */
  argument: string;
  /** Names a file that does not exist: MySQL's programs would also read a login from ~/.mylogin.cnf. */
  env: Record<string, string>;
}

/** Writes the file for a program that gets it as its descriptor 3. Throws `Failure`. */
export function writeOptionFile(target: Target, client: Client): OptionFile {
  try {
    const path = join(tmpdir(), `backup_scripts-${crypto.randomUUID()}`);
    const file = openSync(path, "wx+", 0o600);
    using unfit = new DisposableStack();
    unfit.defer(() => closeSync(file));
    unlinkSync(path);
    // at offset 0: on macOS its reader begins where we have ended
    const text = Buffer.from(formatOptions(target, client));
    // a disk that is almost full takes a part of it, without an error
    if (writeSync(file, text, 0, text.length, 0) < text.length)
      throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
    const opened = unfit.move();
    return {
      file,
      argument: "--defaults-file=/dev/fd/3",
      env: { MYSQL_TEST_LOGIN_FILE: "/dev/null/none" },
      [Symbol.dispose]: () => opened.dispose(),
    };
  } catch (error) {
    throw diskFailure(`cannot write an option file below ${tmpdir()}`, error);
  }
}

/** The text of the file for that client program. */
export function formatOptions(target: Target, client: Omit<Client, "path" | "version">): string {
  const { host, port, socket, user, password = "" } = target;
  const login: [string, string | number | undefined][] = [
    // also with a socket: without the line MYSQL_HOST would count
    ["host", client.setsAside === "by host" && !host?.includes("}") ? hostWith(host) : (host ?? "localhost")],
    ["port", port],
    ["socket", socket],
    // for "localhost" the programs would take the socket and forget the port
    ["protocol", socket === undefined ? port && "TCP" : "SOCKET"],
    ["user", user],
    // also an empty one: without the line MYSQL_PWD would count
    ["password", password],
    ...tlsOptions(target.options, client.family),
  ];
  const lines = login.flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${quote(String(value))}`]));
  const first = client.setsAside === "by option" ? [`init-command=${quote(sessionSettings)}`] : [];
  const ofClient = ["[mysql]", "connect-timeout=10", ...locks(client), ...first];
  return ["[client]", ...lines, ...ofClient, "[mysqldump]", ...first, ""].join("\n");
}

/**
 * Replaces settings of the server that would limit what a session reads, or would let it wait for another session's lock without end
 * (MySQL's default is a year). A server whose version lacks a setting reads it as a comment.
 */
const always = "SET SESSION sql_select_limit=18446744073709551615, sql_big_selects=1, lock_wait_timeout=300";
const sessionSettings =
  `${always} /*!50708 , max_execution_time=0 */ /*!80030 , show_gipk_in_create_table_and_information_schema=1 */` +
  " /*M!100101 , max_statement_time=0 */";

/**
 * mariadb-dump has no option for a first command, but its library reads one from a host that is a connection string. It writes the host
 * into the dump's head, so this is short. It sets max_statement_time itself.
 */
const hostWith = (host = "localhost"): string => `host={${host}};init-command={${always}}`;

/**
 * What keeps the command-line client from doing anything but sending SQL to the server. It stands in the option file, so that no
 * session of ours starts without it, whatever SQL it gets.
 */
const locks = ({ knows }: Pick<Client, "knows">): string[] => [
  // of the client's own commands only DELIMITER is obeyed
  "binary-mode",
  // the server cannot ask for files of this machine (LOAD DATA LOCAL INFILE)
  "local-infile=0",
  ...(knows("sandbox") ? ["sandbox"] : []),
  ...(knows("commands") ? ["commands=0"] : []),
  ...(knows("system-command") ? ["system-command=0"] : []),
];

/** What MySQL calls ssl-mode has other names in MariaDB; the rest is the same. */
function tlsOptions(options: ReadonlyMap<string, string>, family: Family): [string, string][] {
  const others = [...options].filter(([name]) => family === "mysql" || name !== "ssl-mode");
  const mode = options.get("ssl-mode");
  if (family === "mysql" || mode === undefined) return others;
  const verify: [string, string] = ["ssl-verify-server-cert", mode.startsWith("VERIFY") ? "1" : "0"];
  // "preferred" is what MariaDB's programs do when nothing is said
  const ssl: [string, string][] = mode === "PREFERRED" ? [] : [["ssl", mode === "DISABLED" ? "0" : "1"]];
  return mode === "DISABLED" ? ssl : [...ssl, verify, ...others];
}

const escapes: Record<string, string> = {
  "\\": "\\\\",
  '"': '\\"',
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\b": "\\b",
};

/** A value as mysys/my_default.c reads it back: in quotes a `#` is no comment and spaces at the ends stay. */
const quote = (value: string): string => `"${value.replaceAll(/[\\"\n\r\t\b]/g, (sign) => escapes[sign] ?? sign)}"`;
