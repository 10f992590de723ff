/** Which way a restore goes, by what was asked for and what is possible. */
import { describe, expect, test } from "bun:test";
import { decideWay, partialProblems, tightRoom } from "../../scripts-src/steps/plan-restore.ts";
import type { Job } from "../../scripts-src/run/script.ts";
import { parseTime, restoreCommand } from "../../scripts-src/steps/options.ts";

const free = { problems: [], createProblems: [], besideProblems: [], inPlaceProblems: [], fillsEmpty: false };
const full = { exists: true, empty: false };
const none = { into: undefined, inPlace: false };

describe("the way", () => {
  test.each([
    ["beside", none, full, free, true, []],
    ["new", none, { exists: false, empty: true }, free, true, []],
    ["new", none, { exists: false, empty: true }, { ...free, createProblems: ["c"] }, true, ["c"]],
    ["beside", none, { exists: true, empty: true }, free, true, []],
    ["fill", none, { exists: true, empty: true }, { ...free, createProblems: ["c"], fillsEmpty: true }, true, []],
    ["in place", none, full, { ...free, besideProblems: ["b"] }, true, []],
    ["in place", none, full, { ...free, besideProblems: ["b"], inPlaceProblems: ["i"] }, true, ["b", "i"]],
    ["beside", none, full, { ...free, createProblems: ["c"] }, false, ["c"]],
    ["in place", { into: undefined, inPlace: true }, full, free, false, []],
    ["in place", { into: undefined, inPlace: true }, full, { ...free, inPlaceProblems: ["i"] }, true, ["i"]],
    ["into", { into: "copy", inPlace: false }, full, { ...free, besideProblems: ["b"] }, true, []],
    ["into", { into: "copy", inPlace: false }, full, { ...free, createProblems: ["c"] }, true, ["c"]],
  ] as const)("is %s", (way, options, target, plan, atomicLoad, problems) => {
    const copy = { ...plan, problems: [...plan.problems] };
    const decided = decideWay(options, target, structuredClone(copy) as never, { atomicLoad });
    expect({ way: decided.way, problems: decided.problems }).toEqual({ way, problems: [...problems] });
  });
});

test.each([
  [full, 99, true],
  [full, 100, false],
  [{ exists: true, empty: true }, 10, false],
  [full, undefined, false],
])("a disk that the restored database may fill: %p with %p free is %p", (present, freeBytes, tight) =>
  expect(tightRoom({ bytes: 10 }, { ...present, dataBytes: 100, freeBytes }).length > 0).toBe(tight),
);

test("M8: only a backup of unknown or chosen contents is compared with the tables that are there", () => {
  const contents = { tables: ["a"], rows: new Map([["a", 0]]), bytes: 1 };
  const target = {
    tables: new Map([
      ["a", 5],
      ["b", 7],
    ]),
  };
  const made = (dumpOptions: string[]) => ({ name: "f", manifest: { dumpOptions } as never });
  expect(partialProblems(made([]), contents, target)).toEqual([]);
  expect(partialProblems(made(["-t", "a"]), contents, target)[0]).toMatch(
    /1 table, the database 2; 1 would be .* \(b\)/,
  );
  expect(partialProblems({ name: "f", manifest: undefined }, contents, { tables: new Map([["a", 5]]) })[0]).toMatch(
    /holds no rows of tables that have some in the database: a \(about 5 rows\)/,
  );
  const logged = { ...contents, tables: ["a", "b"], rows: new Map([["a", 5]]) };
  expect(partialProblems(made(["--exclude-table-data=b"]), logged, target)[0]).toMatch(
    /no rows .*: b \(about 7 rows\)/,
  );
  expect(partialProblems({ name: "f", manifest: undefined }, logged, target)).toEqual([]);
});

test.each([
  ["2026-01-31", "2026-01-31T00:00:00.000Z"],
  ["2026-01-31T18:00", "2026-01-31T18:00:00.000Z"],
  ["2026-01-31T18:00+02:00", "2026-01-31T16:00:00.000Z"],
])("--before %s is %s", (text, time) => expect(parseTime(text).toISOString()).toBe(time));

test.each(["2026-02-30", "2025-02-29T03:00", "2026-13-01", "2026-01-31T25:00", "26-01-31", "yesterday", ""])(
  "--before %s is refused",
  (text) => expect(() => parseTime(text)).toThrow("is not a time"),
);

test("a command for people names the database, when the settings name several", () => {
  const job = (settings: object) => ({ home: "/opt/b", options: { envFile: "/e" }, settings }) as unknown as Job;
  const words = ["--undo", "app_before_x"];
  expect(restoreCommand(job({ DB_NAME: "app" }), words)).toBe("/opt/b/restore --env-file /e --undo app_before_x");
  expect(restoreCommand(job({ DB_NAME: "a b", DB_NAMES: "*" }), words)).toBe(
    "/opt/b/restore --env-file /e --database 'a b' --undo app_before_x",
  );
});
