/** A table of steps against faults: each cell is held by a test, or there is a reason why it cannot be. */
import { describe, expect, test } from "bun:test";

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

/** A test's file below test/ (without `.test.ts`) and its exact title; or the reason. */
type Cell = { test: readonly [file: string, title: string] } | { none: string };
/** Steps and faults of the cells that it is about. */
export type Rule = readonly [steps: readonly string[], faults: readonly string[], cell: Cell];

/** The tests of a file, by title. */
export const heldBy =
  (file: string) =>
  (title: string): Cell => ({ test: [file, title] });
export const none = (reason: string): Cell => ({ none: reason });

/** The tests that the rules name: each file with an exact title. */
export const testsIn = (rules: readonly Rule[]) => rules.flatMap(([, , cell]) => ("none" in cell ? [] : [cell.test]));

/** Checks that every cell has a rule: the first that names step and fault. */
export function describeTable(what: string, steps: readonly string[], rules: readonly Rule[]): void {
  const cells = steps.flatMap((step) =>
    faults.map((fault) => {
      const rule = rules.find(([ofSteps, ofFaults]) => ofSteps.includes(step) && ofFaults.includes(fault));
      return { where: `${step} × ${fault}`, rule };
    }),
  );

  describe(what, () => {
    test("has no hole", () => {
      expect(cells.filter(({ rule }) => !rule).map(({ where }) => where)).toEqual([]);
      expect(cells).toHaveLength(steps.length * faults.length);
    });

    test("has no rule that decides nothing", () => {
      const used = new Set(cells.map(({ rule }) => rule));
      expect(rules.filter((rule) => !used.has(rule))).toEqual([]);
    });
  });
}
