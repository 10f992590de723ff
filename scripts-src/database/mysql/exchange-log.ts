/**
 * What an exchange needs to be finished or taken back by anybody: a table in the database that keeps the present state. Its name says how
 * far the exchange is, and changes in the same statement as that.
 */
import { quoteName } from "./names.ts";
import type { Remade } from "./objects.ts";
import type { Session } from "./session.ts";

const stages = [
  /** Nothing in the present database has changed. */
  "prepared",
  /** The tables have been exchanged; views, triggers, events and routines perhaps not. */
  "exchanged",
  /** The tables are back; the rest perhaps not. */
  "taken_back",
  /** All is done; what is needed to take it back. */
  "undo",
] as const;
export type Stage = (typeof stages)[number];

export interface ExchangeLog {
  database: string;
  /** The new database whose tables take the place of the present ones. */
  source: string;
  /** Nothing was in the present database: there is no state to go back to. */
  wasEmpty: boolean;
  /** Present tables, and what those with triggers are called within the database until these are dropped. */
  old: string[];
  aside: Record<string, string>;
  /** Present views whose names tables of the new database have, renamed alike. */
  asideViews: string[];
  fresh: string[];
  /** Names among both of tables that MySQL does not rename atomically. */
  loose: string[];
  /** Present triggers that are dropped before the tables are exchanged. */
  dropped: string[];
  /** Triggers, and all else but tables, of the present database. */
  oldTriggers: Remade[];
  oldObjects: Remade[];
  /** SQL that makes those of the new one, a letter for each byte. */
  freshTriggers: string;
  freshObjects: string;
  /** "VIEW v": what must be there when they are made. Not events, which can end meanwhile. */
  freshNames: string[];
  /** Statements that give rights on single routines again. */
  grants: string[];
  /** "utf8mb4_unicode_ci" of both databases. */
  oldCollation: string;
  freshCollation: string;
}

export const logTable = (before: string, stage: Stage): string =>
  `${quoteName(before)}.${quoteName(`_backup_scripts_${stage}`)}`;

/** A quarter of the smallest max_allowed_packet in use, as hexadecimal digits. */
const partLength = 1 << 20;

export async function writeLog(session: Session, before: string, log: ExchangeLog): Promise<void> {
  const table = logTable(before, "prepared");
  const bytes = Buffer.from(JSON.stringify(log));
  session.write(
    `CREATE TABLE ${table} (part int PRIMARY KEY, text mediumblob NOT NULL, last bool NOT NULL) ENGINE=InnoDB;\n`,
  );
  for (let at = 0; at < bytes.length; at += partLength) {
    const part = bytes.subarray(at, at + partLength);
    session.write(
      `INSERT INTO ${table} VALUES (${at / partLength}, 0x${part.toString("hex")}, ${at + partLength >= bytes.length});\n`,
    );
  }
  await session.settled();
}

/** The log in `before` and its stage; undefined when there is none that is complete. */
export async function readLog(
  session: Pick<Session, "ask">,
  before: string,
): Promise<{ log: ExchangeLog; stage: Stage } | undefined> {
  const tables = (await session.ask(`SHOW TABLES FROM ${quoteName(before)} LIKE '\\_backup\\_scripts\\_%'`)).flat();
  const stage = stages.find((one) => tables.includes(`_backup_scripts_${one}`));
  if (!stage) return undefined;
  const rows = await session.ask(`SELECT last, hex(text) FROM ${logTable(before, stage)} ORDER BY part`);
  if (rows.at(-1)?.[0] !== "1") return undefined;
  const text = Buffer.concat(rows.map(([, hex = ""]) => Buffer.from(hex, "hex"))).toString();
  return { log: JSON.parse(text) as ExchangeLog, stage };
}
