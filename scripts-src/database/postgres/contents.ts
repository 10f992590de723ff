/** What the statements of a plain pg_dump say: what it creates, what it needs, what a load leaves out. */
import type { Contents } from "../database.ts";
import { strange } from "../read-dump.ts";
import type { Piece } from "./statements.ts";

/** What a load needs to know of a dump, beyond what every engine's `Contents` tells. */
export class DumpContents implements Contents {
  serverVersion?: string;
  tables: string[] = [];
  foreignTables = new Set<string>();
  rows = new Map<string, number>();
  bytes = 0;
  extensions = new Set<string>();
  /** Roles that own something or are granted something. */
  roles = new Set<string>();
  /** What cannot be without roles that it names, as `needsRoles` calls it, with those roles. */
  needRoles = new Map<string, string[]>();
  schemas = new Set<string>();
  tablespaces = new Set<string>();
  publications = new Set<string>();
  subscriptions = new Set<string>();
}

/** A name as pg_dump writes it, quoted or not. */
export const name = String.raw`("(?:[^"]|"")+"|[^\s;,("'.]+)`;
export const qualified = String.raw`(${name}(?:\.${name})?)`;
const createTable = new RegExp(String.raw`^CREATE (?:UNLOGGED |FOREIGN )?TABLE (?:IF NOT EXISTS )?${qualified}`);
const createNamed = new RegExp(
  String.raw`^CREATE (EXTENSION|SCHEMA|PUBLICATION|SUBSCRIPTION) (?:IF NOT EXISTS )?${name}`,
);
/** Where the names of such objects are kept. */
const kept = {
  EXTENSION: "extensions",
  SCHEMA: "schemas",
  PUBLICATION: "publications",
  SUBSCRIPTION: "subscriptions",
} as const;
export const createSchema = new RegExp(String.raw`^CREATE SCHEMA (?:IF NOT EXISTS )?${name};`);
export const owner = new RegExp(String.raw`^ALTER\s[\s\S]*\sOWNER TO ${name};$`);
const grantee = new RegExp(
  String.raw`^(?:GRANT|REVOKE)\s[\s\S]*\s(?:TO|FROM) ${name}(?: WITH GRANT OPTION)?(?: GRANTED BY ${name})?;$`,
);
export const defaultPrivileges = new RegExp(String.raw`^ALTER DEFAULT PRIVILEGES FOR ROLE ${name} `);
const policy = new RegExp(String.raw`^(?:CREATE|COMMENT ON) (POLICY ${name} ON ${qualified})`);
export const userMapping = new RegExp(String.raw`^CREATE (USER MAPPING FOR ${name} SERVER ${name})`);
const policyRoles = new RegExp(String.raw`^(?: AS [A-Z]+)?(?: FOR [A-Z]+)? TO (${name}(?:, ${name})*)`);
const tablespace = new RegExp(String.raw`^SET default_tablespace = ${name};`);

/** A name as the catalog has it: without quotes, doubled quotes undone. */
export const unquote = (word: string): string =>
  word.startsWith('"') ? word.slice(1, -1).replaceAll('""', '"') : word;

/** All names in the text, as the catalog has them. */
export const namesIn = (words: string): string[] =>
  [...words.matchAll(new RegExp(name, "g"))].map(([word]) => unquote(word));
/** `schema.table` as the catalog has it. */
export const unquoteQualified = (words: string): string => namesIn(words).join(".");

/** Adds what a piece of the dump says to `contents`. Throws `Failure` on what no pg_dump of one database writes. */
export function readPiece(contents: DumpContents, piece: Piece): void {
  if (piece.kind === "command") checkCommand(piece.text);
  if (piece.kind !== "statement") return;
  const { text } = piece;
  const add = (set: Set<string>, match: RegExpExecArray | null) => {
    if (match?.[1]) set.add(unquote(match[1]));
  };
  if (text.startsWith("CREATE ")) {
    const table = createTable.exec(text)?.[1];
    if (table) contents.tables.push(unquoteQualified(table));
    if (table && text.startsWith("CREATE FOREIGN ")) contents.foreignTables.add(unquoteQualified(table));
    const [, kind, named] = createNamed.exec(text) ?? [];
    if (named) contents[kept[kind as keyof typeof kept]].add(unquote(named));
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
  return namesIn(policyRoles.exec(rest)?.[1] ?? "");
}

function checkCommand(text: string): void {
  if (/^\\(un)?restrict [A-Za-z0-9]+$/.test(text)) return;
  throw strange(
    `holds the psql command ${text.slice(0, 60)}, which a restore does not run`,
    "a dump made with pg_dump --create or pg_dumpall connects elsewhere: load it with psql yourself",
  );
}

const columns = String.raw`\((?:${name}, )*${name}\)`;
const copy = new RegExp(String.raw`^COPY ${qualified} ?(?: ${columns})? FROM stdin;$`);
const insert = new RegExp(
  String.raw`^INSERT INTO ${qualified}(?<columns> ${columns})? (?:OVERRIDING (?:SYSTEM|USER) VALUE )?(?:DEFAULT )?VALUES`,
);

/** The table of a COPY as pg_dump writes it, `schema.table`; undefined for every other statement. */
export function copyTable(text: string): string | undefined {
  const table = text.startsWith("COPY ") ? copy.exec(text)?.[1] : undefined;
  return table === undefined ? undefined : unquoteQualified(table);
}

/** Bytes: more than an INSERT has before its values, even with 1,600 columns. */
const longestHead = 262_144;

export class RowCounts {
  readonly counts = new Map<string, number>();
  #table: string | undefined;
  /** The beginning of the last INSERT: the next one mostly begins in the same way. */
  #head = Buffer.alloc(0);
  #columnLists = 0;

  /** The rows that come next are those of a COPY into `table`. */
  copy(table: string): void {
    this.#table = table;
    this.#head = Buffer.alloc(0);
  }

  add(rows: number): void {
    if (rows > 0 && this.#table !== undefined) this.counts.set(this.#table, (this.counts.get(this.#table) ?? 0) + rows);
  }

  /** The rows that come next are those of the INSERT that begins at `at`. */
  insert(text: Buffer, at: number, decoder: TextDecoder): void {
    const { length } = this.#head;
    if (length > 0 && text.length >= at + length && text.compare(this.#head, 0, length, at, at + length) === 0) return;
    const near = text.toString("latin1", at, at + 4096);
    const found = insert.exec(near.includes("VALUES") ? near : text.toString("latin1", at, at + longestHead));
    const table = decoder.decode(Buffer.from(found?.[1] ?? "", "latin1"));
    this.#table = table === "" ? undefined : unquoteQualified(table);
    this.#head = Buffer.from(found?.[0] ?? "", "latin1");
    this.#columnLists = found?.groups?.columns === undefined ? 0 : 1;
  }

  /** That INSERT has ended; `groups` are its outermost parentheses. */
  inserted(groups: number): void {
    this.add(Math.max(groups - this.#columnLists, 1));
  }
}
