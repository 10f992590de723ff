/** Compares what a dump names with what the target has, before anything is touched: a failed load cannot be undone. */
import { counted } from "../../base/text.ts";
import { release } from "./clients.ts";
import type { DumpContents } from "./contents.ts";
import type { LoadRules } from "./filter.ts";
import { type Contact, familyNames } from "./probe.ts";
import { findProblems } from "./problems.ts";
import type { ServerState } from "./state.ts";

/** A plan with what the load leaves out or changes. */
export interface MysqlPlan {
  problems: string[];
  warnings: string[];
  rules: LoadRules;
  contents: DumpContents;
}

/** The plan; its `problems` list everything that is in the way at once, each with the remedy. */
export function comparePlan(
  contents: DumpContents,
  contact: Contact,
  state: ServerState,
  { database, noOwner }: { database: string; noOwner: boolean },
): MysqlPlan {
  return {
    problems: findProblems(contents, contact, state, noOwner),
    warnings: warnings(contents, contact, state, database),
    contents,
    rules: loadRules(contents, contact, { database, home: database, noOwner, asleep: false }),
  };
}

/** What of a dump is left out or changed. */
export const loadRules = (
  contents: DumpContents,
  { kind, server }: Contact,
  where: Pick<LoadRules, "database" | "home" | "noOwner" | "asleep">,
): LoadRules => ({
  ...where,
  dumped: contents.database,
  forgetModes: kind.family === "mysql" && server.major >= 8,
});

function warnings(contents: DumpContents, { kind, server }: Contact, state: ServerState, database: string): string[] {
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
