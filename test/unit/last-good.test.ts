import { expect, test } from "bun:test";
import { parseBackupName } from "../../scripts-src/archive/name.ts";
import type { Stored } from "../../scripts-src/places/place.ts";
import { type Found, summarize } from "../../scripts-src/steps/last-good.ts";

/** A place whose newest backup is called so. */
function holding(where: string, name: string): Found {
  const backup = parseBackupName(name);
  if (!backup) throw new Error(`no name of a backup: ${name}`);
  return { where, newest: { name, backup } as Stored, location: where + name };
}
const first = "app_2026-01-31_03-00-00.sql.gz";
const second = "app_2026-01-31_03-00-00-2.sql.gz";
const now = new Date("2026-01-31T03:00:10Z");
const elsewhere = (where: string) => [`${where}: the newest began less than a minute ago`];

test.each([
  ["the same in both", first, first, [`/b/${first}`, `s3://b/${first}`], []],
  ["the second of a second is newer than the first", second, first, [`/b/${second}`], elsewhere("s3://b/")],
  ["and the other way round", first, second, [`s3://b/${second}`], elsewhere("/b/")],
])("N13: the last good backup: %s", (_, local, remote, locations, others) => {
  expect(summarize([holding("/b/", local), holding("s3://b/", remote)], now)).toEqual({
    startedAt: new Date("2026-01-31T03:00:00Z"),
    locations,
    elsewhere: others,
  });
});

test("N13: no good backup anywhere", () => {
  const places: Found[] = [{ where: "/b/" }, { where: "s3://b/", trouble: "no answer" }];
  expect(summarize(places, now)).toEqual({
    locations: [],
    elsewhere: ["/b/: none", "s3://b/ could not be listed: no answer"],
  });
});
