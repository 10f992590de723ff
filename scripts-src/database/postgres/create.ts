/** The properties of a database as data, for the manifest, and the statements that give them to a new one. */
import { z } from "zod";
import type { DatabaseProperties } from "../restoring.ts";
import type { Client } from "./clients.ts";
import type { Connection } from "./connection.ts";
import { identifier, literal } from "./names.ts";
import type { PropertyStatements } from "./properties.ts";
import { query } from "./query.ts";

const schema = z.lazy(() => {
  const text = z.string().nullish();
  return z.object({
    encoding: z.string(),
    collate: text,
    ctype: text,
    /** `c` libc, `i` ICU, `b` builtin. */
    provider: text,
    locale: text,
    icuRules: text,
    owner: text,
    comment: text,
    connectionLimit: z.int().nullish(),
    isTemplate: z.boolean().nullish(),
    /** Null: the privileges that every new database has. A grantee that is null is PUBLIC. */
    acl: z
      .array(z.object({ grantee: text, privilege: z.enum(["CREATE", "CONNECT", "TEMPORARY"]), grantable: z.boolean() }))
      .nullish(),
    settings: z.array(z.object({ role: text, name: z.string(), value: z.string() })).nullish(),
  });
});
type Properties = z.infer<typeof schema>;

/** The properties of the database that `connection` leads to. Throws `Failure`. */
export const propertiesOf = async (connection: Connection, psql: Client, major: number): Promise<DatabaseProperties> =>
  query<DatabaseProperties>(
    connection,
    psql,
    `SELECT json_build_object('encoding', pg_encoding_to_char(encoding), 'collate', datcollate, 'ctype', datctype,
      'provider', ${major >= 15 ? "datlocprovider" : "'c'"},
      'locale', ${major >= 17 ? "datlocale" : major >= 15 ? "daticulocale" : "NULL"}, 'icuRules', ${major >= 16 ? "daticurules" : "NULL"},
      'owner', pg_get_userbyid(datdba), 'comment', shobj_description(d.oid, 'pg_database'),
      'connectionLimit', datconnlimit, 'isTemplate', datistemplate,
      'acl', CASE WHEN datacl IS NOT NULL THEN (SELECT coalesce(json_agg(json_build_object('grantee',
          CASE grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(grantee) END, 'privilege', privilege_type, 'grantable', is_grantable)), '[]')
        FROM aclexplode(datacl)) END,
      'settings', (SELECT coalesce(json_agg(json_build_object('role', rolname, 'name', split_part(c, '=', 1),
          'value', substr(c, strpos(c, '=') + 1))), '[]')
        FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = setrole, unnest(setconfig) c WHERE setdatabase = d.oid))
     FROM pg_database d WHERE datname = current_database()`,
  );

/** Undefined when these are no properties of a PostgreSQL database. */
export function statementsFor(fresh: string, given: DatabaseProperties): PropertyStatements | undefined {
  const { data } = schema.safeParse(given);
  if (!data) return undefined;
  const name = identifier(fresh);
  const [create = "", ...otherwise] = creations(name, data);
  const settings = (data.settings ?? []).map((setting) => ({
    late: setting.name === readOnly,
    sql: setTo(name, setting),
  }));
  return {
    create,
    otherwise,
    early: [],
    optional: [
      ...(data.owner ? [`ALTER DATABASE ${name} OWNER TO ${identifier(data.owner)};`] : []),
      ...settings.filter(({ late }) => !late).map(({ sql }) => sql),
      ...grants(name, data),
    ],
    late: [
      ...settings.filter(({ late }) => late).map(({ sql }) => sql),
      ...((data.connectionLimit ?? -1) >= 0
        ? [`ALTER DATABASE ${name} CONNECTION LIMIT ${data.connectionLimit};`]
        : []),
      ...(data.isTemplate ? [`ALTER DATABASE ${name} IS_TEMPLATE true;`] : []),
      `COMMENT ON DATABASE ${name} IS ${data.comment ? text(data.comment) : "NULL"};`,
    ],
  };
}

/** Would be in the way of the load. */
const readOnly = "default_transaction_read_only";

/** From a database that is exactly the same to one that can at least hold the rows: locales differ between machines. */
function creations(name: string, { encoding, collate, ctype, provider, locale, icuRules }: Properties): string[] {
  const start = `CREATE DATABASE ${name} TEMPLATE template0 ENCODING ${text(encoding)}`;
  const libc = collate && ctype ? ` LC_COLLATE ${text(collate)} LC_CTYPE ${text(ctype)}` : "";
  const rules = icuRules ? ` ICU_RULES ${text(icuRules)}` : "";
  const own =
    locale && provider === "i"
      ? ` LOCALE_PROVIDER icu ICU_LOCALE ${text(locale)}${rules}`
      : locale && provider === "b"
        ? ` LOCALE_PROVIDER builtin BUILTIN_LOCALE ${text(locale)}`
        : "";
  const all = [libc + own, ...(own ? [own] : []), "", " LC_COLLATE 'C' LC_CTYPE 'C'"];
  return [...new Set(all)].map((words) => `${start}${words};`);
}

function grants(name: string, { acl, owner }: Properties): string[] {
  if (!acl) return [];
  const role = (grantee: string | null | undefined) => (grantee ? identifier(grantee) : "PUBLIC");
  return [
    `REVOKE ALL ON DATABASE ${name} FROM PUBLIC${owner ? `, ${identifier(owner)}` : ""};`,
    ...acl.map(
      ({ grantee, privilege, grantable }) =>
        `GRANT ${privilege} ON DATABASE ${name} TO ${role(grantee)}${grantable ? " WITH GRANT OPTION" : ""};`,
    ),
  ];
}

/** Settings whose value is a list of names, kept as they are quoted. */
const listSettings = [
  "search_path",
  "temp_tablespaces",
  "local_preload_libraries",
  "session_preload_libraries",
  "shared_preload_libraries",
  "unix_socket_directories",
];

function setTo(
  database: string,
  { role, name, value }: { role?: string | null | undefined; name: string; value: string },
): string {
  const whose = role ? `ROLE ${identifier(role)} IN DATABASE ${database}` : `DATABASE ${database}`;
  return `ALTER ${whose} SET ${settingValue(name, value)};`;
}

/** `name TO value`, for SET. */
export const settingValue = (name: string, value: string): string =>
  `${name.split(".").map(identifier).join(".")} TO ${listSettings.includes(name) ? namesIn(value) : text(value)}`;

const namesIn = (list: string): string =>
  [...list.matchAll(/"((?:[^"]|"")*)"|([^\s,]+)/g)]
    .map(([, quoted, plain = ""]) => text(quoted === undefined ? plain : quoted.replaceAll('""', '"')))
    .join(", ") || "''";

/** A text whatever standard_conforming_strings says. */
export const text = (value: string): string =>
  value.includes("\\") ? `E${literal(value.replaceAll("\\", "\\\\"))}` : literal(value);
