/** What is in the way of a load: it would fail, or harm, in the middle. */
import { bytesText, counted, listed, listOf } from "../../base/text.ts";
import type { DumpContents } from "./contents.ts";
import { quoteName } from "./names.ts";
import type { ServerInfo } from "./probe.ts";
import type { MysqlTarget } from "./target.ts";

type ServerState = Pick<MysqlTarget, "user" | "programs" | "engines" | "accounts" | "variables">;
type Compare = (contents: DumpContents, serverInfo: ServerInfo, state: ServerState) => string[];

/** Everything at once, each with the remedy. */
export function findProblems(...[contents, serverInfo, state, noOwner]: [...Parameters<Compare>, boolean]): string[] {
  const checks: Compare[] = [
    rowsAlone,
    caseProblems,
    functionProblems,
    privilegeProblems,
    packetProblems,
    unenforcedProblems,
    engineProblems,
    ...(noOwner ? [] : [definerProblems]),
  ];
  return checks.flatMap((check) => check(contents, serverInfo, state));
}

/** Rows of tables that the dump does not create, as with `--no-create-info`: no database can be made of them. */
export const rowsAlone = ({ tables, rows }: DumpContents): string[] => {
  const created = new Set(tables);
  const rowsOnly = [...(rows?.keys() ?? [])].filter((table) => !created.has(table));
  return listOf(
    rowsOnly.length > 0 &&
      `the dump holds rows of ${counted(rowsOnly.length, "table")} that it does not create (${listed(rowsOnly)}), as with ` +
        "--no-create-info: load it by hand into tables that exist (mysql --binary-mode DATABASE < FILE)",
  );
};

/** Such a server would put both into one table, the second one in place of the first. */
const caseProblems: Compare = ({ tables, views }, _serverInfo, { variables }) => {
  if ((variables.get("lower_case_table_names") ?? "0") === "0") return [];
  const same = Map.groupBy([...tables, ...views], (name) => name.toLowerCase());
  const pairs = [...same.values()].filter((names) => names.length > 1);
  return listOf(
    pairs.length > 0 &&
      "the server does not tell capital from small letters in names (lower_case_table_names), and the dump has tables that differ in " +
        `nothing else: ${pairs.map((names) => names.join(" and ")).join(", ")}; restore it into a server like the one that was dumped`,
  );
};

const functionProblems: Compare = ({ programs, triggers }, { grants }, { variables }) => {
  const isOn = (name: string) => /^(1|ON)$/i.test(variables.get(name) ?? "");
  const functions = triggers.size > 0 || [...programs].some((program) => program.startsWith("FUNCTION "));
  const distrusts = isOn("log_bin") && !isOn("log_bin_trust_function_creators") && !grants.hasGlobally("SUPER");
  return listOf(
    functions &&
      distrusts &&
      "the server writes a binary log and lets only users with SUPER create functions and triggers: " +
        "SET GLOBAL log_bin_trust_function_creators = 1, or restore as an administrator",
  );
};

/** What every load needs. */
export const tablePrivileges = ["SELECT", "INSERT", "CREATE", "DROP", "ALTER"];

const privilegeProblems: Compare = ({ views, programs, triggers }, { grants }, state) => {
  const kinds = [...programs, ...state.programs];
  const isEvent = (program: string) => program.startsWith("EVENT ");
  const needed = [
    ...tablePrivileges,
    ...(views.size > 0 ? ["CREATE VIEW"] : []),
    ...(kinds.every(isEvent) ? [] : ["CREATE ROUTINE", "ALTER ROUTINE"]),
    ...(kinds.some(isEvent) ? ["EVENT"] : []),
    ...(triggers.size > 0 ? ["TRIGGER"] : []),
  ];
  const lacking = needed.filter((privilege) => !grants.has(privilege));
  return listOf(
    lacking.length > 0 && `the user ${state.user} lacks ${lacking.join(", ")} on the database: GRANT ALL on it`,
  );
};

/** Bytes: more max_allowed_packet cannot be. */
export const largestPacket = 1 << 30;

const packetProblems: Compare = ({ longest }, { maxPacket }) => {
  if (longest < maxPacket) return [];
  const enough = Math.min(largestPacket, 2 ** Math.ceil(Math.log2(longest + 1024)));
  return [
    `the dump holds a row of ${bytesText(longest)} of SQL, the server takes ${bytesText(maxPacket)}: ` +
      `SET GLOBAL max_allowed_packet = ${enough}${longest >= largestPacket ? " is its limit, and not enough" : ""}`,
  ];
};

/** The words stand in a comment, which MariaDB skips. */
const unenforcedProblems: Compare = ({ unenforced }, { kind }) =>
  listOf(
    unenforced.size > 0 &&
      kind.family === "mariadb" &&
      `MariaDB would enforce constraints that the dump does not enforce (${listed([...unenforced])}): restore into MySQL`,
  );

const engineProblems: Compare = ({ engines }, _serverInfo, state) =>
  [...engines]
    .filter(([engine]) => !state.engines.has(engine.toLowerCase()))
    .map(
      ([engine, table]) => `the server lacks the storage engine ${engine} (table ${table}): install its plugin there`,
    );

/** A view or program runs in the name of its definer: without that account it fails whenever it is used. */
const definerProblems: Compare = ({ definers }, { grants }, { user, accounts }) => {
  const others = [...definers].filter((account) => account !== user);
  const mayName = grants.hasGlobally("SUPER", "SET USER", "SET_USER_ID", "SET_ANY_DEFINER");
  const absent = others.filter((account) => accounts && !accounts.has(account)).map(quoteAccount);
  const create = absent.map((account) =>
    account.endsWith("@``") ? `CREATE ROLE ${account.slice(0, -3)};` : `CREATE USER ${account};`,
  );
  return listOf(
    others.length > 0 &&
      !mayName &&
      `views or programs of the dump belong to ${others.map(quoteAccount).join(", ")}, and ${user} may not create any in the ` +
        "name of others: restore as an administrator, or with --no-owner",
    absent.length > 0 &&
      mayName &&
      `accounts not on the server: ${absent.join(", ")}; create them (${create.join(" ")}) or restore with --no-owner`,
  );
};

export const quoteAccount = (account: string): string => {
  const at = account.lastIndexOf("@");
  return `${quoteName(account.slice(0, at))}@${quoteName(account.slice(at + 1))}`;
};
