/** Compares what a dump names with what the target has, before anything is touched. */
import { counted } from "../../base/text.ts";
import type { LoadOptions, LoadPlan, Server } from "../database.ts";
import type { DumpContents } from "./contents.ts";
import { type Dependent, dependentProblems, dependentsQuery } from "./dependents.ts";
import type { LoadRules } from "./filter.ts";
import { type Ownership, ownershipProblems, ownershipQuery } from "./owners.ts";
import { jsonList } from "./json-list.ts";
import { type SwapFacts, swapProblems, swapQuery } from "./swap.ts";
import { type Child, childrenQuery, freeKept, partedWarnings } from "./kept.ts";

/** A plan with what the load leaves out. */
export interface PostgresPlan extends LoadPlan {
  rules: Omit<LoadRules, "noOwner" | "oneTransaction">;
  /** Statements that come before the dump's. */
  prelude: string[];
}

/** What the target has. */
export interface Target {
  tables: [schema: string, table: string][];
  roles: string[];
  extensions: string[];
  /** Installed extensions that the user may not drop. */
  foreignExtensions: string[];
  tablespaces: string[];
  /** Foreign keys by their table, `schema.table`, each with the statement that drops it. */
  foreignKeys: [table: string, dropSql: string][];
  defaults: string[];
  views: string[];
  /** Statements that take back the default privileges of the user of the restore. */
  defaultPrivileges: string[];
  /** The schema `public` is there. */
  hasPublic: boolean;
  superuser: boolean;
  ownership: Ownership;
  children: Child[];
  dependents: Dependent[];
  /** Other sessions in the database. */
  sessions: number;
  swap: SwapFacts;
}

/**
 * pg_dump writes a table's privileges as they differ from the built-in ones, and default privileges last: what is set in the
 * target would be granted on every restored table, whatever the backup says.
 */
const defaultPrivilegesQuery = `
  SELECT format('ALTER DEFAULT PRIVILEGES %s %s %s ON %s %s %s;',
    CASE WHEN nspname IS NOT NULL THEN format('IN SCHEMA %I', nspname) END, verb, privilege_type,
    CASE defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES'
      WHEN 'n' THEN 'SCHEMAS' ELSE 'LARGE OBJECTS' END,
    CASE verb WHEN 'GRANT' THEN 'TO' ELSE 'FROM' END, coalesce(quote_ident(rolname), 'PUBLIC'))
  FROM pg_default_acl LEFT JOIN pg_namespace n ON n.oid = defaclnamespace
  CROSS JOIN LATERAL (SELECT CASE WHEN n.oid IS NULL THEN acldefault(CASE defaclobjtype WHEN 'S' THEN 's' ELSE defaclobjtype END,
    defaclrole) END AS built_in) b
  CROSS JOIN LATERAL (
    SELECT 'REVOKE' AS verb, a.* FROM (SELECT grantee, privilege_type FROM aclexplode(defaclacl)
      EXCEPT SELECT grantee, privilege_type FROM aclexplode(built_in)) a
    UNION ALL SELECT 'GRANT', a.* FROM (SELECT grantee, privilege_type FROM aclexplode(built_in)
      EXCEPT SELECT grantee, privilege_type FROM aclexplode(defaclacl)) a) change
  LEFT JOIN pg_roles r ON r.oid = grantee
  WHERE defaclrole = (SELECT oid FROM pg_roles WHERE rolname = current_user)`;

