/** Retention as tables: which backups go, and what keeps the others. */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { formatBackupName, parseBackupName } from "../../scripts-src/archive/name.ts";
import { liesAhead } from "../../scripts-src/base/clock.ts";
import { type Candidate, type Circumstances, planRetention, type Rule } from "../../scripts-src/places/retention.ts";

const now = new Date("2026-11-22T10:43:58Z");
const dayMs = 86_400_000;

/** A backup of that time. */
function at(time: Date, changes: Partial<Candidate> & { sequence?: number } = {}): Candidate {
  const { sequence = 1, ...rest } = changes;
  const backup = { database: "app", time, sequence, compression: "gzip", encrypted: false } as const;
  const name = formatBackupName(backup);
  return { name, bytes: 1, backup: parseBackupName(name)!, committed: true, proved: false, owner: "ours", ...rest };
}
/** A backup so many days old. */
const old = (days: number, changes: Partial<Candidate> & { sequence?: number } = {}) =>
  at(new Date(now.getTime() - days * dayMs), changes);

const days = (count: number): Rule => ({ kind: "days", count, setting: "LOCAL_RETENTION_DAYS" });
const plan = (backups: readonly Candidate[], rules: readonly Rule[] = [days(7)], more: Partial<Circumstances> = {}) =>
  planRetention(backups, { rules, now, unknownIsOurs: false, ...more });
const expired = (...of: Parameters<typeof plan>): Candidate[] => {
  const { fates, refusal } = plan(...of);
  return refusal === undefined ? fates.flatMap(({ backup, kept }) => (kept.length === 0 ? [backup] : [])) : [];
};
const indexes = (backups: readonly Candidate[], some: readonly Candidate[]) => some.map((one) => backups.indexOf(one));

