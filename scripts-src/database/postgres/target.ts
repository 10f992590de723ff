/** What the server and the database say of themselves before a restore. */
import { freeBytes } from "../../base/disk.ts";
import { messageOf } from "../../base/errors.ts";
import type { DatabaseProperties, TargetState } from "../restoring.ts";
import { defaultPrivilegesQuery, keptExtension, keptSchemasQuery, type Removal, removalsQuery } from "./cleaning.ts";
import type { Connection } from "./connection.ts";
import { isBeside, literal, unfinished } from "./names.ts";
import { maintenanceNames } from "./maintenance.ts";
import { propertiesQuestion, settingStatements, shown } from "./properties.ts";
import { execute, queryFacts, absent, fact, factList, type Found, isMember, userSchema } from "./session.ts";

/** What `plan` and the loads need beyond what every engine says. */
export interface PostgresTarget
  extends TargetState, Omit<ServerFacts, keyof TargetState>, Omit<DatabaseFacts, keyof TargetState> {
  name: string;
  /** Another database that can be connected to; absent: nothing can be exchanged. */
  maintenance: string | undefined;
  /** It is one of the databases that are there to be connected to when no other can be. */
  isMaintenance: boolean;
  /** A setting of the database that the user may not give to another one: "ALTER DATABASE … SET …". */
  foreignSetting: string | undefined;
}

/** Sessions that the user may end. */
export const mayEnd = `(pg_has_role(usesysid, 'USAGE') OR (pg_has_role('pg_signal_backend', 'USAGE')
  AND NOT coalesce((SELECT rolsuper FROM pg_roles WHERE oid = usesysid), true)))`;

const others = "pid <> pg_backend_pid() AND coalesce(backend_type, 'client backend') = 'client backend'";

/** Of the server, and of the database as the server sees it; `named` is the database's name as SQL. */
const serverFacts = (database: string, named = literal(database)) => ({
  user: fact("current_user", ""),
  superuser: fact("current_setting('is_superuser') = 'on'", false),
  mayCreate: fact("(SELECT rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = current_user)", false),
  exists: fact(`EXISTS (SELECT FROM pg_database WHERE datname = ${named})`, false),
  /** The user is a member of the database's owner. */
  owns: fact(`coalesce((SELECT pg_has_role(datdba, 'USAGE') FROM pg_database WHERE datname = ${named}), true)`, true),
  roles: factList("SELECT rolname FROM pg_roles"),
  /** Roles of which the user is no member. */
  foreignRoles: factList("SELECT rolname FROM pg_roles WHERE NOT pg_has_role(oid, 'MEMBER')"),
  tablespaces: factList("SELECT spcname FROM pg_tablespace"),
  extensions: factList("SELECT name FROM pg_available_extensions"),
  /** Extensions that everybody may create in a database of his own. */
  trusted: factList("SELECT DISTINCT name FROM pg_available_extension_versions WHERE trusted"),
  sessions: fact(
    `(SELECT count(*) FROM pg_stat_activity WHERE datname = ${named} AND usesysid IS NOT NULL AND ${others})`,
    0,
  ),
  /** Users whose sessions the user may not end. */
  lasting: factList(`SELECT DISTINCT coalesce(usename, 'unknown') FROM pg_stat_activity
    WHERE datname = ${named} AND ${others} AND NOT ${mayEnd}`),
  /** "replication slot x": what belongs to the present database and would stay behind. */
  tied: factList(`SELECT 'replication slot ' || slot_name FROM pg_replication_slots WHERE database = ${named}
    UNION ALL SELECT 'subscription ' || subname FROM pg_subscription JOIN pg_database d ON d.oid = subdbid WHERE datname = ${named}
    UNION ALL SELECT 'prepared transaction ' || gid FROM pg_prepared_xacts WHERE database = ${named}`),
  /** Prepared transactions of the present database: they keep their locks until somebody ends them. */
  prepared: factList(`SELECT gid FROM pg_prepared_xacts WHERE database = ${named}`),
  earlier: factList<{ name: string; bytes: number }>(`SELECT json_build_object('name', datname, 'bytes',
      CASE WHEN has_database_privilege(oid, 'CONNECT') THEN pg_database_size(oid) ELSE 0 END)
    FROM pg_database WHERE ${isBeside(database, "before")} ORDER BY datname`),
  unproven:
    factList(`SELECT datname FROM pg_database WHERE ${isBeside(database, "new")} OR (${isBeside(database, "restoring")}
      AND NOT starts_with(coalesce(shobj_description(oid, 'pg_database'), ''), ${literal(unfinished)})) ORDER BY datname`),
  /** Path of the server's data, where it may be known and the server seems to be on this machine. */
  dataFolder: fact<string | null>(
    `CASE WHEN (current_setting('is_superuser') = 'on' OR pg_has_role('pg_read_all_settings', 'USAGE'))
      AND inet_server_addr() IS NOT DISTINCT FROM inet_client_addr() THEN current_setting('data_directory') END`,
    null,
  ),
});
type ServerFacts = Found<ReturnType<typeof serverFacts>>;

