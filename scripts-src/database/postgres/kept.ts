/** Tables that are not in the backup and stay, but hang on a table that is replaced: children and partitions of it. */

/** A table that inherits from another one or is its partition; names quoted for SQL as well. */
export interface Child {
  parent: string;
  child: string;
  parentSql: string;
  childSql: string;
  partition: boolean;
  /** What it got from the parent and keeps when it is parted from it, though it needs other tables. */
  ties: { needs: string; cutSql: string }[];
}

/** Foreign keys that came with the parent, and defaults that draw from a sequence of another table's column. */
const tiesQuery = `
  SELECT json_build_object('needs', fn.nspname || '.' || f.relname,
    'cutSql', format('ALTER TABLE %I.%I DROP CONSTRAINT %I;', cn.nspname, c.relname, k.conname))
  FROM pg_constraint k JOIN pg_constraint up ON up.oid = k.conparentid AND up.conrelid = inhparent
  JOIN pg_class f ON f.oid = k.confrelid JOIN pg_namespace fn ON fn.oid = f.relnamespace
  WHERE k.conrelid = inhrelid AND k.contype = 'f'
  UNION ALL
  SELECT json_build_object('needs', tn.nspname || '.' || t.relname,
    'cutSql', format('ALTER TABLE %I.%I ALTER COLUMN %I DROP DEFAULT;', cn.nspname, c.relname, a.attname))
  FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
  JOIN pg_depend uses ON uses.classid = 'pg_attrdef'::regclass AND uses.objid = d.oid AND uses.refclassid = 'pg_class'::regclass
  JOIN pg_depend owned ON owned.classid = 'pg_class'::regclass AND owned.objid = uses.refobjid AND owned.deptype = 'a'
    AND owned.refclassid = 'pg_class'::regclass
  JOIN pg_class t ON t.oid = owned.refobjid JOIN pg_namespace tn ON tn.oid = t.relnamespace
  WHERE d.adrelid = inhrelid AND owned.refobjid <> inhrelid`;

/** The `Child`ren of the target, a JSON object each. */
export const childrenQuery = `
  SELECT json_build_object('parent', pn.nspname || '.' || p.relname, 'child', cn.nspname || '.' || c.relname,
    'parentSql', format('%I.%I', pn.nspname, p.relname), 'childSql', format('%I.%I', cn.nspname, c.relname),
    'partition', c.relispartition, 'ties', (SELECT coalesce(json_agg(x), '[]') FROM (${tiesQuery}) AS q(x)))
  FROM pg_inherits JOIN pg_class p ON p.oid = inhparent JOIN pg_class c ON c.oid = inhrelid
  JOIN pg_namespace pn ON pn.oid = p.relnamespace JOIN pg_namespace cn ON cn.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'f')`;

const hangingOn = (children: readonly Child[], inDump: ReadonlySet<string>): Child[] =>
  children.filter(({ parent, child }) => inDump.has(parent) && !inDump.has(child));

/** What a person should know of it before it begins. */
export const partedWarnings = (children: readonly Child[], inDump: ReadonlySet<string>): string[] =>
  hangingOn(children, inDump).map(
    ({ parent, child }) => `${child} is not in the backup: it stays, but as a table of its own, parted from ${parent}`,
  );

/** Parts a table that stays from a parent that is replaced: dropping the parent would take it along, or fail. */
export const freeKept = (children: readonly Child[], inDump: ReadonlySet<string>): string[] =>
  hangingOn(children, inDump).flatMap(({ partition, parentSql, childSql, ties }) => [
    partition
      ? `ALTER TABLE ${parentSql} DETACH PARTITION ${childSql};`
      : `ALTER TABLE ${childSql} NO INHERIT ${parentSql};`,
    ...ties.filter(({ needs }) => inDump.has(needs)).map(({ cutSql }) => cutSql),
  ]);
