/** PostgreSQL's roles as statements of our own. pg_dumpall alters the administrator of the new server, and needs a superuser. */
import type { RolesPlan, ServerRoles } from "../roles.ts";
import type { Connection } from "./connection.ts";
import { unquote } from "./contents.ts";
import { identifier, settingValue, text } from "./names.ts";
import { query, queryFacts, factList, type Found, jsonList } from "./session.ts";

interface Role {
  name: string;
  words: string[];
  limit: number;
  password: string | null;
  until: string | null;
  comment: string | null;
}
interface Member {
  role: string;
  member: string;
  admin: boolean;
  grantor: string | null;
  inherit: boolean | null;
  set: boolean | null;
}
/** The administrator that the server was made with has this number. */
const ours = (alias: string) => `${alias}.rolname !~ '^pg_' AND ${alias}.oid <> 10`;

/** `auth` is the catalog's table of roles. */
const facts = (auth: string, major: number) => ({
  roles: factList<Role>(`SELECT json_build_object('name', rolname, 'limit', rolconnlimit, 'until', rolvaliduntil,
      'password', nullif(rolpassword, '********'), 'comment', shobj_description(r.oid, 'pg_authid'),
      'words', array_remove(ARRAY[CASE WHEN rolcanlogin THEN 'LOGIN' END, CASE WHEN rolsuper THEN 'SUPERUSER' END,
        CASE WHEN NOT rolinherit THEN 'NOINHERIT' END, CASE WHEN rolcreaterole THEN 'CREATEROLE' END, CASE WHEN rolcreatedb THEN 'CREATEDB' END,
        CASE WHEN rolreplication THEN 'REPLICATION' END, CASE WHEN rolbypassrls THEN 'BYPASSRLS' END], NULL))
    FROM ${auth} r WHERE ${ours("r")} ORDER BY rolname`),
  settings: factList<{ role: string | null; name: string; value: string }>(`
    SELECT json_build_object('role', rolname, 'name', split_part(c, '=', 1), 'value', substr(c, strpos(c, '=') + 1))
    FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = setrole, unnest(setconfig) c
    WHERE setdatabase = 0 AND (setrole = 0 OR ${ours("r")}) ORDER BY rolname`),
  members: factList<Member>(`SELECT json_build_object('role', r.rolname, 'member', m.rolname, 'admin', admin_option,
      'grantor', CASE WHEN grantor <> 10 THEN pg_get_userbyid(grantor) END,
      'inherit', ${major >= 16 ? "CASE WHEN inherit_option <> m.rolinherit OR NOT set_option THEN inherit_option END" : "NULL"},
      'set', ${major >= 16 ? "set_option" : "NULL"})
    FROM pg_auth_members JOIN pg_roles r ON r.oid = roleid JOIN pg_roles m ON m.oid = member
    WHERE ${ours("m")} ORDER BY admin_option DESC, r.rolname, m.rolname`),
  parameters: factList<{ name: string; privilege: string; role: string; grantable: boolean }>(
    major < 15
      ? "SELECT NULL WHERE false"
      : `SELECT json_build_object('name', parname, 'privilege', privilege_type, 'role', r.rolname, 'grantable', is_grantable)
    FROM pg_parameter_acl, aclexplode(paracl) JOIN pg_roles r ON r.oid = grantee WHERE ${ours("r")} ORDER BY parname, r.rolname, privilege_type`,
  ),
});

function statementsOf(
  { roles, settings, members, parameters }: Found<ReturnType<typeof facts>>,
  major: number,
): string[] {
  const option = (is: boolean | null) => (is ? "TRUE" : "FALSE");
  const whose = (role: string | null) => (role === null ? "ALL" : identifier(role));
  return [
    ...roles.map(({ name, words, limit, password, until }) =>
      [
        `CREATE ROLE ${identifier(name)} WITH`,
        ...words,
        ...(words.includes("LOGIN") ? [] : ["NOLOGIN"]),
        ...(limit >= 0 ? [`CONNECTION LIMIT ${limit}`] : []),
        ...(password === null ? [] : [`PASSWORD ${text(password)}`]),
        ...(until === null ? [] : [`VALID UNTIL ${text(until)}`]),
      ].join(" "),
    ),
    ...roles.flatMap(({ name, comment }) =>
      comment ? [`COMMENT ON ROLE ${identifier(name)} IS ${text(comment)}`] : [],
    ),
    ...settings.map(({ role, name, value }) => `ALTER ROLE ${whose(role)} SET ${settingValue(name, value)}`),
    ...members.flatMap(({ role, member, admin, grantor, inherit, set }) => {
      const grant = `GRANT ${identifier(role)} TO ${identifier(member)}`;
      const by = grantor !== null && major >= 16 ? ` GRANTED BY ${identifier(grantor)}` : "";
      return [
        `${grant}${admin ? " WITH ADMIN OPTION" : ""}${by}`,
        ...(inherit === null ? [] : [`${grant} WITH INHERIT ${option(inherit)}, SET ${option(set)}${by}`]),
      ];
    }),
    ...parameters.map(
      ({ name, privilege, role, grantable }) =>
        `GRANT ${privilege} ON PARAMETER ${name.split(".").map(identifier).join(".")} TO ${identifier(role)}${grantable ? " WITH GRANT OPTION" : ""}`,
    ),
  ].map((statement) => `${statement};`);
}

