/** A table of steps against faults: each cell is held by a test, or there is a reason why it cannot be. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";

export const faults = [
  "refused",
  "reset",
  "hang",
  "slow",
  "short",
  "corrupt",
  "ENOSPC",
  "EIO",
  "EACCES",
  "EMFILE",
  "killed child",
  "exit 0 too early",
  "clock jump",
];

/** A test's file below test/ and a piece of its name; or the reason. */
type Cell = { file: string; name: string } | { none: string };
/** Steps and faults of the cells that it is about. */
export type Rule = readonly [steps: readonly string[], faults: readonly string[], cell: Cell];

export const held = (file: string, name: string): Cell => ({ file, name });
export const none = (reason: string): Cell => ({ none: reason });

/** Checks that every cell has a rule (the first that names step and fault) and that the tests are there. */
export function describeTable(steps: readonly string[], rules: readonly Rule[]): void {
  const cells = steps.flatMap((step) =>
    faults.map((fault) => {
      const rule = rules.find(([ofSteps, ofFaults]) => ofSteps.includes(step) && ofFaults.includes(fault));
      return { where: `${step} × ${fault}`, cell: rule?.[2] };
    }),
  );

  describe("the table", () => {
    test("has no hole", () => {
      expect(cells.filter(({ cell }) => !cell).map(({ where }) => where)).toEqual([]);
      expect(cells).toHaveLength(steps.length * faults.length);
    });

    test("names only tests that exist", () => {
      const lost = cells.flatMap(({ where, cell }) => {
        if (!cell || "none" in cell) return [];
        const file = resolve(import.meta.dir, `../../${cell.file}.test.ts`);
        // not in the table itself
        const text = existsSync(file) ? readFileSync(file, "utf8").split('describe("the cases').at(-1) : "";
        return text?.includes(cell.name) ? [] : [`${where}: ${cell.file}: ${cell.name}`];
      });
      expect(lost).toEqual([]);
    });
  });
}
