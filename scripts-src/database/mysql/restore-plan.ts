/** Whether and how a dump can be restored. */
import type { LoadOptions, RestorePlan, TargetState } from "../restoring.ts";
import { type Connection, query } from "./connection.ts";
import type { DumpContents } from "./contents.ts";
import type { Place } from "./exchange.ts";
import { type Grants, grantsFrom, grantsQuestion } from "./grants.ts";
import { besideName } from "./names.ts";
import { tablesAlone } from "./partial.ts";
import { warnings } from "./plan.ts";
import type { ServerInfo } from "./probe.ts";
import { findProblems, quoteAccount } from "./problems.ts";
import { ties, tiesQuestion } from "./restore-target.ts";
import { askTarget } from "./state.ts";

/** Throws `Failure` when the server cannot be asked. */
export async function planRestore(
  connection: Connection,
  serverInfo: ServerInfo,
  place: Place,
  contents: DumpContents,
  target: TargetState,
  { noOwner, keepGoing, asleep }: LoadOptions,
): Promise<RestorePlan> {
  const { database } = place;
  const state = await askTarget(connection, serverInfo);
  const beside = await grantsBeside(place);
  const createProblems = lacksGrants(beside, state.user, database);
  const besideProblems = target.empty ? [] : ties(await query(place.connection, place.client, tiesQuestion(database)));
  const unseen = !target.empty && !serverInfo.grants.hasGlobally("PROCESS", "SELECT");
  return {
    problems: [
      // a copy that sleeps leaves the present database alone
      ...findProblems(contents, asleep ? { ...serverInfo, grants: beside } : serverInfo, state, noOwner),
      ...(keepGoing ? ["--keep-going is for PostgreSQL: restore --into NAME without it"] : []),
    ],
    createProblems,
    besideProblems,
    inPlaceProblems: [],
    partial: tablesAlone(contents),
    warnings: [
      ...warnings(contents, serverInfo, database),
      ...(unseen
        ? [`whether tables of other databases refer to those of ${database} cannot be seen by this user`]
        : []),
    ],
    // beside is safer: what fails there leaves nothing
    fillsEmpty: target.empty && createProblems.length > 0,
  };
}

/** What the user may do in databases beside the present one. */
export const grantsBeside = async ({ connection, client, database }: Place): Promise<Grants> =>
  grantsFrom(await query(connection, client, grantsQuestion), besideName(database, "restoring", new Date()));

const needed = ["SELECT", "INSERT", "CREATE", "DROP", "ALTER"];

function lacksGrants(grants: Grants, user: string, database: string): string[] {
  const lacking = needed.filter((word) => !grants.has(word));
  if (lacking.length === 0) return [];
  const pattern = `${database.replaceAll("`", "``").replaceAll(/[\\_%]/g, "\\$&")}\\_%`;
  const remedy = grants.literal
    ? "with partial_revokes, names in GRANT are no patterns: restore as an administrator"
    : `GRANT ALL ON \`${pattern}\`.* TO ${quoteAccount(user)};`;
  return [
    `${user} lacks ${lacking.join(", ")} on databases beside ${database} (${database}_restoring_TIME): ${remedy}`,
  ];
}