const name = String.raw`"(?:[^"]|"")+"`;
const dotted = String.raw`${name}(?:\.${name})*`;
const quoted = String.raw`(?:E'(?:[^'\\]|''|\\.)*'|'(?:[^'\\]|'')*')`;
const attribute = `(?:(?:NO)?LOGIN|SUPERUSER|NOINHERIT|CREATEROLE|CREATEDB|REPLICATION|BYPASSRLS|CONNECTION LIMIT \\d+|PASSWORD ${quoted}|VALID UNTIL ${quoted})`;
/** Each with what it is about: a role to create, a role, or two. */
const forms = {
  create: new RegExp(`^CREATE ROLE (?<role>${name}) WITH(?<words>(?: ${attribute})+);$`, "s"),
  comment: new RegExp(`^COMMENT ON ROLE (?<role>${name}) IS ${quoted};$`, "s"),
  set: new RegExp(`^ALTER ROLE (?<role>${name}|ALL) SET ${dotted} TO ${quoted}(?:, ${quoted})*;$`, "s"),
  member: new RegExp(
    `^GRANT (?<role>${name}) TO (?<member>${name})(?: WITH ADMIN OPTION| WITH INHERIT (?:TRUE|FALSE), SET (?:TRUE|FALSE))?(?: GRANTED BY ${name})?;$`,
    "s",
  ),
  parameter: new RegExp(
    `^GRANT (?:SET|ALTER SYSTEM) ON PARAMETER ${dotted} TO (?<role>${name})(?: WITH GRANT OPTION)?;$`,
    "s",
  ),
};

export function serverRoles(connection: Connection, major: number): ServerRoles {
  const isOurs = (statement: string) => Object.values(forms).some((form) => form.test(statement));
  return {
    isOurs,
    async read() {
      const readable = await query<boolean>(connection, "SELECT to_json(has_table_privilege('pg_authid', 'SELECT'))");
      const answer = await queryFacts(connection, facts(readable ? "pg_authid" : "pg_roles", major));
      const notes = readable
        ? []
        : ["without passwords, which only a superuser or a member of pg_read_all_data can read"];
      return { statements: statementsOf(answer, major), notes, lacking: [] };
    },
    async plan(statements) {
      const { names, general } = await query<{ names: string[]; general: boolean }>(
        connection,
        `SELECT json_build_object('names', ${jsonList("SELECT rolname FROM pg_roles")},
          'general', EXISTS (SELECT FROM pg_db_role_setting WHERE setdatabase = 0 AND setrole = 0))`,
      );
      const existing = new Set(names);
      const wanted = statements.filter((statement) => concernsMissing(statement, existing, general));
      return planOf(connection, wanted);
    },
  };
}

/** Nothing is said of a role that exists; settings of all roles only where there are none. */
function concernsMissing(statement: string, existing: ReadonlySet<string>, general: boolean): boolean {
  for (const form of Object.values(forms)) {
    const { role, member } = form.exec(statement)?.groups ?? {};
    if (role === "ALL") return !general;
    if (role !== undefined) return [role, member ?? role].some((word) => !existing.has(unquote(word)));
  }
  return false;
}

function planOf(connection: Connection, statements: readonly string[]): RolesPlan {
  const created = statements.flatMap((statement) => {
    const { role, words = "" } = forms.create.exec(statement)?.groups ?? {};
    return role === undefined
      ? []
      : [{ role: unquote(role), isSuper: / SUPERUSER( |$)/.test(words.replaceAll(/'.*'/gs, "")) }];
  });
  return {
    missing: created.map(({ role }) => role),
    unfinished: [], // they are created in one transaction with their rights
    superusers: created.filter(({ isSuper }) => isSuper).map(({ role }) => role),
    create: () => carryOut(connection, statements),
    grant: () => Promise.resolve([]),
    finish: () => Promise.resolve(),
  };
}

/** Each statement on its own. One that names who granted is tried without that too: it must have been granted by somebody else here. */
async function carryOut(connection: Connection, statements: readonly string[]): Promise<string[]> {
  const tries = statements.map((statement) => {
    const plain = statement.replace(new RegExp(` GRANTED BY ${name};$`), ";");
    const attempt = (sql: string, otherwise: string): string =>
      `BEGIN EXECUTE ${text(sql)}; EXCEPTION WHEN others THEN ${otherwise} END;`;
    const report = `INSERT INTO pg_temp.refused VALUES (${text(shown(statement))} || ': ' || SQLERRM);`;
    return attempt(statement, plain === statement ? report : attempt(plain, report));
  });
  const body = `BEGIN ${tries.join("\n")} END`;
  return query<string[]>(
    connection,
    `SET LOCAL client_min_messages = error;
     CREATE TEMPORARY TABLE refused (what text) ON COMMIT DROP;
     DO ${text(body)};
     SELECT ${jsonList("SELECT what FROM pg_temp.refused")}`,
  );
}

/** Without its password. */
const shown = (statement: string) => statement.replace(/^(CREATE ROLE .*?) WITH .*$/s, "$1").replace(/;$/, "");
