/** Which statements of a dump a load leaves out or changes. Data passes untouched, whatever it looks like. */
import {
  createSchema,
  defaultPrivileges,
  name,
  needsRoles,
  owner,
  qualified,
  unquote,
  unquoteQualified,
  userMapping,
} from "./contents.ts";
import type { Piece } from "./statements.ts";

export interface LoadRules {
  noOwner: boolean;
  /** The load is one transaction: those of the dump are left out. */
  oneTransaction: boolean;
  /** Nothing may act on the world: event triggers are created disabled, subscriptions and user mappings are left out. */
  asleep: boolean;
  /** pg_cron is left out with its jobs: it lives in one database of a server, and would run them from a copy. */
  withoutCron: boolean;
  /** Major version of the target. */
  major: number;
  user: string;
  superuser: boolean;
  /** Roles of which the user is no member: their default privileges are not the user's to set. */
  foreignRoles: ReadonlySet<string>;
  /** Extensions that are there, belong to somebody else and stay as they are. */
  keptExtensions: ReadonlySet<string>;
  /** Their tables and sequences, `schema.name`: they keep their rows and privileges. */
  keptRelations: ReadonlySet<string>;
  /** Their functions, `schema.name`: they keep their privileges. */
  keptRoutines: ReadonlySet<string>;
  /** Schemas that are there and stay; those that belong to somebody else stay as they are. */
  keptSchemas: ReadonlyMap<string, "ours" | "foreign">;
  /** Options of the user mappings that are there. */
  mappings: ReadonlyMap<string, string | null>;
  /** Policies and user mappings that name roles which are not there (`needsRoles`); left out with `noOwner`. */
  leftOut: ReadonlySet<string>;
}

/** Under this encoding of the client, PostgreSQL 14 and later take any bytes of a COPY into any database. */
const unchecked = /^SET client_encoding = 'SQL_ASCII';$/;
const databaseEncoding = Buffer.from(
  "\nSELECT pg_catalog.set_config('client_encoding', pg_catalog.getdatabaseencoding(), false);",
);

/** In a database that lies in pg_default itself, the server refuses a partitioned table that names it. */
const usualSpace = /^SET default_tablespace = pg_default;$/;
const ownSpace = Buffer.from(`
SELECT pg_catalog.set_config('default_tablespace', (SELECT CASE spcname WHEN 'pg_default' THEN '' ELSE 'pg_default' END
  FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t ON t.oid = dattablespace WHERE datname = pg_catalog.current_database()), false);`);

