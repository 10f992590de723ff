/** I1: which backup a restore means without its name, as a table. */
import { expect, test } from "bun:test";
import { ownerOf } from "../../scripts-src/archive/identity.ts";
import { pick } from "../../scripts-src/places/choose.ts";
import type { Owned } from "../../scripts-src/places/owners.ts";

/** `A` is of the server at hand, `B` and `C` are of others, `?` says nothing, `x` is of a moved server (with a SITE_NAME). */
function owned(word: string): Owned {
  const identity =
    word === "?" ? undefined : { system: word, server: "db:1", site: `site of ${word}`, siteIsSet: word === "x" };
  const present = { system: "A", server: "db:1", site: "host", siteIsSet: false };
  const backup = { database: "app", time: new Date(0), sequence: 1, compression: "gzip", encrypted: false } as const;
  const stored = { name: word, bytes: 1, backup, committed: true, proved: false, suspicious: false };
  return { ...stored, identity, owner: ownerOf(identity, present) };
}

type Case = [place: "folder" | "bucket", read: string, chosen: number | undefined, why: string, isNew?: boolean];
const cases: Case[] = [
  ["folder", "A", 0, "ours"],
  ["folder", "BA", 1, "not the other server's"],
  ["folder", "?A", 0, "unknown counts as ours"],
  ["folder", "B?A", 1, "unknown counts as ours, whoever else is there"],
  ["folder", "BB", undefined, "only the other server's"],
  ["folder", "BB", 0, "only the other server's, on a new machine", true],
  ["folder", "BC", undefined, "those of two others, on a new machine", true],
  ["bucket", "A", 0, "ours"],
  ["bucket", "BCA", 2, "the newest of ours"],
  ["bucket", "?A", 0, "unknown counts as ours while nobody else's are known"],
  ["bucket", "?BA", 2, "unknown does not count where another's are"],
  ["bucket", "?AB", 1, "unknown does not count where another's are, however old"],
  ["bucket", "B?", undefined, "unknown does not count where another's are, and there is none of ours"],
  ["bucket", "??", 0, "all of version 0.1"],
  ["bucket", "xx", 0, "all of a server that may have been ours"],
  ["bucket", "x?B", undefined, "others' among them"],
  ["bucket", "xA", 1, "ours, where a server with a SITE_NAME has made backups too"],
  ["folder", "xA", 1, "ours, where a server with a SITE_NAME has made backups too"],
  ["folder", "xx", 0, "all of a server that may have been ours"],
  ["bucket", "BB", undefined, "only the other server's"],
  ["bucket", "BB", 0, "only the other server's, on a new machine", true],
  ["bucket", "?B", 0, "the other server's and older ones, on a new machine", true],
  ["bucket", "BCB", undefined, "those of two others, on a new machine", true],
  ["bucket", "BA", 1, "ours, though the database is empty", true],
  ["bucket", "", undefined, "none"],
];
test.each(cases)("in a %s, of %p from the newest on, %p is chosen: %s", (place, read, chosen, _, isNew = false) => {
  const all = Array.from(read, owned);
  const found = pick({ shared: place === "bucket" }, all, true, isNew);
  expect(found && all.indexOf(found)).toBe(chosen);
});

test("in a bucket it is read on until one is ours, and to the end when one before it does not say whose it is", () => {
  expect(pick({ shared: true }, Array.from("??", owned), false, true)).toBeUndefined();
  expect(pick({ shared: true }, Array.from("?A", owned), false, true)).toBeUndefined();
  expect(pick({ shared: true }, Array.from("BA", owned), false, true)?.name).toBe("A");
});
