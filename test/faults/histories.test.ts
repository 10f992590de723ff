/**
 * Deletion never surprises: random histories of several hosts and databases that share one bucket and have one folder each, with
 * clocks that are wrong, runs that die half-way, rules and SITE_NAMEs that change, proofs and forged ones, suspicious backups, objects of
 * strangers, and people who move files. After each step the rules of retention and sync must hold. FC_RUNS sets how many histories; a
 * failure prints its seed.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Identity, originIn, ownerOf } from "../../scripts-src/archive/identity.ts";
import { formatManifest, formatProof, parseProof } from "../../scripts-src/archive/manifest.ts";
import {
  backupNameOf,
  byAge,
  formatBackupName,
  manifestName,
  parseBackupName,
  proofName,
} from "../../scripts-src/archive/name.ts";
import { clockTolerance } from "../../scripts-src/base/clock.ts";
import type { Place } from "../../scripts-src/places/place.ts";
import { prune, type Rule } from "../../scripts-src/places/retention.ts";
import type { Settings } from "../../scripts-src/settings/settings.ts";
import { type Entry, findForeign, type Named, planSync } from "../../scripts-src/steps/plan-sync.ts";
import type { Logger } from "../../scripts-src/base/log.ts";
import { manifestFacts } from "../support/expect/backups.ts";
import { sha256 } from "../support/servers/storage.ts";

const day = 86_400_000;
const hour = 3_600_000;
const databases = ["app", "app-staging", "app_2", "-odd"] as const;
const quiet = { info() {}, warn() {}, error() {} } as unknown as Logger;
/** Files of a folder or objects of a bucket: name and content (whose length is its size). */
type Store = Map<string, string>;

interface World {
  bucket: Store;
  hosts: Store[];
  /** What each host says of itself now. */
  sites: Identity[];
}

/** Each host has a server and a folder of its own; they share the bucket. */
const newSites = (): Identity[] =>
  ["A", "B", "C"].map((system) => ({ system, server: "db:1", site: system, siteIsSet: false }));
const ownerIn = (world: World, store: Store, file: string, one: { host: number }) =>
  ownerOf(originIn(store.get(manifestName(file)) ?? "")?.identity, world.sites[one.host]);

/** Foreign names, some of which look nearly like ours. */
const strangers = ["notes.txt", "app_2020-01-01_00-00-00.sql.gz.bak", "app_2020-13-01_00-00-00.sql.gz", "app.json"];

type Step =
  | {
      kind: "backup";
      host: number;
      database: (typeof databases)[number];
      skew: number;
      dies: number;
      upload: boolean;
      /** By version 0.1, whose manifests do not say whose they are. */
      old: boolean;
      suspicious: boolean;
      /** So many times, a night after the other. */
      nights: number;
    }
  // SITE_NAME is set, removed, or that of another host
  | { kind: "name"; host: number; site: "" | "one" | "two" }
  // the nth backup of a host, or of the bucket, is proved; or somebody copies the proof of another one there
  | { kind: "prove"; host: number; remote: boolean; which: number; forged: boolean }
  | { kind: "sync"; host: number; dies: number; mayDelete: boolean }
  | {
      kind: "prune";
      host: number;
      database: (typeof databases)[number];
      skew: number;
      dies: number;
      remote: boolean;
      rules: Rule[];
    }
  | { kind: "lose"; host: number; which: number };

