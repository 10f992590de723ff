/** What the statements of a plain pg_dump say: what it creates, what it needs, what a load leaves out. */
import { Failure } from "../../base/errors.ts";
import { refuseForeign } from "../../base/foreign-files.ts";
import type { Contents } from "../database.ts";
import { headLength } from "../read-dump.ts";
import type { Piece } from "./statements.ts";

/** What a load needs to know of a dump, beyond what every engine's `Contents` tells. */
export interface DumpContents extends Contents {
  extensions: Set<string>;
  /** Roles that own something or are granted something. */
  roles: Set<string>;
  /** What cannot be without roles that it names, as `needsRoles` calls it, with those roles. */
  needRoles: Map<string, string[]>;
  schemas: Set<string>;
  tablespaces: Set<string>;
  publications: Set<string>;
  subscriptions: Set<string>;
}

/** pg_dump's last words; `\unrestrict TOKEN` follows since the minor releases of August 2025. */
const completion = /\n--\r?\n-- PostgreSQL database dump complete\r?\n--\r?\n\s*(\\unrestrict [A-Za-z0-9]+\s*)?$/;

/** Whether the end of a dump's text proves that pg_dump came to its end. */
export const isComplete = (tail: Buffer): boolean => completion.test(tail.toString("latin1"));

/** Other things that people try to restore, by how they begin. */
const foreign: readonly (readonly [RegExp, string, string])[] = [
  [
    /^(\/\*M?!|-- (MySQL|MariaDB) dump)/,
    "is a dump of MySQL or MariaDB, not of PostgreSQL",
    "name a backup of this database, or set DATABASE_URL to a MySQL or MariaDB database",
  ],
  [
    /PostgreSQL database cluster dump/,
    "is a dump of a whole cluster (pg_dumpall)",
    "restore it with psql, or take a backup of the one database",
  ],
];

/** Throws `Failure` unless the text begins as a plain pg_dump does. */
export function checkHead(head: Buffer): void {
  refuseForeign(head, "the file", { unpacked: true });
  const text = head.toString("latin1", 0, headLength);
  for (const [pattern, what, hint] of foreign) {
    if (pattern.test(text)) throw new Failure(`the file ${what}`, { hints: [hint] });
  }
  if (!/^-- PostgreSQL database dump\r?$/m.test(text)) {
    throw new Failure("the file is no plain dump of pg_dump: its first lines do not say so", {
      hints: ["to load other SQL by hand: psql --single-transaction -v ON_ERROR_STOP=1 -f FILE"],
    });
  }
}

export function emptyContents(): DumpContents {
  const none = () => new Set<string>();
  return {
    tables: [],
    bytes: 0,
    extensions: none(),
    roles: none(),
    needRoles: new Map(),
    schemas: none(),
    tablespaces: none(),
    publications: none(),
    subscriptions: none(),
  };
}

/** A name as pg_dump writes it, quoted or not. */
export const name = String.raw`("(?:[^"]|"")+"|[^\s;,("'.]+)`;
export const qualified = String.raw`(${name}(?:\.${name})?)`;
const create = {
  table: new RegExp(String.raw`^CREATE (?:UNLOGGED |FOREIGN )?TABLE (?:IF NOT EXISTS )?${qualified}`),
  extension: new RegExp(String.raw`^CREATE EXTENSION IF NOT EXISTS ${name}`),
  publication: new RegExp(String.raw`^CREATE PUBLICATION ${name}`),
  subscription: new RegExp(String.raw`^CREATE SUBSCRIPTION ${name}`),
};
export const createSchema = new RegExp(String.raw`^CREATE SCHEMA (?:IF NOT EXISTS )?${name};`);
export const owner = new RegExp(String.raw`^ALTER\s[\s\S]*\sOWNER TO ${name};$`);
const grantee = new RegExp(
  String.raw`^(?:GRANT|REVOKE)\s[\s\S]*\s(?:TO|FROM) ${name}(?: WITH GRANT OPTION)?(?: GRANTED BY ${name})?;$`,
);
const defaultPrivileges = new RegExp(String.raw`^ALTER DEFAULT PRIVILEGES FOR ROLE ${name} `);
const policy = new RegExp(String.raw`^(?:CREATE|COMMENT ON) (POLICY ${name} ON ${qualified})`);
const userMapping = new RegExp(String.raw`^CREATE (USER MAPPING FOR ${name} SERVER ${name})`);
const policyRoles = /\sTO ([^;()']+?)(?: USING | WITH CHECK |;$)/;
const tablespace = new RegExp(String.raw`^SET default_tablespace = ${name};`);

/** A name as the catalog has it: without quotes, doubled quotes undone. */
export const unquote = (word: string): string =>
  word.startsWith('"') ? word.slice(1, -1).replaceAll('""', '"') : word;

/** `schema.table` as the catalog has it. */
export const unquoteQualified = (words: string): string =>
  [...words.matchAll(new RegExp(name, "g"))].map((match) => unquote(match[0])).join(".");

/** Adds what a piece of the dump says to `contents`. Throws `Failure` on what no pg_dump of one database writes. */
export function readPiece(contents: DumpContents, piece: Piece): void {
  if (piece.kind === "command") checkCommand(piece.text);
  if (piece.kind !== "statement") return;
  const { text } = piece;
  const add = (set: Set<string>, match: RegExpExecArray | null) => {
    if (match?.[1]) set.add(unquote(match[1]));
  };
  if (text.startsWith("CREATE ")) {
    const table = create.table.exec(text)?.[1];
    if (table) contents.tables.push(unquoteQualified(table));
    add(contents.extensions, create.extension.exec(text));
    add(contents.schemas, createSchema.exec(text));
    add(contents.publications, create.publication.exec(text));
    add(contents.subscriptions, create.subscription.exec(text));
    const needy = needsRoles(text);
    if (needy) contents.needRoles.set(needy, rolesNamedIn(text));
  } else if (text.startsWith("ALTER ")) {
    add(contents.roles, owner.exec(text) ?? defaultPrivileges.exec(text));
    if (text.startsWith("ALTER DEFAULT PRIVILEGES"))
      add(contents.roles, grantee.exec(text.replace(/^.*? (?=GRANT|REVOKE)/, "")));
  } else if (text.startsWith("GRANT ") || text.startsWith("REVOKE ")) add(contents.roles, grantee.exec(text));
  else if (text.startsWith("SET ")) add(contents.tablespaces, tablespace.exec(text));
}

/** A row security policy or a user mapping, as written: "POLICY name ON schema.table", "USER MAPPING FOR role SERVER name". */
export const needsRoles = (text: string): string | undefined => (policy.exec(text) ?? userMapping.exec(text))?.[1];

function rolesNamedIn(text: string): string[] {
  const mapped = userMapping.exec(text)?.[2];
  if (mapped) return [unquote(mapped)];
  const rest = text.slice(policy.exec(text)?.[0].length);
  return policyRoles.exec(rest)?.[1]?.split(", ").map(unquote) ?? [];
}

function checkCommand(text: string): void {
  if (/^\\(un)?restrict [A-Za-z0-9]+$/.test(text)) return;
  throw new Failure(`the dump holds the psql command ${text.slice(0, 60)}, which a restore does not run`, {
    hints: ["a dump made with pg_dump --create or pg_dumpall connects elsewhere: load it with psql yourself"],
  });
}
