import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { formatBackupName } from "../../scripts-src/archive/name.ts";
import { decideRetention, type Candidate } from "../../scripts-src/places/retention.ts";

const now = new Date("2026-11-22T10:43:58Z");
const day = 86_400_000;

/** A backup so many days old. */
const old = (days: number, changes: { database?: string; committed?: boolean; sequence?: number } = {}): Candidate => ({
  name: formatBackupName({
    database: changes.database ?? "app",
    time: new Date(now.getTime() - days * day),
    sequence: changes.sequence ?? 1,
    compression: "gzip",
    encrypted: false,
  }),
  committed: changes.committed ?? true,
});

const decide = (candidates: Candidate[], days = 7) => decideRetention(candidates, { database: "app", now, days });
const ages = (candidates: readonly Candidate[], gone: readonly Candidate[]) =>
  gone.map((candidate) => candidates.indexOf(candidate));

describe("retention", () => {
  test.each<[string, Candidate[], number[]]>([
    ["nothing of nothing", [], []],
    ["the only backup stays, however old", [old(400)], []],
    ["older ones go, oldest first (container 5.1)", [old(8), old(0), old(30), old(6)], [2, 0]],
    ["all others may go when the newest is fresh", [old(0), old(30), old(31)], [2, 1]],
    ["exactly as old as the limit stays", [old(7), old(0)], []],
    ["a moment older goes", [old(7 + 1 / 86_400), old(0)], [0]],
    ["another database's stay", [old(30, { database: "app-staging" }), old(30, { database: "App" }), old(0)], []],
    ["names that are not ours stay (container 5.7)", [{ name: "notes.sql.gz", committed: true }, old(0)], []],
    ["unfinished ones stay, and are not the newest good one", [old(0, { committed: false }), old(9), old(10)], [2]],
    ["of one second, the last made is the newest", [old(9, { sequence: 2 }), old(9)], [1]],
    ["those from the future neither go nor stand for the newest", [old(-3000), old(8), old(9)], [2]],
    ["a clock slightly behind another machine's is no future", [old(-0.005), old(8)], [1]],
  ])("%s", (_, candidates, gone) => {
    expect(ages(candidates, decide(candidates).expired)).toEqual(gone);
  });

  test("refuses when all but one would go and that one is far too old itself", () => {
    const verdict = decide([old(20), old(21), old(22)]);
    expect(verdict.expired).toEqual([]);
    expect(verdict.refusal).toContain("20 days old");
    expect(verdict.kept).toHaveLength(3);
  });

  test("says of each that stays why", () => {
    const candidates = [old(0), old(3), old(30, { committed: false }), old(30, { database: "b" }), old(-2), old(8)];
    const verdict = decide([...candidates, { name: "x", committed: true }]);
    expect(verdict.kept.map(({ why }) => why)).toEqual([
      "the newest good backup",
      "not older than 7 days",
      "it has no manifest: not a finished backup",
      "a backup of another database (b)",
      "its name lies in the future",
      "not named like a backup",
    ]);
  });

  const anyCandidates = fc.array(
    fc
      .record({
        days: fc.double({ min: -5, max: 60, noNaN: true }),
        database: fc.constantFrom("app", "app-staging"),
        committed: fc.boolean(),
      })
      .map(({ days, ...changes }) => old(days, changes)),
  );

  test("never deletes the newest good one, a young one, a foreign one; each is either deleted or kept", () => {
    fc.assert(
      fc.property(anyCandidates, fc.integer({ min: 1, max: 30 }), (candidates, days) => {
        const { expired, kept } = decide(candidates, days);
        expect(expired.length + kept.length).toBe(candidates.length);
        for (const { name, committed } of expired) {
          expect(committed).toBe(true);
          expect(name).toStartWith("app_");
          expect(name < old(days).name).toBe(true);
        }
        const good = candidates.filter(({ name, committed }) => committed && name.startsWith("app_"));
        const past = good.filter(({ name }) => name <= old(0).name).toSorted((a, b) => (a.name < b.name ? 1 : -1));
        if (past[0]) expect(expired.map(({ name }) => name)).not.toContain(past[0].name);
      }),
      { numRuns: 500 },
    );
  });

  test("deciding again after deleting finds nothing more to delete", () => {
    fc.assert(
      fc.property(anyCandidates, (candidates) => {
        const { expired } = decide(candidates);
        expect(decide(candidates.filter((candidate) => !expired.includes(candidate))).expired).toEqual([]);
      }),
    );
  });
});
