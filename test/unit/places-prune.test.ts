/** Retention and sync on real places: what they find in manifests decides what is deleted. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Identity } from "../../scripts-src/archive/identity.ts";
import { formatManifest, formatProof } from "../../scripts-src/archive/manifest.ts";
import { formatBackupName, manifestName, parseBackupName, proofName } from "../../scripts-src/archive/name.ts";
import type { Logger } from "../../scripts-src/base/log.ts";
import { inBucket } from "../../scripts-src/places/bucket.ts";
import { chooseNewest, newestOfOurs } from "../../scripts-src/places/choose.ts";
import { inFolder } from "../../scripts-src/places/folder.ts";
import { listBackups, type Place } from "../../scripts-src/places/place.ts";
import { prune, type Rule } from "../../scripts-src/places/retention.ts";
import { settingsFrom } from "../../scripts-src/settings/settings.ts";
import { findForeign } from "../../scripts-src/steps/plan-sync.ts";
import { manifestFacts } from "../support/expect/backups.ts";
import { removeDir, tempDir } from "../support/machine/temp.ts";
import { type S3Server, startS3Server } from "../support/servers/s3-server.ts";
import { open } from "../support/servers/storage.ts";

const now = new Date("2026-11-22T10:43:58Z");
const nameOf = (days: number) => {
  const time = new Date(now.getTime() - days * 86_400_000);
  return formatBackupName({ database: "app", time, sequence: 1, compression: "gzip", encrypted: false });
};
const serverA: Identity = { system: "A", server: "a:5432", site: "a", siteIsSet: false };
const serverB: Identity = { system: "B", server: "b:5432", site: "b", siteIsSet: false };

/** The manifest of a backup of five bytes. */
function manifestOf(name: string, identity?: Identity): string {
  const { database, time } = parseBackupName(name)!;
  const facts = { ...manifestFacts, database, startedAt: time.toISOString(), bytes: 5, sha256: "0".repeat(64) };
  return formatManifest({ ...facts, ...(identity && { identity }) });
}

const proofFacts = {
  provedAt: now.toISOString(),
  restoreMs: 1,
  durationMs: 1,
  serverVersion: "PostgreSQL 15.18",
  server: "a:5432",
  tables: 1,
  rows: 1,
  compared: [],
  leftOut: [],
  programVersion: "0.2.0",
};
const log = { info() {}, warn() {}, error() {} } as unknown as Logger;
const daily: Rule[] = [{ kind: "daily", count: 2, setting: "LOCAL_KEEP_DAILY" }];
const aWeek: Rule[] = [{ kind: "days", count: 7, setting: "BACKUP_RETENTION_DAYS" }];

/** What is left, and what was warned of. */
async function pruned(place: Place, rules: readonly Rule[], present?: Identity) {
  const warnings: string[] = [];
  await prune(place, { database: "app", rules, present, now, log, warn: (text) => warnings.push(text) });
  return { left: (await place.list()).map(({ name }) => name).toSorted(), warnings };
}

describe("a damaged backup in a folder neither stands for a good one nor is deleted", () => {
  const cut = (folder: string, file: string) => truncateSync(join(folder, file), 2);
  const lack = (folder: string, file: string) =>
    writeFileSync(join(folder, manifestName(file)), manifestOf(file).replace(/^ *"uncompressedBytes".*\n/m, ""));
  test.each<[string, string, (folder: string, name: string) => void]>([
    ["its file was cut short", "it has 2 bytes, its manifest says 5", cut],
    ["its manifest was cut short", "it is cut short, or no manifest", (folder, name) => cut(folder, `${name}.json`)],
    ["its manifest is one that restore refuses", "it lacks uncompressedBytes", lack],
  ])("%s", async (_, why, harm) => {
    const folder = tempDir("damaged");
    // all of yesterday but one would go: the newest of the day, which is damaged, must not be that one
    const names = [0, 1, 1.1, 1.2].map(nameOf);
    for (const name of names) {
      writeFileSync(join(folder, name), "12345");
      writeFileSync(join(folder, manifestName(name)), manifestOf(name));
    }
    harm(folder, names[1]!);
    const { left, warnings } = await pruned(inFolder(folder), daily);
    expect(left).toEqual(
      names
        .slice(0, 3)
        .flatMap((name) => [name, manifestName(name)])
        .toSorted(),
    );
    expect(warnings).toEqual([
      expect.stringMatching(new RegExp(`^retention keeps ${names[1]} in .*, and does not count it: .*${why}$`)),
    ]);
    removeDir(folder);
  });
});

test("the newest backup without a proof of its own is chosen to be proved, though a newer one is proved; a damaged one too", async () => {
  const folder = tempDir("unproved");
  for (const days of [0, 1, 2]) {
    writeFileSync(join(folder, nameOf(days)), "12345");
    writeFileSync(join(folder, manifestName(nameOf(days))), manifestOf(nameOf(days)));
  }
  const isNew = () => Promise.resolve(false);
  const wanted = { database: "app", present: undefined, isNew, unproved: true, log };
  const chosen = async () => (await chooseNewest(inFolder(folder), wanted)).name;
  const prove = (days: number, sha256: string) => {
    const facts = { ...proofFacts, backup: nameOf(days), sha256 };
    writeFileSync(join(folder, proofName(nameOf(days))), formatProof(facts, undefined));
  };
  for (const days of [0, 1, 2]) prove(days, "0".repeat(64));
  expect(await chosen()).toBe(nameOf(0));
  // a proof of another file, and one that is none
  prove(1, "1".repeat(64));
  expect(await chosen()).toBe(nameOf(1));
  writeFileSync(join(folder, proofName(nameOf(1))), "{}");
  expect(await chosen()).toBe(nameOf(1));
  prove(1, "0".repeat(64));
  truncateSync(join(folder, nameOf(2)), 2);
  expect(await chosen()).toBe(nameOf(2));
  removeDir(folder);
});