describe("by days", () => {
  test.each<[string, Candidate[], number[]]>([
    ["nothing of nothing", [], []],
    ["the only backup stays, however old", [old(400)], []],
    ["older ones go, oldest first (container 5.1)", [old(8), old(0), old(30), old(6)], [2, 0]],
    ["all others may go when the newest is fresh", [old(0), old(8), old(9)], [2, 1]],
    ["exactly as old as the limit stays", [old(7), old(0)], []],
    ["a moment older goes", [old(7 + 1 / 86_400), old(0)], [0]],
    ["unfinished ones stay, and are not the newest good one", [old(0, { committed: false }), old(9), old(10)], [2]],
    ["of one second, the last made is the newest", [old(9, { sequence: 2 }), old(9)], [1]],
    ["I3: those from the future neither go nor stand for the newest", [old(-3000), old(8), old(9)], [2]],
    ["a clock slightly behind another machine's is no future", [old(-0.005), old(8)], [1]],
    ["I2: another server's stay, and are not the newest of ours", [old(0, { owner: "other" }), old(9), old(10)], [2]],
    ["I2: another server's old ones stay", [old(0), old(9), old(30, { owner: "other" })], [1]],
    ["I2: so do those that do not say whose they are", [old(0), old(9), old(30, { owner: "unknown" })], [1]],
    ["and those whose manifest cannot be read", [old(0), old(9), old(30, { error: new Error() })], [1]],
    ["the newest proved backup stays", [old(0), old(9), old(10, { proved: true }), old(11, { proved: true })], [3, 1]],
  ])("%s", (_, backups, gone) => {
    expect(indexes(backups, expired(backups))).toEqual(gone);
  });

  test("backups of version 0.1 go where nobody else's are", () => {
    const backups = [old(0), old(9, { owner: "unknown" })];
    expect(indexes(backups, expired(backups, [days(7)], { unknownIsOurs: true }))).toEqual([1]);
  });

  test("I2: whatever does not say whose it is, the newest that is ours for certain stays", () => {
    const backups = [old(0, { owner: "unknown" }), old(9), old(10)];
    expect(indexes(backups, expired(backups, [days(7)], { unknownIsOurs: true }))).toEqual([2]);
  });

  test("I3: what this run has made stays, though another name lies some minutes ahead", () => {
    const [ahead, made, older] = [old(-0.004), old(0), old(8)];
    const last: Rule = { kind: "last", count: 1, setting: "LOCAL_KEEP_LAST" };
    expect(expired([ahead, made, older], [last], { made: made.name })).toEqual([older]);
    expect(plan([made], [last], { made: made.name }).fates[0]?.kept).toEqual([
      "the newest good backup",
      "last (LOCAL_KEEP_LAST=1)",
    ]);
  });

  test("refuses when all but one would go and that one is far too old itself", () => {
    const { fates, refusal } = plan([old(20), old(21), old(22)]);
    expect(refusal).toContain("20 days old");
    expect(fates).toHaveLength(3);
  });

  test.each<[string, number[], boolean]>([
    ["the clock has jumped by 400 days", [0, 400, 401, 402], true],
    ["only one backup before the jump", [0, 400], true],
    ["the run after that", [0, 1, 400, 401], false],
    ["a backup a week, as ever", [0, 20, 40, 60], false],
    ["some are young", [0, 3, 400, 401], false],
  ])("I3: a clock that the server shares and that jumps ahead: %s", (_, ages, held) => {
    expect(plan(ages.map((age) => old(age))).refusal?.includes("has the clock jumped") ?? false).toBe(held);
  });

  test.each<[string, Candidate[], boolean]>([
    ["the newest is suspicious", [old(0, { suspicious: true }), old(9)], true],
    ["an older one was", [old(0), old(1, { suspicious: true }), old(9)], false],
    ["another server's newest is", [old(0, { suspicious: true, owner: "other" }), old(1), old(9)], false],
    ["nothing would be deleted", [old(0, { suspicious: true }), old(2)], false],
  ])("a suspicious backup holds retention: %s", (_, backups, held) => {
    expect(plan(backups).refusal?.includes("backup --accept") ?? false).toBe(held);
    if (held) expect(expired(backups)).toEqual([]);
  });

  test("says of each that stays why", () => {
    const backups = [old(0), old(3), old(30, { committed: false }), old(-2), old(31, { owner: "other" }), old(8)];
    const kept = new Map(plan(backups).fates.map(({ backup, kept: why }) => [backup, why.join(", ")]));
    expect(backups.map((backup) => kept.get(backup))).toEqual([
      "the newest good backup, not older than 7 days (LOCAL_RETENTION_DAYS)",
      "not older than 7 days (LOCAL_RETENTION_DAYS)",
      "it has no manifest: not a finished backup",
      "its name lies in the future",
      "a backup of another server",
      "",
    ]);
  });
});

/** Golden: backups of these times, the rules, and which are kept by which rule (l d w m y). */
describe("by number, as restic counts", () => {
  const rule = (word: string): Rule => {
    const kinds = { l: "last", d: "daily", w: "weekly", m: "monthly", y: "yearly", D: "days" } as const;
    return { kind: kinds[word[0] as keyof typeof kinds], count: Number(word.slice(1)), setting: word };
  };
  // 2026-11-16 was a Monday
  const times = [
    "2024-02-29 12",
    "2024-12-31 12",
    "2025-12-29 12",
    "2025-12-31 12",
    "2026-01-01 12",
    "2026-10-31 23",
    "2026-11-01 00",
    "2026-11-15 12",
    "2026-11-16 12",
    "2026-11-20 00",
    "2026-11-20 23",
    "2026-11-21 00",
    "2026-11-22 09",
  ];
  test.each<[rules: string, kept: string[]]>([
    ["l1", ["2026-11-22 09"]],
    ["l3", ["2026-11-20 23", "2026-11-21 00", "2026-11-22 09"]],
    ["d2", ["2026-11-21 00", "2026-11-22 09"]],
    ["d4", ["2026-11-16 12", "2026-11-20 23", "2026-11-21 00", "2026-11-22 09"]],
    ["w1", ["2026-11-22 09"]],
    ["w2", ["2026-11-15 12", "2026-11-22 09"]],
    // the week of 29 December belongs to 2026
    ["w4", ["2026-01-01 12", "2026-11-01 00", "2026-11-15 12", "2026-11-22 09"]],
    ["m2", ["2026-10-31 23", "2026-11-22 09"]],
    ["m4", ["2025-12-31 12", "2026-01-01 12", "2026-10-31 23", "2026-11-22 09"]],
    ["y2", ["2025-12-31 12", "2026-11-22 09"]],
    // the count is not used up: the oldest one too
    ["y9", ["2024-02-29 12", "2024-12-31 12", "2025-12-31 12", "2026-11-22 09"]],
    ["l1 d2 m2 y2", ["2025-12-31 12", "2026-10-31 23", "2026-11-21 00", "2026-11-22 09"]],
    ["D2 y1", ["2026-11-20 23", "2026-11-21 00", "2026-11-22 09"]],
  ])("%s", (words, kept) => {
    const backups = times.map((time) => at(new Date(`${time.replace(" ", "T")}:00:00Z`)));
    const gone = expired(backups, words.split(" ").map(rule));
    expect(times.filter((_, index) => !gone.includes(backups[index]!))).toEqual(kept);
  });

  test("every backup that stays names all rules that keep it", () => {
    const [fate] = plan([at(now)], [rule("l1"), rule("d7"), days(3)]).fates;
    expect(fate?.kept).toEqual([
      "the newest good backup",
      "last (l1=1)",
      "daily (d7=7)",
      "not older than 3 days (LOCAL_RETENTION_DAYS)",
    ]);
  });
});

