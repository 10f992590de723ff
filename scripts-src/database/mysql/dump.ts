/** Dumping with mariadb-dump or mysqldump. */
import parseWords from "string-argv";
import { Failure, usageFailure } from "../../base/errors.ts";
import { quote } from "../../base/process.ts";
import { bytesText, listed } from "../../base/text.ts";
import { refuseBackup } from "../read-dump.ts";
import { outputOf, unpackCommand, watchLocks } from "../run-program.ts";
import { type Connection, startClient } from "./connection.ts";
import { type DumpContents, dumpForm } from "./contents.ts";
import { clientFailure } from "./explain.ts";
import { quoteName } from "./names.ts";
import { idOf, type Objects, objectsFrom, objectsQuestion } from "./objects.ts";
import { dumpsHistory, type ServerInfo } from "./probe.ts";
import { largestPacket, rowsAlone } from "./plan.ts";
import { query, unlimited } from "./session.ts";

/** Options that would break what a backup promises, or that are ours to set; the programs take shortened names too. */
const refused = (
  "all-databases all-tablespaces comments compact databases default-character-set defaults force help host log-error login-path " +
  "no-defaults password port print-defaults protocol result-file set-gtid-purged skip-comments socket ssl system tab tables user " +
  "version xml"
).split(" ");

/** DB_DUMP_OPTIONS as words. Throws `Failure` with status 2 on one that cannot be used. */
export function dumpOptionsFrom(text: string | undefined): string[] {
  const words = parseWords(text ?? "");
  for (const word of words) {
    const name = /^--([a-z][\w-]*)(=|$)/.exec(word)?.[1]?.replaceAll("_", "-");
    if (name === undefined)
      throw usageFailure(`DB_DUMP_OPTIONS: ${word} cannot be used`, "write options in full: --name or --name=value");
    if (refused.some((option) => option.startsWith(name) || name.startsWith(`${option}-`)))
      throw usageFailure(
        `DB_DUMP_OPTIONS: ${word} cannot be used`,
        "format, file, character set and connection are set by the backup itself or by settings of their own",
      );
  }
  return words;
}

/** The words for the dump program, by what it knows: the two families differ. */
export function dumpWords({ dump, kind }: ServerInfo, options: readonly string[], database: string): string[] {
  const ifKnown = (option: string, value = "") => (dump.knows(option) ? [`--${option}${value}`] : []);
  return [
    "--single-transaction",
    "--quick",
    "--routines",
    "--triggers",
    "--events",
    "--hex-blob",
    "--default-character-set=utf8mb4",
    "--max-allowed-packet=1G",
    // locks serve nothing on the way back, and MariaDB cannot load a table with a sequence as default under them
    "--skip-add-locks",
    ...ifKnown("no-tablespaces"),
    ...ifKnown("set-gtid-purged", "=OFF"),
    ...ifKnown("column-statistics", "=0"),
    // they belong to the server, and most users may not read them
    ...ifKnown("masking-policies", "=0"),
    ...(dumpsHistory(dump, kind) ? ["--dump-history"] : []),
    ...options,
    "--",
    database,
  ];
}

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

/** What is listed and not in the dump; `options` of the dump program may have left it out on purpose. */
function missingIn(contents: DumpContents, listed: Objects, options: readonly string[], database: string): string[] {
  const dumped = new Set([
    ...contents.tables.map((name) => `TABLE ${name}`),
    ...[...contents.views].map((name) => `VIEW ${name}`),
    ...[...contents.triggers].map((name) => `TRIGGER ${name}`),
    ...contents.programs,
  ]);
  const ignored = (table: string) =>
    options.some((option) => /^--ignore-(?:table|view)/.test(option) && option.endsWith(`=${database}.${table}`));
  const leftOut = (kind: string) => options.some((option) => (leavesOut[kind] ?? /routines/).test(option));
  return [...listed.tables.map(({ name }) => ({ kind: "TABLE", name, table: name })), ...listed.others]
    .filter((one) => !dumped.has(idOf(one)) && !ignored(one.table) && !leftOut(one.kind))
    .map(({ kind, name }) => `${kind.toLowerCase()} ${name}`);
}

/** Options of the dump program that leave out objects of a kind. */
const leavesOut: Readonly<Record<string, RegExp>> = {
  TABLE: /no-create-info/,
  VIEW: /no-create-info|ignore-views/,
  TRIGGER: /triggers/,
  EVENT: /events/,
};

/**
 * Dump programs leave out silently what their user cannot see. Throws a `Failure` when the dump lacks what the server lists; what has been
 * dropped since is warned of.
 */
async function checkListed(
  connection: Connection,
  contents: DumpContents,
  listed: Objects,
  options: readonly string[],
): Promise<void> {
  const { database } = connection.target;
  const missing = missingIn(contents, listed, options, database);
  if (missing.length === 0) return;
  const now = missingIn(
    contents,
    objectsFrom(await query(connection, objectsQuestion("database()"))),
    options,
    database,
  );
  const there = missing.filter((object) => now.includes(object));
  const gone = missing.filter((object) => !now.includes(object));
  if (gone.length > 0) connection.log.warn(`dropped while the backup ran, and not in it: ${gone.join(", ")}`);
  if (there.length === 0) return;
  throw new Failure(`the dump lacks what the server lists: ${there.join(", ")}`, {
    hints: [
      "look at the privileges of the database user and at DB_DUMP_OPTIONS; the dump program left it out without a message",
    ],
  });
}

/** Which lock a dump waits for, and whose it is, in words. A user without the privilege PROCESS sees only its own sessions. */
async function findWaits(connection: Connection): Promise<string[]> {
  const rows = await query(connection, "SELECT 'user', current_user(); SHOW FULL PROCESSLIST");
  const user = rows.find(([tag]) => tag === "user")?.[1]?.replace(/@[^@]*$/, "");
  const sessions = rows
    .filter((row) => row.length >= 8)
    .map(([id = "", name = "", host = "", database = "", command = "", seconds = "", state = "", info = ""]) => ({
      id,
      user: name,
      host,
      database,
      seconds,
      doing: info === "NULL" ? command : info,
      waits: /^Waiting for .*lock/i.test(state),
    }));
  const ours = sessions.find(
    (session) => session.user === user && session.database === connection.target.database && session.waits,
  );
  if (!ours) return [];
  const table = /(?:FROM|TABLES?|LIKE) [`']((?:[^`']|``)+)[`']/i.exec(ours.doing)?.[1] ?? "";
  const others = sessions.filter((session) => session !== ours && session.database === ours.database && !session.waits);
  // what it does names the table, else it is probably the one that has lasted longest
  const weight = ({ doing, seconds }: (typeof others)[number]) => (doing.includes(table) ? 1e9 : 0) + Number(seconds);
  const [holder] = others.toSorted((a, b) => weight(b) - weight(a));
  const whose = holder
    ? `probably session ${holder.id} of ${holder.user}@${holder.host.replace(/:\d+$/, "")} (${holder.doing.slice(0, 80)}, for ${holder.seconds} s)`
    : "another session (the privilege PROCESS would show whose)";
  return [
    `the dump waits for the table ${table || ours.doing.slice(0, 80)}, which is locked by ${whose}; gives up after 5 minutes`,
  ];
}
