/** Compares what a dump names with what the target has, before anything is touched: a failed load cannot be undone. */
import { bytesText } from "../../shared/progress.ts";
import type { LoadPlan } from "../database.ts";
import { release } from "./clients.ts";
import type { DumpContents } from "./contents.ts";
import { isOnlyIn } from "./features.ts";
import type { LoadRules } from "./filter.ts";
import { type Contact, familyNames } from "./probe.ts";
import type { TargetState } from "./state.ts";

/** A plan with what the load does first, and what it leaves out or changes. */
export interface MysqlPlan extends LoadPlan {
  /** Statements that empty the database. */
  emptying: string[];
  rules: LoadRules;
}

type Compare = (contents: DumpContents, contact: Contact, state: TargetState) => string[];

/** The plan; its `problems` list everything that is in the way at once, each with the remedy. */
export function comparePlan(
  contents: DumpContents,
  contact: Contact,
  state: TargetState,
  { database, noOwner }: { database: string; noOwner: boolean },
): MysqlPlan {
  const inDump = new Set(contents.tables);
  const rest = (names: readonly string[], there: ReadonlySet<string>, kind = "") =>
    names.filter((name) => !there.has(name)).map((name) => `${kind}${name}`);
  const checks: Compare[] = [
    serverProblems,
    privilegeProblems,
    packetProblems,
    familyProblems,
    collationProblems,
    engineProblems,
    ...(noOwner ? [] : [definerProblems]),
  ];
  return {
    replaces: state.tables.filter((name) => inDump.has(name)),
    keeps: [],
    drops: [
      ...rest(state.tables, inDump, "table "),
      ...rest(state.views, contents.views, "view "),
      ...rest(state.programs, contents.programs).map((program) =>
        program.replace(/^[A-Z ]+ /, (kind) => kind.toLowerCase()),
      ),
    ],
    problems: [...databaseProblems(contents), ...checks.flatMap((check) => check(contents, contact, state))],
    warnings: warnings(contents, contact, state, database),
    emptying: [...lockAll(state, contact), ...emptying(state)],
    rules: { database, noOwner, forgetModes: contact.kind.family === "mysql" && contact.server.major >= 8 },
  };
}

/** A dump may hold several databases; it cannot be told which one is meant. */
function databaseProblems({ databases, names }: DumpContents): string[] {
  const problems: string[] = [];
  if (databases.size > 1) {
    problems.push(
      `the dump holds ${databases.size} databases (${[...databases].slice(0, 5).join(", ")}), a restore takes one: ` +
        "take a dump of the one, or load it with the mysql client",
    );
  }
  // in these a backslash can be half a character, which the clients take for an escape
  if (names && /^(big5|cp932|gbk|gb18030|sjis)$/.test(names))
    problems.push(`the dump is written in ${names}: take it again with --default-character-set=utf8mb4`);
  return problems;
}

const serverProblems: Compare = ({ programs, triggers }, { grants }, { variables }) => {
  const isOn = (name: string) => /^(1|ON)$/i.test(variables.get(name) ?? "");
  const problems: string[] = [];
  if (isOn("read_only") && !grants.hasGlobally("SUPER", "READ_ONLY ADMIN", "CONNECTION_ADMIN"))
    problems.push("the server is read-only: it may be a replica; restore into the primary");
  const functions = triggers || [...programs].some((program) => program.startsWith("FUNCTION "));
  const distrusts = isOn("log_bin") && !isOn("log_bin_trust_function_creators");
  if (functions && distrusts && !grants.hasGlobally("SUPER")) {
    problems.push(
      "the server writes a binary log and lets only users with SUPER create functions and triggers: " +
        "SET GLOBAL log_bin_trust_function_creators = 1, or restore as an administrator",
    );
  }
  return problems;
};

const privilegeProblems: Compare = ({ views, programs, triggers }, { grants }, state) => {
  const kinds = [...programs, ...state.programs];
  const needed = [
    "SELECT",
    "INSERT",
    "CREATE",
    "DROP",
    "ALTER",
    ...(views.size > 0 ? ["CREATE VIEW"] : []),
    ...(kinds.some((program) => !program.startsWith("EVENT ")) ? ["CREATE ROUTINE", "ALTER ROUTINE"] : []),
    ...(kinds.some((program) => program.startsWith("EVENT ")) ? ["EVENT"] : []),
    ...(triggers ? ["TRIGGER"] : []),
  ];
  const lacking = needed.filter((privilege) => !grants.has(privilege));
  if (lacking.length === 0) return [];
  return [`the user ${state.user} lacks ${lacking.join(", ")} on the database: GRANT ALL on it`];
};

const gigabyte = 1 << 30;

const packetProblems: Compare = ({ longest }, { maxPacket }) => {
  if (longest < maxPacket) return [];
  const enough = Math.min(gigabyte, 2 ** Math.ceil(Math.log2(longest + 1024)));
  return [
    `the dump holds a row of ${bytesText(longest)} of SQL, the server takes ${bytesText(maxPacket)}: ` +
      `SET GLOBAL max_allowed_packet = ${enough}${longest >= gigabyte ? " is its limit, and not enough" : ""}`,
  ];
};

