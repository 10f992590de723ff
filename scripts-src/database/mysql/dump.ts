/** Dumping with mariadb-dump or mysqldump. */
import { Failure } from "../../base/errors.ts";
import { quote } from "../../base/process.ts";
import { bytesText, listed } from "../../base/text.ts";
import { watchLocks } from "../lock-watch.ts";
import { refuseBackup } from "../read-dump.ts";
import { outputOf } from "../run-program.ts";
import { unpackCommand } from "../stock.ts";
import { type Connection, startClient } from "./connection.ts";
import type { DumpContents } from "./contents.ts";
import { dumpWords } from "./dump-options.ts";
import { clientFailure } from "./explain.ts";
import { checkListed } from "./listed.ts";
import { quoteName } from "./names.ts";
import type { ServerInfo } from "./probe.ts";
import { largestPacket, rowsAlone } from "./problems.ts";
import { dumpForm } from "./reader.ts";
import { unlimited } from "./session-settings.ts";
import { findWaits } from "./waiting.ts";
import { query } from "./session.ts";

/** The dump's SQL; ends normally only when the program exited 0 and its last line has come. */
export async function* dump(
  connection: Connection,
  serverInfo: ServerInfo,
  options: readonly string[],
): AsyncGenerator<Uint8Array> {
  const { target, signal, log } = connection;
  checkGrants(serverInfo, options, target.database);
  const client = serverInfo.dump;
  const words = dumpWords(serverInfo, options, target.database);
  const failure = (status: number, stderr: string) =>
    clientFailure(`${client.name} of ${target.where} failed`, client, status, stderr);
  if (client.setsAside === undefined) await refuseCut(connection, serverInfo);
  using watch = watchLocks(connection, () => findWaits(connection));
  const program = startClient(connection, client, words);
  yield* outputOf(program, { name: client.name, path: client.path, form: dumpForm, watch, failure, log, signal });
}

/** Throws a `Failure` when the dump lacks what the server has listed, or a row that no server takes; warns of one that the server does not take today. */
export async function checkDumped(
  connection: Connection,
  { maxPacket, listed }: ServerInfo,
  contents: DumpContents,
  options: readonly string[],
): Promise<void> {
  await checkListed(connection, contents, listed, options);
  refuseBackup(rowsAlone(contents));
  if (contents.longest <= maxPacket) return;
  const row = `the longest row takes ${bytesText(contents.longest)} of SQL`;
  if (contents.longest >= largestPacket)
    throw new Failure(`${row}, and no server takes more than 1 GiB: the backup could not be restored`, {
      hints: [
        "store the value in smaller parts, or save its table in another way and leave it out (DB_DUMP_OPTIONS=--ignore-table=DATABASE.TABLE)",
      ],
    });
  connection.log.warn(
    `${row}, more than the server's max_allowed_packet (${bytesText(maxPacket)}): ` +
      `a restore needs SET GLOBAL max_allowed_packet = ${largestPacket} before`,
  );
}

/** A server can cut every result, also those of a dump. Throws `Failure`. */
async function refuseCut(connection: Connection, { dump }: ServerInfo): Promise<void> {
  const [[limit = ""] = []] = await query(connection, "SELECT @@global.sql_select_limit");
  if (limit === unlimited) return;
  throw new Failure(
    `the server's sql_select_limit is ${limit}, and ${dump.name} ${dump.version} cannot set it aside: every table of the backup would end there`,
    { hints: [`SET GLOBAL sql_select_limit = ${unlimited}, or use a newer ${dump.name}`] },
  );
}

/**
 * Tables and triggers that a user may not see are left out of a dump silently: such a user takes no backup.
 * Throws `Failure`.
 */
export function checkGrants({ grants }: ServerInfo, options: readonly string[], database: string): void {
  const needed = ["SELECT"];
  if (!options.includes("--skip-triggers")) needed.push("TRIGGER");
  if (!options.includes("--skip-events")) needed.push("EVENT");
  const lacking = needed.filter((privilege) => !grants.has(privilege));
  if (lacking.length === 0) return;
  throw new Failure(
    `the database user lacks ${lacking.join(", ")} on the whole database ${database}: ` +
      "what it cannot see would silently be missing from the backup",
    {
      hints: [
        `GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON ${quoteName(database)}.* TO the user`,
        ...(grants.roles ? ["a role counts when it is active at login: SET DEFAULT ROLE"] : []),
      ],
    },
  );
}

const floats = `
  SELECT c.table_name, c.column_name FROM information_schema.columns c JOIN information_schema.tables t
    ON t.table_schema = c.table_schema AND t.table_name = c.table_name
    WHERE c.table_schema = database() AND c.data_type = 'float' AND t.table_type NOT LIKE '%VIEW'`;

/** Both servers write a FLOAT with six digits, and nothing can be set against that. */
export async function noteFloats(connection: Connection): Promise<void> {
  const columns = (await query(connection, floats)).map((row) => row.join("."));
  if (columns.length === 0) return;
  connection.log.info(
    `note: dumps hold FLOAT columns with six digits (16777216 comes back as 16777200): ${listed(columns)}; DOUBLE keeps all`,
  );
}

/** A pipe of stock tools that restores the file; host and login come from ~/.my.cnf or are added by hand. */
export function stockRestore(
  file: string,
  compression: Parameters<typeof unpackCommand>[1],
  database: string,
  serverInfo: ServerInfo,
): string {
  const client = serverInfo.kind.family === "mariadb" ? "mariadb" : "mysql";
  // MySQL's client takes the first line of early sandboxed dumps for a command
  const sandbox = serverInfo.dump.family !== serverInfo.kind.family ? " | sed '1{/sandbox mode/d}'" : "";
  const load = `${client} --binary-mode --local-infile=0 --comments --default-character-set=utf8mb4 --max-allowed-packet=1G`;
  return `${unpackCommand(file, compression)}${sandbox} | ${load} ${quote(database)}`;
}