const anyExtension = new RegExp(String.raw`^(?:DROP|CREATE|COMMENT ON) EXTENSION (?:IF (?:NOT )?EXISTS )?${name}`);
const emptyView = new RegExp(String.raw`^CREATE OR REPLACE VIEW ${qualified} AS\s+SELECT\s+NULL::`);
const cleans =
  /^(DROP |ALTER [\s\S]* DROP (CONSTRAINT|DEFAULT|IDENTITY|TABLE|TABLES IN SCHEMA) ?|SELECT pg_catalog\.lo_unlink\()/;
/** What a dump with --clean has in front of each object. */
export const isCleaning = (statement: string): boolean => cleans.test(statement);
const eventTrigger = new RegExp(String.raw`^(CREATE|ALTER|COMMENT ON) EVENT TRIGGER ${name}`);
const subscription = new RegExp(String.raw`^(?:CREATE|ALTER|COMMENT ON) SUBSCRIPTION ${name}`);
/** Without options; pg_dump leaves those out that its user may not read. */
const bareMapping = /^CREATE (USER MAPPING FOR (?![^]* OPTIONS \()[^]*);$/;
const withoutCron = "pg_cron and its jobs are left out of the copy";
/** Instead of pg_cron's tables a copy has views without rows: views of the database may read them. */
const cronCreated = /^CREATE EXTENSION (?:IF NOT EXISTS )?pg_cron\b/;
const cronViews = `
CREATE SCHEMA cron;
CREATE VIEW cron.job AS SELECT NULL::bigint AS jobid, NULL::text AS schedule, NULL::text AS command, NULL::text AS nodename,
  NULL::integer AS nodeport, NULL::text AS database, NULL::text AS username, NULL::boolean AS active, NULL::text AS jobname WHERE false;
CREATE VIEW cron.job_run_details AS SELECT NULL::bigint AS jobid, NULL::bigint AS runid, NULL::integer AS job_pid, NULL::text AS database,
  NULL::text AS username, NULL::text AS command, NULL::text AS status, NULL::text AS return_message, NULL::timestamptz AS start_time,
  NULL::timestamptz AS end_time WHERE false;`;
/** When nothing has come to depend on them. */
const dropCronViews = `DO 'BEGIN DROP VIEW cron.job, cron.job_run_details; DROP SCHEMA cron;
  EXCEPTION WHEN dependent_objects_still_exist THEN NULL; END';`;
/** Whether a statement of a copy's dump is about these views. */
export const isCronView = (text: string): boolean =>
  /^(?:CREATE|ALTER) (?:SCHEMA cron|(?:TABLE|VIEW) cron\.job(?:_run_details)?)\b/.test(text);
/** What pg_dump writes about pg_cron; its schema belongs to the extension. */
const aboutCron =
  /^(?:(?:CREATE|COMMENT ON) EXTENSION (?:IF NOT EXISTS )?pg_cron\b|(?:COPY|INSERT INTO) cron\.|SELECT pg_catalog\.setval\('cron\.|(?:GRANT|REVOKE) [^;]*? ON (?:SCHEMA cron |\w+ cron\.))/;
const relation = new RegExp(
  String.raw`^(?:COPY|INSERT INTO|GRANT [^;]*? ON (?:TABLE|SEQUENCE)|REVOKE [^;]*? ON (?:TABLE|SEQUENCE)) ${qualified}`,
);
const routine = new RegExp(String.raw`^(?:GRANT|REVOKE) [^;]*? ON (?:FUNCTION|PROCEDURE) ${qualified}`);
const aboutSchema = new RegExp(String.raw`^(?:COMMENT ON|ALTER|(?:GRANT|REVOKE) [A-Z, ]+ ON) SCHEMA ${name}`);
const publication = new RegExp(String.raw`^(?:CREATE|ALTER|COMMENT ON) PUBLICATION ${name}`);
/** pg_dump writes it before a GRANT that somebody else than the owner has made. With --use-set-session-authorization it writes the role as a string. */
const sessionOf = new RegExp(String.raw`^SET SESSION AUTHORIZATION (?!DEFAULT;)${name};$`);
const publishesAll = /^CREATE PUBLICATION [^;]* FOR ALL TABLES|^ALTER PUBLICATION [^;]* ADD TABLES IN SCHEMA /;
const ownedIn = new RegExp(String.raw`^ALTER [A-Z ]+ ${name}\.[^]* OWNER TO ${name};$`);
const schemaOwner = new RegExp(String.raw`^ALTER SCHEMA ${name} OWNER TO ${name};$`);
const sequenceValue = /^SELECT pg_catalog\.setval\('((?:[^']|'')+)'/;

/** A filter for one dump. */
export class LoadFilter {
  readonly #rules: LoadRules;
  /** Why something is missing that a person may look for. */
  readonly warnings = new Set<string>();
  /** Statements that this load cannot or must not have. */
  readonly leftOut: string[] = [];
  /** What comes when all else is loaded: event triggers act on what is loaded after them. */
  readonly atTheEnd: string[] = [];
  #cleaning = true;
  /** Rows of a table that keeps its own come now. */
  #skipsRows = false;
  readonly #schemaOwners = new Map<string, string>();
  /** Publications that only a superuser can create. */
  readonly #forbidden = new Set<string>();

  constructor(rules: LoadRules) {
    this.#rules = rules;
  }

  /** A piece, in the dump's order, with the bytes that are loaded; undefined when it is left out, or comes at the end. */
  piece(piece: Piece): Piece | undefined {
    if (piece.kind === "data") return this.#skipsRows ? undefined : piece;
    // the dump's \restrict and \unrestrict: psql is locked by our own
    const bytes = piece.kind === "command" ? undefined : this.#statement(piece.text, piece.bytes);
    return bytes && { ...piece, bytes };
  }

  #statement(text: string, bytes: Buffer): Buffer | undefined {
    // pg_dump --clean drops everything before it creates anything; there is nothing to drop
    if (text.startsWith("CREATE ") && !emptyView.test(text)) this.#cleaning = false;
    if (this.#cleaning && (isCleaning(text) || emptyView.test(text))) return undefined;
    const silently = isKept(text, this.#rules) || isLeftOut(text, this.#rules);
    const why = silently ? undefined : this.#whyNot(text);
    if (why !== undefined) this.warnings.add(why);
    const goes = silently || why !== undefined;
    this.#skipsRows = goes && text.startsWith("COPY ");
    if (goes) {
      this.leftOut.push(text);
      if (why !== withoutCron || !cronCreated.test(text)) return undefined;
      this.atTheEnd.push(dropCronViews);
      return Buffer.from(cronViews);
    }
    if (unchecked.test(text)) return databaseEncoding;
    if (usualSpace.test(text)) return ownSpace;
    const [, verb, trigger] = eventTrigger.exec(text) ?? [];
    if (trigger === undefined)
      return this.#keptMapping(text) ?? this.#asCreator(text, bytes) ?? uncommented(bytes, text);
    if (!this.#rules.asleep) this.atTheEnd.push(text);
    else if (verb === "CREATE") this.atTheEnd.push(text, `ALTER EVENT TRIGGER ${trigger} DISABLE;`);
    else this.leftOut.push(text);
    return undefined;
  }

  /** Why the server would refuse the statement to this user, or the copy must not have it: without it the rest is complete. */
  #whyNot(text: string): string | undefined {
    const rules = this.#rules;
    if (rules.withoutCron && aboutCron.test(text)) return withoutCron;
    const role = unquote(defaultPrivileges.exec(text)?.[1] ?? "");
    if (rules.foreignRoles.has(role))
      return `default privileges of the role ${role} are left out: only its members can set them`;
    const [, , trigger] = eventTrigger.exec(text) ?? [];
    if (trigger !== undefined && !rules.superuser)
      return `event trigger ${trigger} is left out: only a superuser can create it`;
    const grantor = unquote(sessionOf.exec(text)?.[1] ?? rules.user);
    if (grantor !== rules.user && !rules.superuser)
      return `privileges that ${grantor} has granted come back as granted by the owner: only a superuser can grant for another role`;
    const published = rules.superuser ? undefined : publication.exec(text)?.[1];
    if (published !== undefined && publishesAll.test(text)) this.#forbidden.add(published);
    if (published !== undefined && this.#forbidden.has(published))
      return `publication ${published} is left out: only a superuser can publish all tables, or those of a schema`;
    // without a user mapping a foreign table reaches no other server: REFRESH would read there
    const [sub, server] = rules.asleep ? [subscription.exec(text)?.[1], userMapping.exec(text)?.[3]] : [];
    if (sub !== undefined) return `subscription ${sub} is left out of the copy`;
    return server && `the copy reaches no foreign server ${server}: its user mappings are left out`;
  }

  /**
   * Whom a user who is no superuser makes an owner must have the right to create in the schema. The dump grants it only when all objects
   * are there, and not to somebody who has lost it since.
   */
  #asCreator(text: string, bytes: Buffer): Buffer | undefined {
    const [, made = "", maker = ""] = schemaOwner.exec(text) ?? [];
    if (made !== "") this.#schemaOwners.set(made, maker);
    const { superuser, user, keptSchemas } = this.#rules;
    const [, schema = "", role = ""] = ownedIn.exec(text) ?? [];
    const hasRight = superuser || unquote(role) === user || this.#schemaOwners.get(schema) === role;
    if (schema === "" || hasRight || keptSchemas.get(unquote(schema)) === "foreign") return undefined;
    // in the dump's encoding, whichever it is
    const raw = bytes.toString("latin1");
    const [, there, whom] = ownedIn.exec(raw.slice(raw.search(/^ALTER /m))) ?? [];
    const right = (verb: string, to: string) =>
      Buffer.from(`\n${verb} CREATE ON SCHEMA ${there} ${to} ${whom};`, "latin1");
    return Buffer.concat([right("GRANT", "TO"), bytes, right("REVOKE", "FROM")]);
  }

  /** What the backup's user could not read is not lost while the present database has it. */
  #keptMapping(text: string): Buffer | undefined {
    const mapping = bareMapping.exec(text)?.[1] ?? "";
    const options = this.#rules.mappings.get(mapping);
    if (!options) return undefined;
    this.warnings.add(`${mapping}: the backup has no options of it, those that it has now are kept`);
    return Buffer.from(`\nCREATE ${mapping} OPTIONS (${options});`);
  }
}

/** An extension brings a comment of its own; the dump says what the comment is, or nothing where it was removed. */
function uncommented(bytes: Buffer, text: string): Buffer {
  const [created, extension] = text.startsWith("CREATE ") ? (anyExtension.exec(text) ?? []) : [];
  if (created === undefined) return bytes;
  return Buffer.concat([bytes, Buffer.from(`\nCOMMENT ON EXTENSION ${extension} IS NULL;`)]);
}

/** A statement about a table, sequence or function of an extension that stays. */
function isKept(text: string, { keptRelations, keptRoutines }: LoadRules): boolean {
  const called = routine.exec(text)?.[1];
  if (called !== undefined) return keptRoutines.has(unquoteQualified(called));
  const found = relation.exec(text)?.[1] ?? sequenceValue.exec(text)?.[1]?.replaceAll("''", "'");
  return found !== undefined && keptRelations.has(unquoteQualified(found));
}

function isLeftOut(text: string, rules: LoadRules): boolean {
  // pg_dump wraps the data of large objects in a transaction: its COMMIT would end ours in the middle
  if (rules.oneTransaction && (text === "BEGIN;" || text === "COMMIT;")) return true;
  // our own limit holds: nobody waits for another session's lock for ever
  if (rules.oneTransaction && text === "SET lock_timeout = 0;") return true;
  // written by pg_dump 17 and later whatever the server
  if (rules.major < 17 && text === "SET transaction_timeout = 0;") return true;
  if (rules.noOwner && isOwnership(text)) return true;
  if (rules.leftOut.has(needsRoles(text) ?? "")) return true;
  const created = createSchema.exec(text)?.[1];
  if (created !== undefined && rules.keptSchemas.has(unquote(created))) return true;
  const schema = aboutSchema.exec(text)?.[1];
  if (schema !== undefined && rules.keptSchemas.get(unquote(schema)) === "foreign") return true;
  const extension = anyExtension.exec(text)?.[1];
  return extension !== undefined && rules.keptExtensions.has(unquote(extension));
}

/** Ownership and privileges, as `pg_restore --no-owner --no-privileges` leaves them out. */
export const isOwnership = (text: string): boolean =>
  /^(GRANT|REVOKE|ALTER DEFAULT PRIVILEGES|SET SESSION AUTHORIZATION)\s/.test(text) || owner.test(text);