/** Of the database from within; where it does not exist, what a database made of template0 has. */
const databaseFacts = {
  tables: factList<[table: string, rows: number]>(`SELECT json_build_array(n.nspname || '.' || c.relname,
      greatest(c.reltuples, pg_stat_get_live_tuples(c.oid), 0)::bigint)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'f') AND ${userSchema}
    AND NOT ${isMember("pg_class", "c.oid")}
    ORDER BY n.nspname, c.relname`),
  dataBytes: fact("pg_database_size(current_database())", 0),
  removals: factList<Removal>(removalsQuery),
  defaultPrivileges: factList(defaultPrivilegesQuery),
  keptExtensions: factList(`SELECT extname FROM pg_extension WHERE ${keptExtension}`, ["plpgsql"]),
  keptRelations:
    factList(`SELECT n.nspname || '.' || c.relname FROM pg_extension x JOIN pg_depend d ON d.refobjid = x.oid
    AND d.refclassid = 'pg_extension'::regclass AND d.classid = 'pg_class'::regclass AND d.deptype = 'e'
    JOIN pg_class c ON c.oid = d.objid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE ${keptExtension}`),
  keptRoutines:
    factList(`SELECT DISTINCT n.nspname || '.' || p.proname FROM pg_extension x JOIN pg_depend d ON d.refobjid = x.oid
    AND d.refclassid = 'pg_extension'::regclass AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
    JOIN pg_proc p ON p.oid = d.objid JOIN pg_namespace n ON n.oid = p.pronamespace WHERE ${keptExtension}`),
  keptSchemas: factList<[string, "ours" | "foreign"]>(keptSchemasQuery),
  /** Installed extensions, and those of them that belong to the user. */
  installed: factList("SELECT extname FROM pg_extension", ["plpgsql"]),
  ownExtensions: factList("SELECT extname FROM pg_extension WHERE pg_has_role(extowner, 'USAGE')"),
  publications: factList("SELECT pubname FROM pg_publication"),
  /** User mappings as pg_dump names them, with their options as far as the user may read them. */
  mappings: factList<[mapping: string, options: string | null]>(`SELECT json_build_array(
      format('USER MAPPING FOR %s SERVER %I', CASE WHEN umuser = 0 THEN 'public' ELSE quote_ident(usename) END, srvname),
      (SELECT string_agg(format('%I %L', option_name, option_value), ', ') FROM pg_options_to_table(umoptions)))
    FROM pg_user_mappings`),
  properties: fact<DatabaseProperties>(propertiesQuestion, {}),
  hasPublic: fact("EXISTS (SELECT FROM pg_namespace WHERE nspname = 'public')", true),
};
type DatabaseFacts = Found<typeof databaseFacts>;

/** Asks the server. `maintenance` is another database that can be connected to. Throws `Failure`. */
export async function askTarget(
  present: Connection,
  { exists, maintenance }: { exists: boolean; maintenance: Connection | undefined },
): Promise<PostgresTarget> {
  const ofServer = serverFacts(present.database);
  const server = exists ? undefined : await queryFacts(maintenance ?? present, ofServer);
  const found =
    server?.exists === false
      ? { ...server, ...absent(databaseFacts) }
      : await queryFacts(present, { ...ofServer, ...databaseFacts });
  return {
    ...found,
    tables: new Map(found.tables),
    empty: holdsNothing(found),
    // unknown where the server is elsewhere after all, or its folder is closed to us
    freeBytes: found.dataFolder === null ? undefined : await freeBytes(found.dataFolder).catch(() => undefined),
    name: present.database,
    maintenance: maintenance?.database,
    isMaintenance: maintenanceNames.includes(present.database),
    foreignSetting: found.superuser ? undefined : await foreignSetting(present, found.properties),
  };
}

/**
 * The first setting of the database that the user may not set. PostgreSQL's versions differ in which these are, so each is tried: it
 * is set to the value that it has, and the transaction is rolled back.
 */
async function foreignSetting(present: Connection, given: DatabaseProperties): Promise<string | undefined> {
  for (const sql of settingStatements(present.database, given))
    try {
      await execute(present, "cannot try it", `BEGIN;\n${sql}\nROLLBACK;\n`);
    } catch (error) {
      present.signal.throwIfAborted();
      if (/permission denied|must be superuser/.test(messageOf(error))) return shown(sql);
    }
  return undefined;
}

const holdsNothing = ({ removals, tables }: Pick<DatabaseFacts, "removals" | "tables">) =>
  removals.every(({ what }) => what === "schema public") && tables.length === 0;

/** Whether a database holds nothing that a user made. Throws `Failure`. */
export const isEmpty = async (connection: Connection): Promise<boolean> =>
  holdsNothing(await queryFacts(connection, { removals: databaseFacts.removals, tables: databaseFacts.tables }));