const host = fc.nat({ max: 2 });
/** Mostly one: what is not deleted from a few backups shows nothing. */
const database = fc.oneof({ weight: 6, arbitrary: fc.constant(databases[0]) }, fc.constantFrom(...databases));
/** How wrong a clock is (ms): mostly right, at times by hours, days or years. */
const skew = fc.oneof(
  { weight: 5, arbitrary: fc.constant(0) },
  fc.integer({ min: -2 * hour, max: 2 * hour }),
  fc.integer({ min: -40 * day, max: 40 * day }),
  fc.constantFrom(-3000 * day, 3000 * day),
);
/** After so many changes the run is dead. */
const dies = fc.oneof({ weight: 3, arbitrary: fc.constant(1000) }, fc.nat({ max: 5 }));
const rule: fc.Arbitrary<Rule> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Rule>({ kind: "days", count: 7, setting: "DAYS" }) },
  fc.record({
    kind: fc.constantFrom("days", "last", "daily", "weekly", "monthly", "yearly"),
    count: fc.integer({ min: 1, max: 8 }),
    setting: fc.constant("KEEP"),
  }),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("backup" as const),
      host,
      database,
      skew,
      dies,
      upload: fc.boolean(),
      old: fc.nat({ max: 3 }).map((chance) => chance === 0),
      suspicious: fc.nat({ max: 9 }).map((chance) => chance === 0),
      nights: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 20 })),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("sync" as const), host, dies, mayDelete: fc.boolean() }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("prune" as const),
      host,
      database,
      skew,
      dies,
      remote: fc.boolean(),
      rules: fc.uniqueArray(rule, { minLength: 1, maxLength: 3, selector: ({ kind }) => kind }),
    }),
  },
  fc.record({ kind: fc.constant("name" as const), host, site: fc.constantFrom("" as const, "one", "two") }),
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("prove" as const),
      host,
      remote: fc.boolean(),
      which: fc.nat(),
      forged: fc.boolean(),
    }),
  },
  fc.record({ kind: fc.constant("lose" as const), host, which: fc.nat() }),
);

/** Changes a store until it is dead. */
function mortal(changes: number) {
  let left = changes;
  return (act: () => unknown) => {
    if (left-- > 0) act();
  };
}

function storeBackup(world: World, one: Extract<Step, { kind: "backup" }>, now: number): void {
  const local = world.hosts[one.host] as Store;
  const time = new Date(now + one.skew);
  const names = [1, 2, 3].map((sequence) =>
    formatBackupName({ database: one.database, time, sequence, compression: "gzip", encrypted: false }),
  );
  const name = names.find((free) => !local.has(free) && !world.bucket.has(free));
  if (!name) return;
  const change = mortal(one.dies);
  const content = `${one.host} ${now}`;
  const manifest = formatManifest({
    ...manifestFacts,
    database: one.database,
    startedAt: time.toISOString(),
    bytes: content.length,
    sha256: sha256(Buffer.from(content)),
    ...(!one.old && { identity: world.sites[one.host] }),
    ...(one.suspicious && { suspicious: ["half as large"] }),
  });
  change(() => local.set(manifestName(name), manifest));
  change(() => local.set(name, content));
  if (!local.has(name)) local.delete(manifestName(name)); // swept by the next run
  if (!one.upload) return;
  change(() => world.bucket.set(name, content));
  change(() => world.bucket.set(manifestName(name), manifest));
}

/** Writes a proof beside a backup: its own, or one that is another's. */
function storeProof(world: World, { host: nth, remote, which, forged }: Extract<Step, { kind: "prove" }>): void {
  const store = remote ? world.bucket : (world.hosts[nth] as Store);
  const backups = [...store.keys()].filter((name) => parseBackupName(name) && store.has(manifestName(name)));
  const name = backups[which % Math.max(1, backups.length)];
  if (name === undefined) return;
  const facts = {
    backup: name,
    sha256: sha256(Buffer.from(forged ? "another one" : (store.get(name) ?? ""))),
    provedAt: "2026-01-01T03:00:00.000Z",
    restoreMs: 1,
    durationMs: 1,
    serverVersion: "PostgreSQL 15.18",
    server: "db:1",
    tables: 1,
    rows: 1,
    compared: [],
    leftOut: [],
    programVersion: "0.2.0",
  };
  store.set(proofName(name), formatProof(facts, undefined));
}

const isProved = (store: Store, file: string) => {
  const proof = parseProof(Buffer.from(store.get(proofName(file)) ?? ""), undefined);
  return proof !== undefined && proof.sha256 === originIn(store.get(manifestName(file)) ?? "")?.sha256;
};

function entriesOf(store: Store): Entry[] {
  return [...store].map(([name, content]) => {
    const file = backupNameOf(name);
    const backup = parseBackupName(file);
    const named = backup && { backup: file, database: backup.database, time: backup.time };
    return { name, bytes: content.length, named };
  });
}