describe("whatever there is (a failure prints its seed)", () => {
  const owner = fc.constantFrom("ours" as const, "ours" as const, "other" as const, "unknown" as const);
  const anyBackups = fc.uniqueArray(
    fc
      .record({
        age: fc.double({ min: -5, max: 900, noNaN: true }),
        owner,
        committed: fc.boolean(),
        proved: fc.boolean(),
      })
      .map(({ age, ...changes }) => old(age, changes)),
    { selector: ({ name }) => name, maxLength: 30 },
  );
  const kind = fc.constantFrom<Rule["kind"]>("days", "last", "daily", "weekly", "monthly", "yearly");
  const anyRules = fc.uniqueArray(
    fc.record({ kind, count: fc.integer({ min: 1, max: 20 }) }).map((one) => ({ ...one, setting: one.kind })),
    { selector: (rule) => rule.kind },
  );
  const runs = { numRuns: Number(process.env.FC_RUNS ?? 500) };
  const isOurs = (one: Candidate) => one.owner === "ours" && one.committed && !liesAhead(one.backup.time, now);

  test("never another's, an unfinished or a future one, the newest good, the newest proved, nor what a rule keeps", () => {
    fc.assert(
      fc.property(anyBackups, anyRules, (backups, rules) => {
        const gone = expired(backups, rules);
        const newestFirst = backups.filter(isOurs).toSorted((a, b) => Number(b.backup.time) - Number(a.backup.time));
        for (const one of gone) expect(isOurs(one)).toBe(true);
        expect(gone).not.toContain(newestFirst[0]);
        expect(gone).not.toContain(newestFirst.find(({ proved }) => proved));
        if (rules.length === 0) expect(gone).toEqual([]);
        // a rule alone keeps what it keeps with others
        for (const rule of rules)
          for (const { backup, kept } of plan(backups, [rule]).fates)
            if (kept.length > 0) expect(gone).not.toContain(backup);
        const last = rules.find((rule) => rule.kind === "last");
        for (const one of newestFirst.slice(0, last?.count ?? 0)) expect(gone).not.toContain(one);
      }),
      runs,
    );
  });

  test("deciding again after deleting finds nothing more to delete; another server's backups change nothing", () => {
    fc.assert(
      fc.property(anyBackups, anyRules, (backups, rules) => {
        const gone = expired(backups, rules);
        const left = backups.filter((one) => !gone.includes(one));
        expect(expired(left, rules)).toEqual([]);
        const mine = backups.filter((one) => one.owner !== "other");
        expect(expired(mine, rules)).toEqual(gone);
      }),
      runs,
    );
  });
});
