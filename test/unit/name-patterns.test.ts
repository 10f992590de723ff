/** DB_NAMES: which databases a list of names and patterns means. */
import { expect, test } from "bun:test";
import { chooseNames, parsePatterns } from "../../scripts-src/settings/name-patterns.ts";
import { chance } from "../support/machine/random.ts";

const choose = (text: string, names: readonly string[]) =>
  chooseNames(parsePatterns(text), names).map(({ name, named }) => (named ? `=${name}` : name));

const server = [
  "app",
  "crm",
  "shop",
  "tenant_1",
  "tenant_22",
  "tenant_test",
  "a,b",
  "a*b",
  "a!b",
  "über",
  " x ",
  "a\\b",
];
const kept = [
  "app_before_2026-01-31_03-00-00",
  "app_restoring_2026-01-31_03-00-00",
  "app_verify_2026-01-31_03-00-00",
  "app_before_2026_01_31_03_00_00",
  "app_verify_2026_01_31_03_00_00",
];

test.each([
  ["*", server],
  ["shop,crm", ["=shop", "=crm"]],
  [" shop , crm ,", ["=shop", "=crm"]],
  ["tenant_*,!tenant_test", ["tenant_1", "tenant_22"]],
  ["tenant_?", ["tenant_1"]],
  ["!a*,*,!*e*", ["crm", "shop", " x "]],
  ["?ber", ["über"]],
  ["absent,s*", ["=absent", "shop"]],
  ["shop,s*", ["=shop"]],
  ["shop,!shop,crm", ["=crm"]],
  [String.raw`a\,b`, ["=a,b"]],
  [String.raw`a\*b,a\!b`, ["=a*b", "=a!b"]],
  [String.raw`\!x`, ["=!x"]],
  [String.raw`a\\b`, [String.raw`=a\b`]],
  [String.raw`\ x\ `, ["= x "]],
  ["a.b", ["=a.b"]],
  ["app_before_2026-01-31_03-00-00", ["=app_before_2026-01-31_03-00-00"]],
])("%p chooses %p", (text, expected) => {
  expect(choose(text, [...server, ...kept])).toEqual(expected);
});

test.each([
  ["", /names no database/],
  [" , ", /names no database/],
  ["!a", /names no database/],
  ["a,!", /a ! stands without a name/],
  ["a\\", /ends in a backslash/],
])("%p is refused", (text, why) => {
  expect(() => parsePatterns(text)).toThrow(why);
});

test("whatever its characters, a name that is escaped means itself alone", () => {
  const { pick, below } = chance("name patterns");
  const signs = ["a", "b", ",", "*", "?", "!", "\\", " ", "\n", ".", "+", "(", "[", "ü", "𝄞", "'", '"', "%"] as const;
  const word = () => Array.from({ length: 1 + below(6) }, () => pick(signs)).join("");
  for (let round = 0; round < 2_000; round++) {
    const names = [...new Set([word(), word(), word()])];
    const escaped = names.map((name) => Array.from(name, (sign) => `\\${sign}`).join(""));
    expect(choose(escaped.join(","), [])).toEqual(names.map((name) => `=${name}`));
    const [first = "", ...others] = escaped;
    expect(choose(`*,!${first}`, names)).toEqual(names.slice(1));
    expect(others.length).toBe(names.length - 1);
  }
});
