/** Whether and how a dump can be restored, what a load makes of it, and what a person should know before. */
import { listOf } from "../../base/text.ts";
import type { LoadOptions, RestorePlan } from "../restoring.ts";
import { release } from "./clients.ts";
import type { Place } from "./connection.ts";
import type { DumpContents } from "./contents.ts";
import type { LoadRules } from "./filter.ts";
import type { Grants } from "./grants.ts";
import { familyNames, type ServerInfo } from "./probe.ts";
import { isSystem } from "./names.ts";
import { findProblems, quoteAccount, tablePrivileges } from "./problems.ts";
import { type MysqlTarget, ties, tiesQuestion } from "./target.ts";
import { query } from "./session.ts";

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
    const away = [...named].filter((name) => name !== database && name !== contents.database && !isSystem(name));
    return away.length > 0 ? [`${view} (${away.join(", ")})`] : [];
  });
  return listOf(
    ...foreignDump(contents, serverInfo),
    used !== undefined && used !== database && `the dump is of the database ${used}; it is loaded into ${database}`,
    others.length > 0 && `tables of the dump name other databases and go on to use them: ${others.join(", ")}`,
    reading.length > 0 && `these views read other databases and will keep reading them: ${reading.join(", ")}`,
  );
}