/** Modes of sql_mode that change what a program does and that the other family lacks. */
const ownModes = {
  mariadb: ["ORACLE", "SIMULTANEOUS_ASSIGNMENT", "EMPTY_STRING_IS_NULL", "TIME_ROUND_FRACTIONAL"],
  mysql: ["TIME_TRUNCATE_FRACTIONAL"],
};

const familyProblems: Compare = ({ family, features, modes }, { kind }) => {
  if (family === kind.family) return [];
  const foreign = [
    ...[...features].filter((feature) => isOnlyIn(family, feature)),
    ...ownModes[family].filter((mode) => modes.has(mode)).map((mode) => `programs in sql_mode ${mode}`),
  ];
  if (foreign.length === 0) return [];
  return [
    `the dump comes from ${familyNames[family]} and holds what ${familyNames[kind.family]} does not take: ` +
      `${foreign.join(", ")}; restore it into ${familyNames[family]}`,
  ];
};

const collationProblems: Compare = ({ collations }, _contact, state) => {
  // MariaDB lists these once for all character sets
  const known = (name: string) =>
    state.collations.has(name) || state.collations.has(name.replace(/^\w+?_(?=uca1400)/, ""));
  const unknown = [...collations].filter((name) => !known(name));
  if (unknown.length === 0) return [];
  return [`collations that the server does not know: ${unknown.join(", ")}; restore into a server that has them`];
};

const engineProblems: Compare = ({ engines }, _contact, state) =>
  [...engines]
    .filter(([engine]) => !state.engines.has(engine.toLowerCase()))
    .map(
      ([engine, table]) => `the server lacks the storage engine ${engine} (table ${table}): install its plugin there`,
    );

/** A view or program runs in the name of its definer: without that account it fails whenever it is used. */
const definerProblems: Compare = ({ definers }, { grants }, { user, accounts }) => {
  const others = [...definers].filter((account) => account !== user);
  const list = others.map(quoteAccount).join(", ");
  if (others.length > 0 && !grants.hasGlobally("SUPER", "SET USER", "SET_USER_ID", "SET_ANY_DEFINER")) {
    return [
      `views or programs of the dump belong to ${list}, and ${user} may not create any in the name of others: ` +
        "restore as an administrator, or with --no-owner",
    ];
  }
  const absent = others.filter((account) => accounts && !accounts.has(account)).map(quoteAccount);
  if (absent.length === 0) return [];
  const create = absent.map((account) => `CREATE USER ${account};`).join(" ");
  return [`accounts not on the server: ${absent.join(", ")}; create them (${create}) or restore with --no-owner`];
};

const quoteName = (name: string): string => `\`${name.replaceAll("`", "``")}\``;
const quoteAccount = (account: string): string => {
  const at = account.lastIndexOf("@");
  return `${quoteName(account.slice(0, at))}@${quoteName(account.slice(at + 1))}`;
};

function warnings(contents: DumpContents, { kind, server }: Contact, state: TargetState, database: string): string[] {
  const { family, serverVersion, databases, qualified } = contents;
  const said: string[] = [];
  const from = { family, version: serverVersion ?? "0" };
  if (family !== kind.family) said.push(`the dump comes from ${familyNames[family]}, the server is ${server.version}`);
  else if (release(from) > release(kind))
    said.push(
      `the dump comes from ${familyNames[family]} ${serverVersion}, which is newer than the server, ${server.version}`,
    );
  const [used] = databases;
  if (used !== undefined && used !== database)
    said.push(`the dump is of the database ${used}; it goes into ${database}`);
  const others = [...qualified].filter((name) => name !== database);
  if (others.length > 0)
    said.push(`tables of the dump name other databases and go on to use them: ${others.join(", ")}`);
  if (state.sessions > 0)
    said.push(
      `${state.sessions} other session(s) use the database: they will see it half restored, and their locks can end the restore`,
    );
  return said;
}

/** Waits for other sessions' transactions while nothing has been touched yet. */
function lockAll({ tables, sequences }: TargetState, { grants }: Contact): string[] {
  const list = tables.filter((table) => !sequences.includes(table)).map((table) => `${quoteName(table)} WRITE`);
  return list.length > 0 && grants.has("LOCK TABLES") ? [`LOCK TABLES ${list.join(", ")}`, "UNLOCK TABLES"] : [];
}

/** Everything goes, so that nothing is left over and nothing is in the way. */
const emptying = ({ tables, sequences, views, programs }: TargetState): string[] => [
  ...programs.filter((program) => program.startsWith("EVENT ")).map(dropProgram),
  ...views.map((view) => `DROP VIEW ${quoteName(view)}`),
  ...tables.map((table) => `DROP ${sequences.includes(table) ? "SEQUENCE" : "TABLE"} ${quoteName(table)}`),
  // a package takes its body along
  ...programs.filter((program) => !/^(EVENT|PACKAGE BODY) /.test(program)).map(dropProgram),
];

const dropProgram = (program: string): string =>
  program.replace(
    /^(EVENT|PROCEDURE|FUNCTION|PACKAGE) ([\s\S]*)$/,
    (_, kind: string, name: string) => `DROP ${kind} ${quoteName(name)}`,
  );
