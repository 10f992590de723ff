import { expect, test } from "bun:test";
import { leakedIn } from "../support/expect/secrets.ts";

const secret = "p@$$ w'rd<&\"\\/";

test.each([
  ["plain", `login with ${secret} refused`],
  ["a URL", `postgres://me:${encodeURIComponent(secret)}@host/db`],
  ["JSON", JSON.stringify({ password: secret })],
  ["HTML", `<p>${Bun.escapeHTML(secret)}</p>`],
  ["base64", `AUTH ${Buffer.from(secret).toString("base64")}`],
  ["base64 with more around it", `AUTH PLAIN ${Buffer.from(`\0me\0${secret}\0`).toString("base64")}`],
  ["a libpq string", `password='${secret.replace(/[\\']/g, "\\$&")}'`],
])("the search for leaks finds a secret in %s", (_, text) => {
  expect(leakedIn(text, ["innocent", secret])).toEqual([secret]);
});

test("the search for leaks finds nothing where nothing is", () => {
  expect(leakedIn("a harmless line", ["innocent", secret])).toEqual([]);
});
