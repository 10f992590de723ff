/** The properties of a database (encoding, locale, owner, settings, privileges, comment) as data, and the statements that give them to a new one. */
import { z } from "zod";
import { listOf } from "../../base/text.ts";
import type { DatabaseProperties } from "../restoring.ts";
import { jsonList } from "./session.ts";
import { identifier, settingValue, text } from "./names.ts";

export interface PropertyStatements {
  /** Ways to create it, less and less alike: the first one that works. */
  creations: string[];
  /** What may be refused, so that it is before a long load. */
  details: string[];
  /** What is refused ends the restore; else it is warned of. */
  exactly: boolean;
  /** What would be in the way of the load (limit of connections, read-only), or is for the finished database (comment). */
  late: string[];
  /**
   * A comment with letters beyond ASCII. The server keeps it in the encoding of the database from which it comes: only in the commented
   * database itself it is read as it was meant.
   */
  comment?: string | undefined;
}

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
    tablespace: text,
    labels: z.array(z.object({ provider: z.string(), label: z.string() })).nullish(),
    settings: z.array(z.object({ role: text, name: z.string(), value: z.string() })).nullish(),
  });
});
type Properties = z.infer<typeof schema>;
type Setting = NonNullable<Properties["settings"]>[number];

/** Those of the present database, as one value. Fields that came with later versions are null in earlier ones. */
export const propertiesQuestion = `(SELECT json_build_object('encoding', pg_encoding_to_char(encoding),
  'collate', datcollate, 'ctype', datctype, 'provider', coalesce(field ->> 'datlocprovider', 'c'),
  'locale', coalesce(field ->> 'datlocale', field ->> 'daticulocale'), 'icuRules', field ->> 'daticurules',
  'owner', pg_get_userbyid(datdba), 'comment', shobj_description(d.oid, 'pg_database'),
  'connectionLimit', datconnlimit, 'isTemplate', datistemplate,
  'acl', CASE WHEN datacl IS NOT NULL THEN ${jsonList(`SELECT json_build_object('grantee',
      CASE grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(grantee) END, 'privilege', privilege_type, 'grantable', is_grantable)
    FROM aclexplode(datacl)`)} END,
  'tablespace', (SELECT spcname FROM pg_tablespace t WHERE t.oid = dattablespace AND spcname <> 'pg_default'),
  'labels', ${jsonList(`SELECT json_build_object('provider', provider, 'label', label) FROM pg_shseclabel
    WHERE classoid = 'pg_database'::regclass AND objoid = d.oid`)},
  'settings', ${jsonList(`SELECT json_build_object('role', CASE WHEN setrole <> 0 THEN pg_get_userbyid(setrole) END,
      'name', split_part(c, '=', 1), 'value', substr(c, strpos(c, '=') + 1))
    FROM pg_db_role_setting, unnest(setconfig) c WHERE setdatabase = d.oid`)})
 FROM pg_database d, to_json(d) AS field WHERE datname = current_database())`;

interface Wanted {
  /** Major version of the server. */
  major: number;
  /** On the server where `given` was read. */
  exactly: boolean;
  /** For a database of which nothing is known. */
  encoding: string;
  /** Owns what it creates. */
  user: string;
}

/** What is missing in `given`, or is no property of a PostgreSQL database, the server decides. */
export function statementsFor(
  fresh: string,
  given: DatabaseProperties,
  { major, exactly, encoding: usual, user }: Wanted,
): PropertyStatements {
  const encoding = typeof given.encoding === "string" ? given.encoding : usual;
  const data = schema.safeParse(given).data ?? { encoding };
  const name = identifier(fresh);
  const ways = creations(name, data, major);
  const settings = data.settings ?? [];
  const isLate = (setting: Setting) => setting.name === readOnly;
  const details = [
    ...(data.owner && data.owner !== user ? [`ALTER DATABASE ${name} OWNER TO ${identifier(data.owner)};`] : []),
    ...settings.filter((setting) => !isLate(setting)).map((setting) => setTo(name, setting)),
    ...(data.labels ?? []).map(
      ({ provider, label }) => `SECURITY LABEL FOR ${identifier(provider)} ON DATABASE ${name} IS ${text(label)};`,
    ),
    ...grants(name, data),
  ];
  const comment = data.comment ?? "";
  const isPlain = /^[\0-\x7f]*$/.test(comment);
  const tablespace = data.tablespace ? ` TABLESPACE ${identifier(data.tablespace)};` : ";";
  return {
    creations: exactly ? ways.slice(0, 1).map((way) => way.replace(/;$/, () => tablespace)) : ways,
    details,
    exactly,
    late: [
      ...settings.filter(isLate).map((setting) => setTo(name, setting)),
      ...listOf(
        (data.connectionLimit ?? -1) >= 0 && `ALTER DATABASE ${name} CONNECTION LIMIT ${data.connectionLimit};`,
        data.isTemplate === true && `ALTER DATABASE ${name} IS_TEMPLATE true;`,
      ),
      `COMMENT ON DATABASE ${name} IS ${comment && isPlain ? text(comment) : "NULL"};`,
    ],
    comment: isPlain ? undefined : comment,
  };
}

/** The statements that give the database the settings that it has in `given`. */
export const settingStatements = (database: string, given: DatabaseProperties): string[] =>
  (schema.safeParse(given).data?.settings ?? []).map((setting) => setTo(identifier(database), setting));

/** For people: without the value of a setting, which may be a secret. */
export const shown = (sql: string): string => sql.replace(/^(ALTER (?:DATABASE|ROLE) .*? SET .*?) TO [^]*$/, "$1");

/** Would be in the way of the load. */
const readOnly = "default_transaction_read_only";

/** From a database that is exactly the same to one that can at least hold the rows: locales differ between machines. */
function creations(name: string, properties: Properties, major: number): string[] {
  const { encoding, collate, ctype, provider, locale, icuRules } = properties;
  const start = `CREATE DATABASE ${name} TEMPLATE template0 ENCODING ${text(encoding)}`;
  const libc = collate && ctype ? ` LC_COLLATE ${text(collate)} LC_CTYPE ${text(ctype)}` : "";
  const rules = icuRules ? ` ICU_RULES ${text(icuRules)}` : "";
  const own =
    locale && provider === "i"
      ? ` LOCALE_PROVIDER icu ICU_LOCALE ${text(locale)}${rules}`
      : locale && provider === "b"
        ? ` LOCALE_PROVIDER builtin BUILTIN_LOCALE ${text(locale)}`
        : libc && major >= 15
          ? " LOCALE_PROVIDER libc"
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

function setTo(database: string, { role, name, value }: Setting): string {
  const whose = role ? `ROLE ${identifier(role)} IN DATABASE ${database}` : `DATABASE ${database}`;
  return `ALTER ${whose} SET ${settingValue(name, value)};`;
}
