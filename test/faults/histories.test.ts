/**
 * Deletion never surprises: random histories of several hosts and databases that share one bucket and one folder each, with
 * clocks that are wrong, runs that die half-way, objects of strangers, and people who move files. After each step the rules of
 * retention and sync must hold. FC_RUNS sets how many histories; a failure prints its seed.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Identity, originIn, ownerOf } from "../../scripts-src/archive/identity.ts";
import { backupNameOf, formatBackupName, manifestName, parseBackupName } from "../../scripts-src/archive/name.ts";
import { clockTolerance } from "../../scripts-src/base/clock.ts";
import type { Place } from "../../scripts-src/places/place.ts";
import { prune } from "../../scripts-src/places/prune.ts";
import type { Settings } from "../../scripts-src/settings/settings.ts";
import { findForeign } from "../../scripts-src/steps/plan-sync.ts";
import type { Logger } from "../../scripts-src/base/log.ts";
import { type Entry, type Named, planSync } from "../../scripts-src/storage/plan.ts";

const day = 86_400_000;
const hour = 3_600_000;
const databases = ["app", "app-staging", "app_2", "-odd"] as const;
const quiet = { info() {}, warn() {}, error() {} } as unknown as Logger;
const keepDays = 7;

/** Files of a folder or objects of a bucket: name and content (whose length is its size). */
type Store = Map<string, string>;

interface World {
  bucket: Store;
  hosts: Store[];
}

/** Each host has a server and a folder of its own; they share the bucket. */
const sites: Identity[] = ["A", "B"].map((system) => ({ system, server: "db:1", site: system, siteIsSet: false }));
const isOthers = (manifest: string | undefined, one: { host: number }) =>
  ownerOf(originIn(manifest ?? "")?.identity, sites[one.host]) === "other";

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
    }
  | { kind: "sync"; host: number; dies: number; mayDelete: boolean }
  | { kind: "prune"; host: number; database: (typeof databases)[number]; skew: number; dies: number; remote: boolean }
  | { kind: "lose"; host: number; which: number };

const host = fc.nat({ max: 1 });
const database = fc.constantFrom(...databases);
/** How wrong a clock is (ms): mostly right, at times by hours, days or years. */
const skew = fc.oneof(
  { weight: 5, arbitrary: fc.constant(0) },
  fc.integer({ min: -2 * hour, max: 2 * hour }),
  fc.integer({ min: -40 * day, max: 40 * day }),
  fc.constantFrom(-3000 * day, 3000 * day),
);
/** After so many changes the run is dead. */
const dies = fc.oneof({ weight: 3, arbitrary: fc.constant(1000) }, fc.nat({ max: 5 }));
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
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("sync" as const), host, dies, mayDelete: fc.boolean() }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("prune" as const), host, database, skew, dies, remote: fc.boolean() }),
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
  const manifest = JSON.stringify(one.old ? {} : { identity: sites[one.host] });
  change(() => local.set(manifestName(name), manifest));
  change(() => local.set(name, content));
  if (!local.has(name)) local.delete(manifestName(name)); // swept by the next run
  if (!one.upload) return;
  change(() => world.bucket.set(name, content));
  change(() => world.bucket.set(manifestName(name), manifest));
}

function entriesOf(store: Store): Entry[] {
  return [...store].map(([name, content]) => {
    const file = parseBackupName(name) ? name : name.replace(/\.json$/, "");
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
  const foreign = await findForeign({} as Settings, here, there, { deletes: plan.deletes, remote });
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
    rules: [{ kind: "days", count: keepDays, setting: "DAYS" }],
    present: sites[one.host],
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
const committed = (store: Store, name: string) =>
  candidatesOf(store, name)
    .filter((one) => one.committed)
    .map((one) => one.name);

/** What may not happen to a store between two moments. */
function expectNoSurprise(before: Store, after: Store, one: Step, now: number): void {
  const gone = [...before.keys()].filter((name) => !after.has(name));
  for (const name of gone) {
    const file = name.replace(/\.json$/, "");
    const backup = parseBackupName(file);
    expect(backup, `${name} is one of ours`).toBeDefined();
    expect(["sync", "prune"]).toContain(one.kind);
    // a run that died may have left the manifest alone
    expect(isOthers(before.get(manifestName(file)), one), `${name} is not another server's`).toBe(false);
    if (one.kind !== "prune" || !backup) continue;
    expect(backup.database).toBe(one.database);
    expect(now + one.skew - backup.time.getTime(), `${name} is old`).toBeGreaterThan(keepDays * day);
  }
  for (const name of databases) {
    const had = committed(before, name);
    const has = committed(after, name);
    if (
      one.kind === "prune" &&
      had.some((file) => (parseBackupName(file)?.time.getTime() ?? 0) <= now + one.skew + clockTolerance)
    )
      expect(has.length, `a good backup of ${name} is left`).toBeGreaterThan(0);
    const ofOurs = (store: Store, files: string[]) =>
      files.filter(
        (file) => ownerOf(originIn(store.get(manifestName(file)) ?? "")?.identity, sites[one.host]) === "ours",
      );
    const past = ofOurs(before, had).filter(
      (file) => one.kind === "prune" && Number(parseBackupName(file)?.time) <= now + one.skew + clockTolerance,
    );
    if (past.length > 0)
      expect(ofOurs(after, has).length, `a good backup of ${name} of ours is left`).toBeGreaterThan(0);
  }
}

test("random histories: retention and sync delete only what their rules say, whatever the clocks, whoever dies", () =>
  fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(step, fc.nat({ max: 3 * day })), { maxLength: 40 }), async (history) => {
      const world: World = { bucket: new Map(strangers.map((name) => [name, "s"])), hosts: [new Map(), new Map()] };
      let now = Date.UTC(2026, 0, 1);
      for (const [one, pause] of history) {
        now += pause;
        const before = snapshot(world);
        const local = world.hosts[one.host] as Store;
        if (one.kind === "backup") storeBackup(world, one, now);
        else if (one.kind === "sync") await runSync(world, one);
        else if (one.kind === "prune") await runPrune(world, one, now);
        else {
          const lost = [...local.keys()][one.which % Math.max(1, local.size)];
          if (lost) local.delete(lost);
          continue;
        }
        const after = snapshot(world);
        for (const [i, store] of before.entries()) expectNoSurprise(store, after[i] ?? new Map(), one, now);
        for (const name of strangers) expect(world.bucket.get(name)).toBe("s");
        if (one.kind === "sync") expectFairSync(before, world, one);
      }
    }),
    { numRuns: Number(process.env.FC_RUNS ?? 1000) },
  ));

/** sync never changes a folder, deletes only with leave, and never what a newer local backup does not outdate. */
function expectFairSync(before: Store[], world: World, one: Extract<Step, { kind: "sync" }>): void {
  const local = world.hosts[one.host] as Store;
  for (const [i, store] of world.hosts.entries()) expect([...store]).toEqual([...(before[i + 1] ?? [])]);
  for (const name of before[0]?.keys() ?? []) {
    if (world.bucket.has(name)) continue;
    expect(one.mayDelete).toBe(true);
    expect(local.has(name)).toBe(false);
    const backup = parseBackupName(name.replace(/\.json$/, ""));
    const newer = [...local.keys()].flatMap((file) => parseBackupName(file) ?? []);
    expect(newer.some((other) => other.database === backup?.database && other.time > (backup?.time ?? 0))).toBe(true);
  }
}
