/** Dumping with pg_dump. */
import parseWords from "string-argv";
import { usageFailure } from "../../base/errors.ts";
import { quote, start } from "../../base/process.ts";
import { lockPatience } from "../lock-watch.ts";
import { outputOf } from "../run-program.ts";
import { unpackCommand } from "../stock.ts";
import type { Client } from "./clients.ts";
import type { Connection } from "./connection.ts";
import { formatConninfo } from "./conninfo.ts";
import { clientFailure } from "./explain.ts";
import type { ServerInfo } from "./probe.ts";
import { query } from "./session.ts";
import { dumpForm } from "./reader.ts";
import { watchSessions } from "./waiting.ts";

/** Options that would break what a backup promises, or that are ours to set. */
const refused =
  /^(-[fFZjCdhpUWV?].*|--(file|format|compress|jobs|create|dbname|host|port|username|password|version|help)(=.*)?)$/;

/** DB_DUMP_OPTIONS as words. Throws `Failure` with status 2 on one that cannot be used. */
export function dumpOptionsFrom(text: string | undefined): string[] {
  const words = parseWords(text ?? "");
  const wrong = words.find((word) => refused.test(word));
  if (wrong === undefined) return words;
  throw usageFailure(
    `DB_DUMP_OPTIONS: ${wrong} cannot be used`,
    "format, compression, file and connection have settings of their own",
  );
}

/** A table that another session has locked is not waited for longer. What the user sets comes later, and wins. */
const locks = `--lock-wait-timeout=${lockPatience}`;

/**
 * The dump's SQL, in the database's encoding (`known`, or asked for). It ends normally only when pg_dump exited 0 and its last line has
 * come. While it waits for a lock, the log says which.
 */
export async function* dump(
  connection: Connection,
  client: Client,
  options: readonly string[],
  known?: string,
): AsyncGenerator<Uint8Array> {
  const { env, signal, where, log, dbname } = connection;
  // otherwise a login's client_encoding would decide, which need not know every letter of the database
  const encoding = known ?? (await query<string>(connection, "SELECT to_json(getdatabaseencoding())"));
  const words = ["--format=plain", "--no-password", locks, `--encoding=${encoding}`, ...options, dbname];
  const program = start([client.path, ...words], { env, signal });
  using watch = watchSessions(connection, "pg_dump");
  const failure = (status: number, stderr: string) => clientFailure(`pg_dump of ${where} failed`, status, stderr);
  yield* outputOf(program, { name: "pg_dump", path: client.path, form: dumpForm, watch, failure, log, signal });
}

/** psql takes a name with a = for settings, and one that looks like a URL for that. */
const unmistakable = (database: string) =>
  /=|^postgres(ql)?:/.test(database) ? formatConninfo([["dbname", database]]) : database;

/** More relations than this need more locks in one transaction than a server has by default (6,400). */
const manyRelations = 4000;

/** A pipe of stock tools that restores the file into an empty database of that name. */
export function stockRestore(
  file: string,
  compression: Parameters<typeof unpackCommand>[1],
  { connection, server, pgDump, relations }: ServerInfo,
): string {
  // pg_dump 17 and later write a setting into the first lines that older servers do not know
  const older = server.major < 17 && pgDump.major >= 17 ? " | sed '1,40{/^SET transaction_timeout = 0;$/d}'" : "";
  const single = relations > manyRelations ? "" : "--single-transaction ";
  const load = `psql --no-psqlrc ${single}-v ON_ERROR_STOP=1`;
  return `${unpackCommand(file, compression)}${older} | ${load} -d ${quote(unmistakable(connection.database))}`;
}
