/** Did the server take every row? Asked after each load, before anything is exchanged or committed. */
import { Failure } from "../base/errors.ts";
import { counted } from "../base/text.ts";

const shown = 10;

/** Throws a `Failure` that names the tables whose rows are not as many as in the dump. */
export function compareRows(dumped: ReadonlyMap<string, number>, loaded: ReadonlyMap<string, number>): void {
  const tables = [...new Set([...dumped.keys(), ...loaded.keys()])];
  const different = tables.filter((table) => (dumped.get(table) ?? 0) !== (loaded.get(table) ?? 0));
  if (different.length === 0) return;
  const lines = different
    .slice(0, shown)
    .map((table) => `${table}: ${dumped.get(table) ?? 0} in the backup, ${loaded.get(table) ?? 0} loaded`);
  const more = different.length > shown ? [`and ${counted(different.length - shown, "more table")}`] : [];
  throw new Failure(`the loaded rows differ from those of the backup:\n${[...lines, ...more].join("\n")}`, {
    hints: ["a trigger or rule of the server changed rows while they were loaded; look at its log"],
  });
}