/** As `sync` does it: uploads, then deletions. */
async function runSync(world: World, one: Extract<Step, { kind: "sync" }>): Promise<void> {
  const local = world.hosts[one.host] as Store;
  const files = entriesOf(local).filter((entry): entry is Entry & { named: Named } => entry.named !== undefined);
  const plan = planSync(files, entriesOf(world.bucket), one);
  if (plan.refusal) return;
  const change = mortal(one.dies);
  for (const { name } of plan.uploads.flat()) change(() => world.bucket.set(name, local.get(name) ?? ""));
  const [here, there] = [placeOf(local, () => {}), placeOf(world.bucket, () => {}, true)];
  const remote = entriesOf(world.bucket);
  const { site: SITE_NAME, siteIsSet } = world.sites[one.host] as Identity;
  const settings = (siteIsSet ? { SITE_NAME } : {}) as Settings;
  const foreign = await findForeign(settings, here, there, { deletes: plan.deletes, remote });
  for (const { name } of plan.deletes) if (!foreign.has(backupNameOf(name))) change(() => world.bucket.delete(name));
}

const candidatesOf = (store: Store, name: string) =>
  [...store.keys()].flatMap((file) =>
    parseBackupName(file)?.database === name ? [{ name: file, committed: store.has(manifestName(file)) }] : [],
  );

/** As `backup` does it at its end. */
async function runPrune(world: World, one: Extract<Step, { kind: "prune" }>, now: number): Promise<void> {
  const store = one.remote ? world.bucket : (world.hosts[one.host] as Store);
  const change = mortal(one.dies);
  await prune(placeOf(store, change, one.remote), {
    database: one.database,
    rules: one.rules,
    present: world.sites[one.host],
    log: quiet,
    warn: () => {},
    now: new Date(now + one.skew),
  });
}

/** A store as the scripts see it. */
const placeOf = (store: Store, change: (act: () => unknown) => void, shared = false): Place => ({
  where: "there",
  shared,
  locate: (name) => name,
  list: async () => [...store].map(([name, content]) => ({ name, bytes: content.length })),
  load: async (name) => (store.has(name) ? Buffer.from(store.get(name) ?? "") : undefined),
  async *read(name) {
    yield Buffer.from(store.get(name) ?? "");
  },
  create: async () => undefined,
  put: async () => {},
  remove: async (name) => change(() => store.delete(name)),
  elsewhere: async () => [],
  clockAhead: () => 0,
  sweep: async () => {},
});

const snapshot = (world: World) => [world.bucket, ...world.hosts].map((store) => new Map(store));
/** How many files retention and sync have deleted: without any, nothing is shown. */
const deleted = { prune: 0, sync: 0 };

/** What may not happen to a store between two moments. */
function expectNoSurprise(world: World, before: Store, after: Store, one: Step, now: number): void {
  const gone = [...before.keys()].filter((name) => !after.has(name));
  for (const name of gone) {
    const file = backupNameOf(name);
    const backup = parseBackupName(file);
    expect(backup, `${name} is one of ours`).toBeDefined();
    if (one.kind !== "prune" && one.kind !== "sync") throw new Error(`${name} was deleted by ${one.kind}`);
    deleted[one.kind]++;
    // a run that died may have left the manifest alone
    expect(ownerIn(world, before, file, one), `${name} is not another server's`).not.toBe("other");
    if (one.kind === "prune") expect(backup?.database).toBe(one.database);
  }
  if (one.kind === "prune") expectByRules(world, before, after, { ...one, now: now + one.skew });
}

const timeOf = (file: string): number => parseBackupName(file)?.time.getTime() ?? Number.NaN;
const periods: Record<string, (time: Date) => string> = {
  daily: (time) => time.toISOString().slice(0, 10),
  // weeks begin on Mondays, as the fourth day of 1970 was one
  weekly: (time) => String(Math.floor((time.getTime() / day + 3) / 7)),
  monthly: (time) => time.toISOString().slice(0, 7),
  yearly: (time) => time.toISOString().slice(0, 4),
};

/**
 * Retention by its clock (`now`). Backups that do not say whose they are may count as ours or not: what is checked holds for both.
 */