export const targetQuery = `
  SELECT json_build_object(
    'tables', ${jsonList(`SELECT json_build_array(n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind IN ('r', 'p', 'f') AND n.nspname !~ '^(pg_|information_schema$)'
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
      ORDER BY n.nspname, c.relname`)},
    'roles', ${jsonList("SELECT rolname FROM pg_roles")},
    'extensions', ${jsonList("SELECT name FROM pg_available_extensions")},
    'foreignExtensions', ${jsonList("SELECT extname FROM pg_extension WHERE NOT pg_has_role(extowner, 'USAGE')")},
    'tablespaces', ${jsonList("SELECT spcname FROM pg_tablespace")},
    'foreignKeys', ${jsonList(`SELECT json_build_array(n.nspname || '.' || c.relname,
        format('ALTER TABLE %I.%I DROP CONSTRAINT %I;', n.nspname, c.relname, conname)) FROM pg_constraint
      JOIN pg_class c ON c.oid = conrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE contype = 'f' AND coninhcount = 0`)},
    'defaults', ${jsonList(`SELECT n.nspname || '.' || c.relname || '.' || attname FROM pg_attrdef
      JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum AND attgenerated = ''
      JOIN pg_class c ON c.oid = adrelid JOIN pg_namespace n ON n.oid = c.relnamespace`)},
    'views', ${jsonList(`SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'v' AND n.nspname !~ '^(pg_|information_schema$)'`)},
    'ownership', (${ownershipQuery}),
    'defaultPrivileges', ${jsonList(defaultPrivilegesQuery)},
    'children', ${jsonList(childrenQuery)},
    'dependents', ${jsonList(dependentsQuery)},
    'hasPublic', EXISTS (SELECT FROM pg_namespace WHERE nspname = 'public'),
    'superuser', current_setting('is_superuser') = 'on',
    'swap', (${swapQuery}),
    'sessions', (SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid() AND usesysid IS NOT NULL
                 AND coalesce(backend_type, 'client backend') = 'client backend'))`;

/** The plan; its `problems` list everything that is missing at once, each with the remedy. */
export function comparePlan(
  contents: DumpContents,
  server: Server,
  target: Target,
  { noOwner, swap }: LoadOptions,
): PostgresPlan {
  if (!swap) return compare(contents, server, target, noOwner);
  const plan = compare(contents, server, emptied(target), noOwner);
  const { replaces, keeps } = compare(contents, server, target, noOwner);
  return {
    ...plan,
    replaces,
    keeps,
    problems: [...plan.problems, ...swapProblems(target.swap, target.ownership.user)],
  };
}

/** A new database on the same server, of template0. */
const emptied = (target: Target): Target => ({
  ...target,
  foreignExtensions: target.foreignExtensions.filter((name) => name === "plpgsql"),
  tables: [],
  foreignKeys: [],
  defaults: [],
  views: [],
  defaultPrivileges: [],
  children: [],
  dependents: [],
  ownership: { ...target.ownership, foreignTables: [], mayCreateInPublic: true },
  hasPublic: true,
  sessions: 0,
});

function compare(contents: DumpContents, server: Server, target: Target, noOwner: boolean): PostgresPlan {
  const inDump = new Set(contents.tables);
  const there = target.tables.map(([schema, table]) => ({ schema, full: `${schema}.${table}` }));
  const kept = there.filter(({ full }) => !inDump.has(full));
  const replaces = there.filter(({ full }) => inDump.has(full)).map(({ full }) => full);
  const absent = withoutRole(contents, target);
  return {
    replaces,
    keeps: kept.map(({ full }) => full),
    drops: [],
    problems: [
      ...versionProblems(contents, server),
      ...encodingProblems(contents, server),
      ...missing(
        "extension",
        contents.extensions,
        target.extensions,
        (names) => `install their packages on the database server: ${names}`,
      ),
      ...missing(
        "tablespace",
        contents.tablespaces,
        target.tablespaces,
        () => "create them, or back up with DB_DUMP_OPTIONS=--no-tablespaces",
      ),
      ...(noOwner ? [] : roleProblems(contents, target)),
      ...collisionProblems(contents, replaces),
      ...dependentProblems(contents, target.dependents),
      ...ownershipProblems(target.ownership, contents, replaces),
    ],
    warnings: [
      ...partedWarnings(target.children, inDump),
      ...(target.sessions > 0
        ? [
            `${counted(target.sessions, "other session")} in the database: open transactions there can hold the restore back`,
          ]
        : []),
      ...(noOwner && absent.length > 0
        ? [`left out, because the roles they name are not there: ${absent.join(", ")}`]
        : []),
    ],
    prelude: [
      ...(noOwner ? [] : target.defaultPrivileges),
      ...publicSchema(contents, server, target),
      ...freeKept(target.children, inDump),
      // whatever the order of the DROP TABLEs that follow
      ...target.foreignKeys.flatMap(([table, dropSql]) => (inDump.has(table) ? [dropSql] : [])),
    ],
    rules: {
      defaults: new Set(target.defaults),
      views: new Set(target.views),
      major: server.major,
      keptSchemas: new Set(kept.map(({ schema }) => schema)),
      keptExtensions: new Set(target.foreignExtensions),
      leftOut: new Set(noOwner ? absent : []),
    },
  };
}

/** The schema `public` as initdb makes it: pg_dump takes for granted that it is there, even after somebody dropped it. */
function publicSchema(contents: DumpContents, { major }: Server, target: Target): string[] {
  if (target.hasPublic || contents.schemas.has("public")) return [];
  return [
    "CREATE SCHEMA public;",
    "COMMENT ON SCHEMA public IS 'standard public schema';",
    major >= 15 ? "GRANT USAGE ON SCHEMA public TO PUBLIC;" : "GRANT ALL ON SCHEMA public TO PUBLIC;",
    ...(major >= 15 && target.superuser ? ["ALTER SCHEMA public OWNER TO pg_database_owner;"] : []),
  ];
}

function versionProblems(contents: DumpContents, server: Server): string[] {
  const from = Number.parseInt(contents.serverVersion ?? "0", 10);
  if (from <= server.major) return [];
  return [
    `the dump comes from PostgreSQL ${from}, which ${server.version} does not understand: ` +
      `restore into a server of version ${from} or newer`,
  ];
}

function encodingProblems(contents: DumpContents, server: Server): string[] {
  const from = contents.encoding;
  if (!from || [from, "UTF8", "SQL_ASCII"].includes(server.encoding) || from === "SQL_ASCII") return [];
  return [
    `the dump is in ${from}, the database in ${server.encoding}, which cannot hold it all: ` +
      `create the database with ENCODING '${from}' TEMPLATE template0`,
  ];
}

function missing(
  what: string,
  needed: ReadonlySet<string>,
  there: readonly string[],
  remedy: (names: string) => string,
): string[] {
  const absent = [...needed].filter((name) => !there.includes(name));
  if (absent.length === 0) return [];
  const names = absent.join(", ");
  return [`${what}${absent.length > 1 ? "s" : ""} not on the server: ${names}; ${remedy(names)}`];
}

function roleProblems(contents: DumpContents, target: Target): string[] {
  const needed = new Set([...contents.roles, ...[...contents.needRoles.values()].flat()]);
  for (const everybody of ["PUBLIC", "public"]) needed.delete(everybody);
  return missing("role", needed, target.roles, (names) => {
    const create = names.split(", ").map((name) => `CREATE ROLE "${name.replaceAll('"', '""')}";`);
    return `create them (${create.join(" ")}) or restore with --no-owner`;
  });
}

const withoutRole = (contents: DumpContents, target: Target): string[] =>
  [...contents.needRoles]
    .filter(([, roles]) => roles.some((role) => role.toUpperCase() !== "PUBLIC" && !target.roles.includes(role)))
    .map(([what]) => what);

function collisionProblems(contents: DumpContents, replaces: readonly string[]): string[] {
  if (contents.cleans || replaces.length === 0) return [];
  return [
    `the dump was made without --clean and does not replace what is there (${replaces.slice(0, 5).join(", ")}` +
      `${replaces.length > 5 ? ", …" : ""}): restore it into an empty database`,
  ];
}