test("the newest good backup is found by reading each manifest once, however many are damaged", async () => {
  const folder = tempDir("damaged");
  const all = Array.from({ length: 6 }, (_, days) => nameOf(days));
  for (const [days, name] of all.entries()) {
    writeFileSync(join(folder, name), days < 5 ? "1" : "12345");
    writeFileSync(join(folder, manifestName(name)), manifestOf(name, serverA));
  }
  const loaded: string[] = [];
  const real = inFolder(folder);
  const place: Place = { ...real, load: (name) => (loaded.push(name), real.load(name)) };
  const newest = await newestOfOurs(place, await listBackups(place), serverA, undefined);
  expect(newest?.name).toBe(nameOf(5));
  expect(loaded.toSorted()).toEqual(all.map(manifestName).toSorted());
  removeDir(folder);
});

describe("in a bucket", () => {
  let s3: S3Server;
  beforeAll(() => {
    s3 = startS3Server();
  });
  afterAll(() => s3.stop());

  /** A bucket with these backups; without an identity they are of version 0.1. */
  async function bucketWith(backups: readonly [days: number, identity?: Identity][]): Promise<Place> {
    const { storage } = await open(s3, await s3.newBucket());
    for (const [days, identity] of backups) {
      await storage.put(nameOf(days), Buffer.from("12345"));
      await storage.put(manifestName(nameOf(days)), Buffer.from(manifestOf(nameOf(days), identity)));
    }
    return inBucket(storage);
  }

  test("I2: a backup that does not say whose it is stays as long as another server's lies there, however young", async () => {
    const place = await bucketWith([[0, serverA], [1, serverB], [30]]);
    expect((await pruned(place, aWeek, serverA)).left).toContain(nameOf(30));
    const own = await bucketWith([[0, serverA], [1, serverA], [30]]);
    expect((await pruned(own, aWeek, serverA)).left).not.toContain(nameOf(30));
  });

  test.each<[string, Identity | undefined, boolean]>([
    ["of this server", serverA, true],
    ["of another server", serverB, false],
    ["of version 0.1", undefined, true],
  ])("an old manifest %s whose backup is gone is swept: %p", async (_, identity, swept) => {
    const place = await bucketWith([
      [0, serverA],
      [30, identity],
    ]);
    await place.remove(nameOf(30));
    expect((await pruned(place, aWeek, serverA)).left.includes(manifestName(nameOf(30)))).toBe(!swept);
  });

  test.each<[string, Identity, boolean]>([
    ["another server's lies there too", serverB, true],
    ["all others are ours", serverA, false],
  ])("I2: sync deletes no backup that does not say whose it is when %s", async (_, newest, stays) => {
    const folder = tempDir("sync");
    writeFileSync(join(folder, nameOf(1)), "12345");
    writeFileSync(join(folder, manifestName(nameOf(1))), manifestOf(nameOf(1), serverA));
    const place = await bucketWith([[0, newest], [1, serverA], [30]]);
    const remote = await place.list();
    const deletes = remote.filter(({ name }) => name.startsWith(nameOf(30)));
    const foreign = await findForeign(settingsFrom({}), inFolder(folder), place, { deletes, remote });
    expect(foreign.has(nameOf(30))).toBe(stays);
    removeDir(folder);
  });

  test("sync keeps the newest proved backup in S3 until a newer one of this server is proved there", async () => {
    const folder = tempDir("sync");
    writeFileSync(join(folder, nameOf(1)), "12345");
    writeFileSync(join(folder, manifestName(nameOf(1))), manifestOf(nameOf(1), serverA));
    const place = await bucketWith([
      [1, serverA],
      [30, serverA],
      [40, serverA],
    ]);
    const prove = (days: number, sha256 = "0".repeat(64)) =>
      place.put(proofName(nameOf(days)), formatProof({ ...proofFacts, backup: nameOf(days), sha256 }, undefined));
    const key = "4d5a8c1e7b2f9d3a6c0e8b5f1a7d2c94";
    const kept = async (settings = {}) => {
      const remote = await place.list();
      const deletes = remote.filter(({ name }) => !name.startsWith(nameOf(1)));
      return [...(await findForeign(settingsFrom(settings), inFolder(folder), place, { deletes, remote }))];
    };
    await prove(40);
    await prove(30);
    await prove(1, "1".repeat(64));
    expect(await kept()).toEqual([[nameOf(30), "the newest proved backup"]]);
    await prove(1);
    // a proof that somebody else put there is none where proofs are signed
    await place.put(
      proofName(nameOf(30)),
      formatProof({ ...proofFacts, backup: nameOf(30), sha256: "0".repeat(64) }, [key]),
    );
    expect(await kept({ MANIFEST_KEY: key })).toEqual([[nameOf(30), "the newest proved backup"]]);
    expect(await kept()).toEqual([]);
    removeDir(folder);
  });
});