function expectByRules(
  world: World,
  before: Store,
  after: Store,
  one: Extract<Step, { kind: "prune" }> & { now: number },
): void {
  const newestFirst = candidatesOf(before, one.database)
    .filter(({ name, committed: isGood }) => isGood && timeOf(name) <= one.now + clockTolerance)
    .map(({ name }) => ({ name, owner: ownerIn(world, before, name, one) }))
    .filter(({ owner }) => owner !== "other")
    .toSorted((a, b) => byAge(parseBackupName(b.name)!, parseBackupName(a.name)!));
  const ours = newestFirst.filter(({ owner }) => owner === "ours").map(({ name }) => name);
  const unknown = newestFirst.filter(({ owner }) => owner === "unknown").map(({ name }) => name);
  const isGone = (name: string) => !after.has(name);
  const suspicious = (name: string) => originIn(before.get(manifestName(name)) ?? "")?.suspicious;
  if (ours[0]) expect(isGone(ours[0]), `the newest good one of ours, ${ours[0]}, is left`).toBe(false);
  const [proved, doubtful] = [ours, unknown].map((all) => all.find((name) => isProved(before, name)));
  if (proved && (!doubtful || timeOf(doubtful) < timeOf(proved)))
    expect(isGone(proved), `the newest proved one, ${proved}, is left`).toBe(false);
  const all = newestFirst.map(({ name }) => name);
  for (const [rank, name] of all.entries()) {
    if (!isGone(name)) continue;
    if (newestFirst[0]?.owner === "ours")
      expect(suspicious(newestFirst[0].name), "nothing is deleted behind a suspicious one").toEqual([]);
    for (const { kind, count } of one.rules) {
      if (kind === "days") expect(one.now - timeOf(name), `${name} is old`).toBeGreaterThan(count * day);
      else if (kind === "last") expect(rank, `${name} is not among the last ${count}`).toBeGreaterThanOrEqual(count);
      else {
        const period = (file: string) => periods[kind]?.(new Date(timeOf(file)));
        const newer = all.slice(0, rank);
        const isNewestOfIts = !newer.some((file) => period(file) === period(name));
        if (isNewestOfIts)
          expect(new Set(newer.map(period)).size, `${name} is ${kind}, beyond ${count}`).toBeGreaterThanOrEqual(count);
      }
    }
  }
}

test("random histories: retention and sync delete only what their rules say, whatever the clocks, whoever dies", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(step, fc.nat({ max: 3 * day })), { minLength: 10, maxLength: 40, size: "max" }),
      async (history) => {
        const world: World = {
          bucket: new Map(strangers.map((name) => [name, "s"])),
          hosts: [new Map(), new Map(), new Map()],
          sites: newSites(),
        };
        let now = Date.UTC(2026, 0, 1);
        for (const [one, pause] of history) {
          now += pause;
          const before = snapshot(world);
          const local = world.hosts[one.host] as Store;
          if (one.kind === "name") {
            const own = newSites()[one.host] as Identity;
            world.sites[one.host] = one.site === "" ? own : { ...own, site: one.site, siteIsSet: true };
          } else if (one.kind === "prove") storeProof(world, one);
          else if (one.kind === "backup")
            for (let night = 0; night < one.nights; night++) storeBackup(world, one, (now += night > 0 ? day : 0));
          else if (one.kind === "sync") await runSync(world, one);
          else if (one.kind === "prune") await runPrune(world, one, now);
          else {
            const lost = [...local.keys()][one.which % Math.max(1, local.size)];
            if (lost) local.delete(lost);
            continue;
          }
          const after = snapshot(world);
          for (const [i, store] of before.entries()) expectNoSurprise(world, store, after[i] ?? new Map(), one, now);
          for (const name of strangers) expect(world.bucket.get(name)).toBe("s");
          if (one.kind === "sync") expectFairSync(before, world, one);
        }
      },
    ),
    process.env.FC_RUNS === undefined ? { numRuns: 150, seed: 1 } : { numRuns: Number(process.env.FC_RUNS) },
  );
  for (const [kind, count] of Object.entries(deleted)) expect(count, `files deleted by ${kind}`).toBeGreaterThan(20);
});

/** sync never changes a folder, deletes only with leave, and never what a newer local backup does not outdate. */
function expectFairSync(before: Store[], world: World, one: Extract<Step, { kind: "sync" }>): void {
  const local = world.hosts[one.host] as Store;
  for (const [i, store] of world.hosts.entries()) expect([...store]).toEqual([...(before[i + 1] ?? [])]);
  for (const name of before[0]?.keys() ?? []) {
    if (world.bucket.has(name)) continue;
    expect(one.mayDelete).toBe(true);
    expect(local.has(name)).toBe(false);
    const backup = parseBackupName(backupNameOf(name));
    const newer = [...local.keys()].flatMap((file) => parseBackupName(file) ?? []);
    expect(newer.some((other) => other.database === backup?.database && other.time > (backup?.time ?? 0))).toBe(true);
  }
}
