/** Everything that users made in a database, each with the statement that removes it: what a restore in place does first. */

import { isMember, userSchema } from "./session.ts";
import type { DumpContents } from "./contents.ts";
import type { PostgresTarget } from "./target.ts";

/** One thing to remove. */
export interface Removal {
  /** "table public.t", for messages. */
  what: string;
  sql: string;
  /** The user may remove it. */
  ours: boolean;
}

/** Extensions that the user may not drop, and the one that every database has from its beginning: they stay. */
export const keptExtension = "(extname = 'plpgsql' OR NOT pg_has_role(extowner, 'USAGE'))";

/** Schemas that stay: they belong to somebody else, the user could not create them again, or an extension that stays lives there. */
const keptSchema = `(NOT pg_has_role(nspowner, 'USAGE') OR NOT has_database_privilege(current_database(), 'CREATE') OR EXISTS (SELECT FROM pg_extension x WHERE ${keptExtension} AND (extnamespace = n.oid
  OR EXISTS (SELECT FROM pg_depend d JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
    WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = x.oid AND d.deptype = 'e' AND c.relnamespace = n.oid)
  OR EXISTS (SELECT FROM pg_depend d JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
    WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = x.oid AND d.deptype = 'e' AND p.pronamespace = n.oid))))`;

/** Name and owner of the schemas that stay. */
export const keptSchemasQuery = `SELECT json_build_array(nspname, CASE WHEN pg_has_role(nspowner, 'USAGE') THEN 'ours' ELSE 'foreign' END)
  FROM pg_namespace n WHERE ${userSchema} AND ${keptSchema}`;

/** Objects of a catalog that live in schemas which stay, as the server calls them. */
const inKeptSchema = (catalog: string, prefix: string, condition = "true") => `
  SELECT i.type || ' ' || i.identity, format('DROP %s IF EXISTS %s CASCADE;', upper(i.type), i.identity), pg_has_role(o.${prefix}owner, 'USAGE')
  FROM ${catalog} o JOIN pg_namespace n ON n.oid = o.${prefix}namespace
  CROSS JOIN LATERAL pg_identify_object('${catalog}'::regclass, o.oid, 0) i
  WHERE ${userSchema} AND ${keptSchema} AND NOT ${isMember(catalog, "o.oid")} AND ${condition}`;

const plain = (catalog: string, word: string, prefix: string, condition = "true") => `
  SELECT lower('${word} ') || o.${prefix}name, format('DROP ${word} IF EXISTS %I CASCADE;', o.${prefix}name), pg_has_role(o.${prefix}owner, 'USAGE')
  FROM ${catalog} o WHERE NOT ${isMember(catalog, "o.oid")} AND ${condition}`;

/** Catalogs of what else lives in a schema, with the prefix of their columns. */
const inSchemas = [
  ["pg_operator", "opr"],
  ["pg_opfamily", "opf"],
  ["pg_collation", "coll"],
  ["pg_conversion", "con"],
  ["pg_ts_config", "cfg"],
  ["pg_ts_dict", "dict"],
] as const;

/** The constructor functions of a range type are dropped with the type. Their owner is the server's first superuser. */
const notOfType = `NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = o.oid AND d.deptype = 'i')`;

