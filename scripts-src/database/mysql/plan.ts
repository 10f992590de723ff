/** What a load makes of a dump, and what a person should know before. */
import { release } from "./clients.ts";
import type { DumpContents } from "./contents.ts";
import { isSystem } from "./databases.ts";
import type { LoadRules } from "./filter.ts";
import { type ServerInfo, familyNames } from "./probe.ts";

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

/** What a person should know before a dump is loaded. */
export function warnings(contents: DumpContents, { kind, server }: ServerInfo, database: string): string[] {
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
    const away = [...named].filter((name) => name !== database && name !== contents.database && !isSystem(name));
    return away.length > 0 ? [`${view} (${away.join(", ")})`] : [];
  });
  if (reading.length > 0)
    said.push(`these views read other databases and will keep reading them: ${reading.join(", ")}`);
  return said;
}
