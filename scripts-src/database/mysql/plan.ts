/** Compares what a dump names with what the target has, before anything is touched: a failed load cannot be undone. */
import { counted } from "../../base/text.ts";
import type { LoadPlan } from "../database.ts";
import { release } from "./clients.ts";
import type { DumpContents } from "./contents.ts";
import type { LoadRules } from "./filter.ts";
import { type Contact, familyNames } from "./probe.ts";
import { findProblems, quoteName } from "./problems.ts";
import { loadLock, type TargetState } from "./state.ts";

/** A plan with what the load does first, and what it leaves out or changes. */
export interface MysqlPlan extends LoadPlan {
  /** Waits until no other session holds a table; undefined when there is nothing to wait for. */
  locking: string | undefined;
  /** Tells later restores that this one is not over; undefined where the server cannot. */
  holding: string | undefined;
  /** Statements that empty the database. */
  emptying: string[];
  rules: LoadRules;
}

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
    problems: findProblems(contents, contact, state, noOwner),
    warnings: warnings(contents, contact, state, database),
    locking: lockAll(state, contact),
    holding: state.loadLock && loadLock(0),
    emptying: emptying(state),
    rules: {
      database,
      dumped: contents.database,
      noOwner,
      forgetModes: contact.kind.family === "mysql" && contact.server.major >= 8,
    },
  };
}

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
  const others = [...qualified].filter((name) => name !== database && name !== contents.database);
  if (others.length > 0)
    said.push(`tables of the dump name other databases and go on to use them: ${others.join(", ")}`);
  const reading = [...contents.viewDatabases].flatMap(([view, named]) => {
    const away = [...named].filter((name) => name !== database);
    return away.length > 0 ? [`${view} (${away.join(", ")})`] : [];
  });
  if (reading.length > 0)
    said.push(`these views read other databases and will keep reading them: ${reading.join(", ")}`);
  if (state.sessions > 0)
    said.push(
      `${counted(state.sessions, "other session")} in the database: it will be seen half restored, and locks held there can end the restore`,
    );
  return said;
}

function lockAll({ tables, sequences }: TargetState, { grants }: Contact): string | undefined {
  const list = tables.filter((table) => !sequences.includes(table)).map((table) => `${quoteName(table)} WRITE`);
  return list.length > 0 && grants.has("LOCK TABLES") ? `LOCK TABLES ${list.join(", ")}` : undefined;
}

/** Everything goes, so that nothing is left over and nothing is in the way. */
function emptying({ tables, sequences, views, programs }: TargetState): string[] {
  const drop = (kind: RegExp) =>
    programs.flatMap((program) => {
      const [, word, name = ""] = kind.exec(program) ?? [];
      return word === undefined ? [] : [`DROP ${word} ${quoteName(name)}`];
    });
  // a package takes its body along
  const packages = drop(/^(PACKAGE) (?!BODY )(.*)$/s);
  return [
    ...drop(/^(EVENT) (.*)$/s),
    ...views.map((view) => `DROP VIEW ${quoteName(view)}`),
    ...tables.map((table) => `DROP ${sequences.includes(table) ? "SEQUENCE" : "TABLE"} ${quoteName(table)}`),
    ...drop(/^(PROCEDURE|FUNCTION) (.*)$/s),
    // MariaDB knows that statement in this mode alone
    ...(packages.length > 0 ? ["SET SESSION sql_mode = 'ORACLE'", ...packages] : []),
  ];
}