/** Removals in the order in which they have to be done, a JSON object each. */
export const removalsQuery = `
  SELECT json_build_object('what', what, 'sql', sql, 'ours', ours) FROM (
    SELECT 1, * FROM (${plain("pg_event_trigger", "EVENT TRIGGER", "evt")}) q
    UNION ALL SELECT 2, 'subscription ' || subname, format('ALTER SUBSCRIPTION %1$I DISABLE; ALTER SUBSCRIPTION %1$I SET (slot_name = NONE); '
        'DROP SUBSCRIPTION %1$I;', subname), pg_has_role(subowner, 'USAGE')
      FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    UNION ALL SELECT 3, * FROM (${plain("pg_publication", "PUBLICATION", "pub")}) q
    UNION ALL SELECT 4, 'extension ' || extname, format('DROP EXTENSION IF EXISTS %I CASCADE;', extname), true
      FROM pg_extension WHERE NOT ${keptExtension}
    UNION ALL SELECT 5, * FROM (${plain("pg_foreign_data_wrapper", "FOREIGN DATA WRAPPER", "fdw", "o.oid >= 16384")}) q
    UNION ALL SELECT 5, * FROM (${plain("pg_foreign_server", "SERVER", "srv")}) q
    UNION ALL SELECT 6, 'schema ' || nspname, format('DROP SCHEMA IF EXISTS %I CASCADE;', nspname), true
      FROM pg_namespace n WHERE ${userSchema} AND NOT ${keptSchema} AND NOT ${isMember("pg_namespace", "n.oid")}
    UNION ALL SELECT 7, * FROM (${inKeptSchema(
      "pg_class",
      "rel",
      `relkind IN ('r', 'p', 'f', 'v', 'm', 'S') AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
        AND d.objid = o.oid AND d.objsubid = 0 AND d.deptype IN ('a', 'i') AND d.refclassid = 'pg_class'::regclass)`,
    )}) q
    UNION ALL SELECT 8, * FROM (${inKeptSchema("pg_proc", "pro", notOfType)}) q
    UNION ALL SELECT 9, * FROM (${inKeptSchema(
      "pg_type",
      "typ",
      `(typtype IN ('e', 'd', 'r') OR (typtype = 'b' AND typelem = 0) OR typtype = 'c' AND EXISTS (SELECT FROM pg_class c
        WHERE c.oid = typrelid AND relkind = 'c'))`,
    )}) q
    ${inSchemas.map(([catalog, prefix]) => `UNION ALL SELECT 9, * FROM (${inKeptSchema(catalog, prefix)}) q`).join("\n")}
    UNION ALL SELECT 10, * FROM (${plain("pg_language", "LANGUAGE", "lan", "o.oid >= 16384")}) q
    UNION ALL SELECT 10, 'cast ' || identity, format('DROP CAST IF EXISTS %s CASCADE;', identity), true
      FROM pg_cast o CROSS JOIN LATERAL pg_identify_object('pg_cast'::regclass, o.oid, 0) i
      WHERE o.oid >= 16384 AND NOT ${isMember("pg_cast", "o.oid")}
    UNION ALL SELECT 10, 'transform ' || identity, format('DROP TRANSFORM IF EXISTS %s CASCADE;', replace(identity, ' on language ', ' LANGUAGE ')),
        true FROM pg_transform o CROSS JOIN LATERAL pg_identify_object('pg_transform'::regclass, o.oid, 0) i
      WHERE o.oid >= 16384 AND NOT ${isMember("pg_transform", "o.oid")}
    UNION ALL SELECT 10, 'access method ' || amname, format('DROP ACCESS METHOD IF EXISTS %I CASCADE;', amname),
        (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
      FROM pg_am o WHERE o.oid >= 16384 AND NOT ${isMember("pg_am", "o.oid")}
    UNION ALL SELECT 11, count(*) || ' large objects', 'SELECT count(lo_unlink(oid)) FROM pg_largeobject_metadata;',
        bool_and(pg_has_role(lomowner, 'USAGE')) FROM pg_largeobject_metadata HAVING count(*) > 0
  ) AS r(place, what, sql, ours) ORDER BY place, what`;

/** Statements that reset the default privileges of all roles that the user may act for. The dump sets its own at its end. */
export const defaultPrivilegesQuery = `
  SELECT format('ALTER DEFAULT PRIVILEGES FOR ROLE %I %s %s %s ON %s %s %s;', pg_get_userbyid(defaclrole),
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
  WHERE pg_has_role(defaclrole, 'USAGE')`;

const isEventTrigger = ({ what }: Removal) => what.startsWith("event trigger ");
const sqlOf = (removals: readonly Removal[]) => removals.map(({ sql }) => sql);

/** Removes everything from the database, then makes it what pg_dump takes for granted. */
export function removing(contents: DumpContents, major: number, target: PostgresTarget): string[] {
  const dropsPublic = target.removals.some(({ what }) => what === "schema public");
  const needsPublic = !contents.schemas.has("public") && (dropsPublic || !target.hasPublic);
  return [
    // what a removal says is of no interest
    "SET LOCAL client_min_messages = error;",
    // triggers that forbid drops first; default privileges before the schemas that they name
    ...sqlOf(target.removals.filter(isEventTrigger)),
    ...target.defaultPrivileges,
    ...sqlOf(target.removals.filter((one) => !isEventTrigger(one))),
    ...(needsPublic
      ? [
          "CREATE SCHEMA public;",
          "COMMENT ON SCHEMA public IS 'standard public schema';",
          major >= 15 ? "GRANT USAGE ON SCHEMA public TO PUBLIC;" : "GRANT ALL ON SCHEMA public TO PUBLIC;",
          ...(major >= 15 ? ["ALTER SCHEMA public OWNER TO pg_database_owner;"] : []),
        ]
      : []),
  ];
}
