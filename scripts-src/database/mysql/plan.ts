/** Whether and how a dump can be restored, what a load makes of it, and what a person should know before. */
import { bytesText, counted, listed, listOf } from "../../base/text.ts";
import type { LoadOptions, RestorePlan } from "../restoring.ts";
import { release } from "./clients.ts";
import type { Place } from "./connection.ts";
import type { DumpContents } from "./contents.ts";
import type { LoadRules } from "./filter.ts";
import type { Grants } from "./grants.ts";
import { isSystem, quoteName } from "./names.ts";
import { familyNames, type ServerInfo } from "./probe.ts";
import { query } from "./session.ts";
import { type MysqlTarget, ties, tiesQuestion } from "./target.ts";

/** Throws `Failure` when the server cannot be asked. */
export async function planRestore(
  serverInfo: ServerInfo,
  place: Place,
  contents: DumpContents,
  target: MysqlTarget,
  { noOwner, keepGoing, asleep }: LoadOptions,
): Promise<RestorePlan> {
  const { database } = place;
  const beside = serverInfo.grants.beside();
  const createProblems = lacksGrants(beside, target.user, database);
  const besideProblems = target.empty ? [] : ties(await query(place, tiesQuestion(database)));
  const unseen = !target.empty && !serverInfo.grants.hasGlobally("PROCESS", "SELECT");
  return {
    problems: [
      // a copy that sleeps leaves the present database alone
      ...findProblems(contents, asleep ? { ...serverInfo, grants: beside } : serverInfo, target, noOwner),
      ...listOf(keepGoing && "--keep-going is for PostgreSQL: restore --into NAME without it"),
    ],
    createProblems,
    besideProblems,
    // beside this is tried: what fails there leaves the present database as it is
    inPlaceProblems: target.empty
      ? []
      : foreignDump(contents, serverInfo).map((one) => `${one}: restore without --in-place`),
    warnings: [
      ...warnings(contents, serverInfo, database),
      ...listOf(
        unseen && `whether tables of other databases refer to those of ${database} cannot be seen by this user`,
      ),
    ],
    // beside is safer: what fails there leaves nothing
    fillsEmpty: target.empty && createProblems.length > 0,
  };
}

/** What of a dump is left out or changed. */
export const loadRules = (
  contents: DumpContents,
  { kind, server }: ServerInfo,
  where: Pick<LoadRules, "database" | "noOwner" | "asleep">,
): LoadRules => ({
  ...where,
  dumped: contents.database,
  forgetModes: kind.family === "mysql" && server.major >= 8,
});

function lacksGrants(grants: Grants, user: string, database: string): string[] {
  const lacking = tablePrivileges.filter((word) => !grants.has(word)).join(", ");
  const pattern = `${database.replaceAll("`", "``").replaceAll(/[\\_%]/g, "\\$&")}\\_%`;
  const remedy = grants.literal
    ? "with partial_revokes, names in GRANT are no patterns: restore as an administrator"
    : `GRANT ALL ON \`${pattern}\`.* TO ${quoteAccount(user)};`;
  return listOf(
    lacking !== "" &&
      `${user} lacks ${lacking} on databases beside ${database} (${database}_restoring_TIME): ${remedy}`,
  );
}

/** The server may not take all of a dump of the other kind, or of a newer version. */
function foreignDump({ family, serverVersion = "0" }: DumpContents, { kind, server }: ServerInfo): string[] {
  const from = `the dump comes from ${familyNames[family]}`;
  return listOf(
    family !== kind.family && `${from}, the server is ${server.version}`,
    family === kind.family &&
      release({ family, version: serverVersion }) > release(kind) &&
      `${from} ${serverVersion}, which is newer than the server, ${server.version}`,
  );
}

/** What a person should know before a dump is loaded. */
export function warnings(contents: DumpContents, serverInfo: ServerInfo, database: string): string[] {
  const { used, qualified } = contents;
  const others = [...qualified].filter((name) => name !== database && name !== contents.database);
  const reading = [...contents.viewDatabases].flatMap(([view, named]) => {
    const away = named.filter((name) => name !== database && name !== contents.database && !isSystem(name));
    return away.length > 0 ? [`${view} (${away.join(", ")})`] : [];
  });
  return listOf(
    ...foreignDump(contents, serverInfo),
    used !== undefined && used !== database && `the dump is of the database ${used}; it is loaded into ${database}`,
    others.length > 0 && `tables of the dump name other databases and go on to use them: ${others.join(", ")}`,
    reading.length > 0 && `these views read other databases and will keep reading them: ${reading.join(", ")}`,
  );
}

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
  const rowsOnly = [...rows.keys()].filter((table) => !created.has(table));
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
const tablePrivileges = ["SELECT", "INSERT", "CREATE", "DROP", "ALTER"];

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

/** Bytes: the largest value of max_allowed_packet. */
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

const quoteAccount = (account: string): string => {
  const at = account.lastIndexOf("@");
  return `${quoteName(account.slice(0, at))}@${quoteName(account.slice(at + 1))}`;
};
