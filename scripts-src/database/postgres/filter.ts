/** Which statements of a dump a load leaves out or changes. Data passes untouched, whatever it looks like. */
import { createSchema, name, needsRoles, owner, qualified, unquote, unquoteQualified } from "./contents.ts";
import type { Piece } from "./statements.ts";

export interface LoadRules {
  noOwner: boolean;
  /** The load is one transaction: those of the dump are left out. */
  oneTransaction: boolean;
  /** Major version of the target. */
  major: number;
  /** Schemas that stay because tables live there that are not in the dump. */
  keptSchemas: ReadonlySet<string>;
  /** Extensions that are there and belong to somebody else: they stay as they are. */
  keptExtensions: ReadonlySet<string>;
  /** Policies and user mappings that name roles which are not there (`needsRoles`); left out with `noOwner`. */
  leftOut: ReadonlySet<string>;
  /** Columns of the target that have a default, `schema.table.column`. */
  defaults: ReadonlySet<string>;
  /** Views of the target, `schema.view`. */
  views: ReadonlySet<string>;
}

const dropSchema = new RegExp(String.raw`^DROP SCHEMA (?:IF EXISTS )?${name};$`);
const anyExtension = new RegExp(String.raw`^(?:DROP|CREATE|COMMENT ON) EXTENSION (?:IF (?:NOT )?EXISTS )?${name}`);
const alterTable = String.raw`^ALTER TABLE (?:IF EXISTS )?(?:ONLY )?${qualified} `;
const dropConstraint = new RegExp(String.raw`${alterTable}DROP CONSTRAINT (?:IF EXISTS )?${name};$`);
const dropDefault = new RegExp(String.raw`${alterTable}ALTER COLUMN (${name}) DROP DEFAULT;$`);
const emptyView = new RegExp(String.raw`^CREATE OR REPLACE VIEW ${qualified} AS\s+SELECT\s+NULL::`);

/** Under this encoding of the client, PostgreSQL 14 and later take any bytes of a COPY into any database. */
const unchecked = /^SET client_encoding = 'SQL_ASCII';$/;
const databaseEncoding = Buffer.from(
  "\nSELECT pg_catalog.set_config('client_encoding', pg_catalog.getdatabaseencoding(), false);",
);

/** Gives each piece of one dump, in order, as it is to be loaded; undefined when it is left out. */
export function loadFilter(rules: LoadRules): (piece: Piece) => Uint8Array | undefined {
  let cleaning = true;
  return (piece) => {
    if (piece.kind === "data") return piece.bytes;
    // the dump's \restrict and \unrestrict: psql is locked by our own
    if (piece.kind === "command") return undefined;
    const { text, bytes } = piece;
    // pg_dump --clean drops everything before it creates anything
    if (text.startsWith("CREATE ") && !emptyView.test(text)) cleaning = false;
    if (cleaning && !cleansSafely(text, rules)) return undefined;
    if (isLeftOut(text, rules)) return undefined;
    if (unchecked.test(text)) return databaseEncoding;
    const created = createSchema.exec(text)?.[1];
    if (!created || !rules.keptSchemas.has(unquote(created))) return bytes;
    return Buffer.from(`\nCREATE SCHEMA IF NOT EXISTS ${created};`);
  };
}

/**
 * Whether a statement of the part that cleans is needed and can succeed. Much of it fails on a target whose tables have changed
 * since, or on partitions ("cannot drop inherited constraint"), and is not needed, for the tables are dropped right after.
 * Needed are: defaults in the way of a DROP SEQUENCE, and views that depend on a primary key. Foreign keys are in the way of a
 * DROP TABLE too, but the plan takes them away first, with those that the dump does not know.
 */
function cleansSafely(text: string, { defaults, views }: LoadRules): boolean {
  if (text.startsWith("DROP INDEX ") || dropConstraint.test(text)) return false;
  const column = dropDefault.exec(text);
  if (column) return defaults.has(`${unquoteQualified(column[1] ?? "")}.${unquote(column[4] ?? "")}`);
  const view = emptyView.exec(text);
  return !view || views.has(unquoteQualified(view[1] ?? ""));
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
  const extension = anyExtension.exec(text)?.[1];
  if (extension && rules.keptExtensions.has(unquote(extension))) return true;
  const dropped = dropSchema.exec(text)?.[1];
  return dropped !== undefined && rules.keptSchemas.has(unquote(dropped));
}

/** Ownership and privileges, as `pg_restore --no-owner --no-privileges` leaves them out. */
const isOwnership = (text: string): boolean =>
  /^(GRANT|REVOKE|ALTER DEFAULT PRIVILEGES|SET SESSION AUTHORIZATION)\s/.test(text) || owner.test(text);
