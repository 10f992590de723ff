/** Whether a backup lost so much that a person has to look. Pure. */
import { bytesText, counted, visibleName } from "../base/text.ts";
import type { Manifest } from "./manifest.ts";

/** What is compared; `tables` (rows of each) is absent where nobody counted them, or where they cannot be read. */
export type Weighed = Pick<Manifest, "bytes" | "uncompressedBytes" | "compression"> & {
  tables?: Readonly<Record<string, number>> | undefined;
};

export interface Reason {
  text: string;
  /** The same without names of tables, for the manifest of an encrypted backup. */
  discreet: string;
}

/**
 * Compares a backup with the last one that was not suspicious: half its size or less, a table gone, a table that had rows left (almost)
 * without. Empty: nothing to say.
 */
export function suspicionsOf(now: Weighed, before: Weighed): Reason[] {
  const size = sizeLoss(now, before);
  const reasons = size === undefined ? [] : [{ text: size, discreet: size }];
  if (!now.tables || !before.tables) return reasons;
  return [...reasons, ...tableLosses(now.tables, before.tables)];
}

function sizeLoss(now: Weighed, before: Weighed): string | undefined {
  const sizeOf = (one: Weighed) => (now.compression === before.compression ? one.bytes : one.uncompressedBytes);
  const [size, previous] = [sizeOf(now), sizeOf(before)];
  if (size * 2 > previous) return undefined;
  const percent = ((1 - size / previous) * 100).toFixed(1);
  return `it is ${percent} % smaller than the last backup (${bytesText(size)}, it was ${bytesText(previous)})`;
}

/** Of 100 rows this many are "almost none". */
const almostNone = 5;

function tableLosses(now: Readonly<Record<string, number>>, before: Readonly<Record<string, number>>): Reason[] {
  // partitions that come and go: events_2026_09 is gone, events_2026_12 is new
  const series = (name: string) => name.replaceAll(/\d+/g, "#");
  const added = Object.keys(now).filter((name) => !Object.hasOwn(before, name));
  const fresh = new Set(added.map(series));
  const lost = Object.entries(before).filter(([name]) => !Object.hasOwn(now, name) && !fresh.has(series(name)));
  const emptied = Object.entries(before).filter(([name, rows]) => {
    const left = Object.hasOwn(now, name) ? now[name] : undefined;
    return rows > 0 && left !== undefined && left * 100 <= rows * almostNone;
  });
  return [
    ...summed(
      lost.map(([name, rows]) => `table ${visibleName(name)} is gone (it had ${counted(rows, "row")})`),
      lost.length === 1 ? "a table is gone" : `${lost.length} tables are gone`,
    ),
    ...summed(
      emptied.map(
        ([name, rows]) =>
          `table ${visibleName(name)} has ${counted(now[name] ?? 0, "row")} (it had ${counted(rows, "row")})`,
      ),
      `${counted(emptied.length, "table")} lost (almost) all rows`,
    ),
  ];
}

/** How many tables are named. */
const named = 5;

function summed(texts: readonly string[], discreet: string): Reason[] {
  if (texts.length === 0) return [];
  const more = texts.length - named;
  const text = [...texts.slice(0, named), ...(more > 0 ? [`and ${more} more like these`] : [])].join("; ");
  return [{ text, discreet }];
}
