/** I1, I2: whose backup it is, as a table. */
import { expect, test } from "bun:test";
import { type Identity, originIn, type Owner, ownerOf, strictOwnerOf } from "../../scripts-src/archive/identity.ts";

/** `A` is a server without SITE_NAME, `A/shop` one whose SITE_NAME is set by hand, `?` a server that does not say which it is. */
function identity(word: string): Identity | undefined {
  if (word === "-") return undefined;
  const [system, site] = word.split("/");
  return {
    ...(system !== "?" && { system }),
    server: "db:5432",
    site: site ?? `host of ${system}`,
    siteIsSet: site !== undefined,
  };
}

const table: [backup: string, present: string, owner: Owner, why: string][] = [
  ["A", "A", "ours", "the server it comes from"],
  ["A", "B", "other", "another server"],
  ["A/shop", "A/shop", "ours", "server and site"],
  ["A/shop", "B/shop", "ours", "moved to another server, SITE_NAME stays"],
  ["A/shop", "?/shop", "ours", "the server does not say which it is, SITE_NAME does"],
  ["A/shop", "A/crm", "other", "a clone of the server with a SITE_NAME of its own"],
  ["A/shop", "B/crm", "other", "another site"],
  ["?/shop", "?/crm", "other", "another site, whatever the servers are"],
  ["A", "A/shop", "ours", "SITE_NAME was set afterwards"],
  ["A/shop", "A", "ours", "SITE_NAME was taken away"],
  ["A", "B/shop", "unknown", "moved, and SITE_NAME set then: the old backups may be ours"],
  ["A/shop", "B", "unknown", "a site of which nothing is known here"],
  ["?", "?", "unknown", "two servers that do not say which they are"],
  ["?", "A", "unknown", "the server did not say which it was"],
  ["?", "A/shop", "unknown", "the same with a SITE_NAME here"],
  ["?/shop", "A", "unknown", "the same with a SITE_NAME there"],
  ["-", "A/shop", "unknown", "a file of version 0.1"],
  ["-", "-", "unknown", "a file of version 0.1, no server here"],
  ["A/shop", "-", "unknown", "nothing is known here"],
];
test.each(table)("a backup of %s, compared with %s, is %s: %s", (backup, present, owner) => {
  expect(ownerOf(identity(backup), identity(present))).toBe(owner);
});

test.each(table)(
  "where something is deleted, a backup of %s is of another server than %s when both say so",
  (...row) => {
    const [backup, present, owner, why] = row;
    const isElsewhere = /moved, and|a site of which/.test(why);
    expect(strictOwnerOf(identity(backup), identity(present))).toBe(isElsewhere ? "other" : owner);
  },
);

test.each(["", "{}", "{", "[]", "null", '{"identity": 1}', '{"identity": {"system": "A"}}'])(
  "a manifest %p says nothing of its origin",
  (text) => expect(originIn(text)?.identity).toBeUndefined(),
);

test("a manifest's identity is read whatever else is wrong with it", () => {
  const shop = identity("A/shop");
  expect(originIn(JSON.stringify({ formatVersion: 9, identity: { ...shop, later: 1 } }))?.identity).toMatchObject({
    ...shop,
  });
});
