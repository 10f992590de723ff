/** Whether the user may replace what is in the target: told before anything is touched, though a failed load changes nothing. */
import type { DumpContents } from "./contents.ts";

/** Part of what the target says of itself. */
export interface Ownership {
  user: string;
  /** Tables that the user may not drop: it owns neither them nor their schema. */
  foreignTables: { table: string; owner: string }[];
  mayCreateInPublic: boolean;
}

export const ownershipQuery = `
  SELECT json_build_object('user', current_user,
    'foreignTables', (SELECT coalesce(json_agg(json_build_object('table', n.nspname || '.' || c.relname,
      'owner', pg_get_userbyid(c.relowner)) ORDER BY n.nspname, c.relname), '[]')
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p', 'f') AND NOT pg_has_role(c.relowner, 'USAGE') AND NOT pg_has_role(n.nspowner, 'USAGE')),
    'mayCreateInPublic', coalesce((SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = 'public'), true))`;

const shown = 5;

/** What stands in the way of a load that replaces the tables `replaces`, each with its remedy. */
export function ownershipProblems(
  { user, foreignTables, mayCreateInPublic }: Ownership,
  contents: DumpContents,
  replaces: readonly string[],
): string[] {
  const foreign = foreignTables.filter(({ table }) => replaces.includes(table));
  const owners = [...new Set(foreign.map(({ owner }) => owner))].join(", ");
  const names = foreign.slice(0, shown).map(({ table }) => table);
  const more = foreign.length > shown ? ` and ${foreign.length - shown} more` : "";
  const inPublic = !contents.schemas.has("public") && contents.tables.some((table) => table.startsWith("public."));
  return [
    ...(foreign.length > 0
      ? [`${user} does not own ${names.join(", ")}${more}: restore as the owner (${owners}) or as a superuser`]
      : []),
    ...(inPublic && !mayCreateInPublic
      ? [`${user} may not create tables in the schema public: restore as the owner of the database or as a superuser`]
      : []),
  ];
}
