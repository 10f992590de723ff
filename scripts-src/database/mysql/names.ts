/** Names in SQL, and of the databases that restores make beside the present one. */
import { stampOf } from "../../base/text.ts";

/** A name as SQL wants it. */
export const quoteName = (name: string): string => `\`${name.replaceAll("`", "``")}\``;
/**
 * A text as SQL wants it, whatever sql_mode says of backslashes. It is a literal: with the name of a database in any other expression
 * (CONVERT), servers would also find databases whose names differ in capital letters alone.
 */
export const quoteText = (text: string): string =>
  text === "" ? "''" : `_utf8mb4 0x${Buffer.from(text).toString("hex")}`;

/** A letter for each byte: so dumps are read, and what is made of them is kept. */
export const asBytes = (text: string): string => Buffer.from(text).toString("latin1");

/** A name as the server has it, from a statement in latin1: without quotes, doubled ones undone. */
export const unquote = (word: string): string => {
  const mark = word.slice(0, 1);
  const plain = mark === "`" || mark === '"' ? word.slice(1, -1).replaceAll(mark.repeat(2), mark) : word;
  return Buffer.from(plain, "latin1").toString();
};

/** Letters that the servers allow. */
const longestName = 64;

export type Purpose = "restoring" | "before" | "verify";

const stampLength = "2026_01_31_03_00_00".length;
/** What the names of such databases begin with; a long name is cut. In lower case: some servers keep names so. */
const beginning = (database: string, what: Purpose): string => {
  const middle = `_${what}_`;
  return Array.from(database)
    .slice(0, longestName - middle.length - stampLength)
    .join("")
    .concat(middle);
};

/**
 * `app_before_2026_01_31_03_00_00`. No `-`: a server writes it as `@002d` into the name of the folder, and MySQL 9.7 that was killed in
 * a RENAME TABLE then needs a second restart to find its tables.
 */
export const besideName = (database: string, what: Purpose, time: Date): string =>
  beginning(database, what) + stampOf(time).replaceAll("-", "_");

/** Whether it may be called so because it belongs to `database`. */
export function isBeside(name: string, database: string, what: Purpose): boolean {
  const start = beginning(database, what);
  return name.startsWith(start) && /^\d{4}(?:_\d\d){5}$/.test(name.slice(start.length));
}

/** Whether every server has that database. A folder in the data directory that is none (`lost+found`) is listed as `#mysql50#…`. */
export const isSystem = (name: string): boolean =>
  // the first two in any letters, whatever lower_case_table_names says
  /^(?:information|performance)_schema$/i.test(name) || /^(?:mysql$|sys$|#mysql50#)/.test(name);
