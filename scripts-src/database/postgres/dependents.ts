/** What is not in the backup and would stay, but cannot do without something that is replaced: the load would fail there. */
import type { DumpContents } from "./contents.ts";

export interface Dependent {
  /** "view public.totals", "constraint x on table public.log". */
  what: string;
  /** The view, or the constraint's table: `schema.name`. */
  relation: string;
  /** The table or view that it needs: `schema.name`. */
  needs: string;
}

/** Views of either kind by the rules that make them, and foreign keys that are not a partition's share of its parent's. */
export const dependentsQuery = `
  SELECT json_build_object('what', what, 'relation', relation, 'needs', needs) FROM (
    SELECT CASE v.relkind WHEN 'm' THEN 'materialized view ' ELSE 'view ' END || vn.nspname || '.' || v.relname,
      vn.nspname || '.' || v.relname, tn.nspname || '.' || t.relname
    FROM pg_depend d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    JOIN pg_class v ON v.oid = r.ev_class AND v.relkind IN ('v', 'm') JOIN pg_namespace vn ON vn.oid = v.relnamespace
    JOIN pg_class t ON d.refclassid = 'pg_class'::regclass AND t.oid = d.refobjid AND t.oid <> v.oid
    JOIN pg_namespace tn ON tn.oid = t.relnamespace
    UNION
    SELECT 'constraint ' || conname || ' on table ' || cn.nspname || '.' || c.relname,
      cn.nspname || '.' || c.relname, tn.nspname || '.' || t.relname
    FROM pg_constraint JOIN pg_class c ON c.oid = conrelid JOIN pg_namespace cn ON cn.oid = c.relnamespace
    JOIN pg_class t ON t.oid = confrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace
    WHERE contype = 'f' AND conparentid = 0) AS d(what, relation, needs)
  ORDER BY what, needs`;

/** A line for each, with the remedy. */
export function dependentProblems(contents: DumpContents, dependents: readonly Dependent[]): string[] {
  const inDump = new Set([...contents.tables, ...contents.views]);
  const found = contents.cleans ? dependents.filter((one) => !inDump.has(one.relation) && inDump.has(one.needs)) : [];
  return [...Map.groupBy(found, ({ what }) => what)].map(
    ([what, all]) =>
      `${what} is not in the backup, but needs what is replaced (${all.map(({ needs }) => needs).join(", ")}): ` +
      "drop it first, or restore into an empty database",
  );
}
