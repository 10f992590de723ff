/**
 * Manifests by a generator: a real one with anything in any place of it. Whatever they say, no program runs, no file is read, nothing but
 * the database that is restored changes, and every message is for people. FAULTS_SEED repeats; HOSTILE_MANIFESTS sets how many are restored.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import fc from "fast-check";
import { formatBackupName } from "../../scripts-src/archive/name.ts";
import { type Installation, installScripts, type Ran } from "../support/machine/executables.ts";
import { expectSuccess } from "../support/expect/expect.ts";
import { readManifest } from "../support/machine/files.ts";
import { chance } from "../support/machine/random.ts";
import { removeDir, tempDir } from "../support/machine/temp.ts";
import { mariadb, postgresql } from "../support/servers/engines.ts";
import type { DatabaseServer } from "../support/servers/server.ts";
import { type S3Server, startS3Server } from "../support/servers/s3-server.ts";
import { s3Settings, sha256 } from "../support/servers/storage.ts";

// by default always the same ones: what is new is looked for on purpose, and not in a release
const { seed } = chance("hostile manifests", process.env.HOSTILE_MANIFESTS === undefined ? 1 : undefined);
/** Each of these is restored and proved; ten times as many are listed, uploaded and deleted. */
const restored = Number(process.env.HOSTILE_MANIFESTS ?? 4);

/** What must not be read, and what must not be made; a server could do both. */
const outside = tempDir("outside");
chmodSync(outside, 0o777);
const [canary, mark] = [join(outside, "canary"), join(outside, "mark")];
const secret = "the canary sings";
writeFileSync(canary, `${secret}\n`);
afterAll(() => removeDir(outside));

const attacks = [
  canary,
  `../../../../../..${canary}`,
  `$(touch ${mark})`,
  `\`touch ${mark}\``,
  `'; touch ${mark}; '`,
  `| touch ${mark}`,
  `\\! touch ${mark}`,
  `\n\\! touch ${mark}\n`,
  `"; DROP DATABASE other; --`,
  `'; DROP DATABASE other; --`,
  `app'; SELECT pg_read_file('${canary}'); --`,
  `COPY t FROM PROGRAM 'touch ${mark}'`,
  "`; DROP DATABASE other; -- ",
  `app' UNION SELECT load_file('${canary}'); -- `,
  `SELECT 1 INTO OUTFILE '${mark}'`,
  `system touch ${mark}`,
  `host=127.0.0.1 passfile=${canary}`,
  `--file=${mark}`,
  "<script>alert(1)</script>",
  "\u001B[2J\u001B]0;owned\u0007",
  "\u202Egnp.exe",
  "%s%n%x",
  "app/../../x",
  "x".repeat(100_000),
  "",
  "1e999",
];
const anything = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom<unknown>(...attacks) },
  fc.constantFrom<unknown>(null, -1, 1e300, Number.MAX_SAFE_INTEGER, [], {}, true, "2999-01-01T00:00:00.000Z"),
  fc.jsonValue() as fc.Arbitrary<unknown>,
);

/** Every place in a value, as the keys that lead there. */
function placesIn(value: unknown): string[][] {
  if (typeof value !== "object" || value === null) return [[]];
  return [[], ...Object.entries(value).flatMap(([key, part]) => placesIn(part).map((rest) => [key, ...rest]))];
}

/** The value with another one at that place; undefined removes what is there. */
function withAt(value: unknown, [key, ...rest]: readonly string[], other: unknown): unknown {
  if (key === undefined) return other;
  const copy = (Array.isArray(value) ? [...(value as unknown[])] : { ...(value as object) }) as Record<string, unknown>;
  if (rest.length === 0 && other === undefined) delete copy[key];
  else copy[key] = withAt(copy[key], rest, other);
  return copy;
}

/** Text of a manifest in which one to three things are otherwise, or which is cut or overwritten. */
function hostile(manifest: object): fc.Arbitrary<string> {
  const places = placesIn(manifest).filter((path) => path.length > 0);
  const place = fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom(...places) },
    fc.constantFrom(
      ["__proto__"],
      ["constructor"],
      ["tables", "public.t; DROP TABLE t"],
      ["create", "settings"],
      ["create", canary],
    ),
  );
  const change = fc.tuple(place, fc.option(anything, { nil: undefined, freq: 6 }));
  const changed = fc
    .array(change, { minLength: 1, maxLength: 3 })
    .map((changes) =>
      JSON.stringify(changes.reduce<unknown>((all, [path, other]) => withAt(all, path, other), manifest)),
    );
  const text = JSON.stringify(manifest);
  const at = fc.nat({ max: text.length });
  const torn = fc
    .tuple(at, at, fc.constantFrom(...attacks))
    .map(([from, to, middle]) => text.slice(0, from) + middle + text.slice(to));
  return fc.oneof({ weight: 9, arbitrary: changed }, torn);
}

/** What may not have happened, whatever a script was given. */
function expectHarmless(ran: Ran, story: string): void {
  const words = `${story}\n${ran.stderr}`;
  expect(existsSync(mark), words).toBe(false);
  expect(readFileSync(canary, "utf8")).toBe(`${secret}\n`);
  expect(ran.stdout + ran.stderr, words).not.toContain(secret);
  expect(ran.stderr, words).not.toMatch(/^\s+at .*:\d+:\d+|\bTypeError\b|\bSyntaxError\b|\bundefined\b|\[object /m);
  // oxlint-disable-next-line no-control-regex
  expect(ran.stderr, words).not.toMatch(/[\u0000-\u0008\u000B-\u001F\u007F\u0080-\u009F\u202A-\u202E\u2066-\u2069]/);
  expect([0, 1, 2, 4], words).toContain(ran.status);
  if (ran.status !== 0) expect(ran.stderr, words).toMatch(/ ERROR \w+: /);
}

const engines = {
  PostgreSQL: {
    ...postgresql,
    parameters: {},
    content: "CREATE TABLE t AS SELECT i FROM generate_series(1, 30) i",
    roles: "SELECT string_agg(rolname || rolsuper, ',' ORDER BY rolname) FROM pg_roles",
  },
  MariaDB: {
    ...mariadb,
    parameters: { "secure-file-priv": "", "local-infile": "ON" },
    content: "CREATE TABLE t AS SELECT seq AS i FROM seq_1_to_30",
    roles: "SELECT group_concat(user, host, super_priv ORDER BY user, host) FROM user",
  },
};

describe.each(Object.entries(engines))("%s", (_, engine) => {
  let server: DatabaseServer;
  let s3: S3Server;
  let bucket: string;
  let scripts: Installation;
  /** The real backup. */
  let dump: Buffer;
  let manifest: object;

  beforeAll(async () => {
    server = await engine.start(engine.parameters);
    s3 = startS3Server();
    bucket = await s3.newBucket();
    await server.createDatabase("app", engine.content);
    await server.createDatabase("other", "CREATE TABLE theirs AS SELECT 1 AS a");
    scripts = installScripts({ ...server.settings("app"), ...s3Settings(s3, bucket) });
    const ran = await scripts.run("backup");
    expectSuccess(ran);
    const path = ran.stdout.trim();
    dump = readFileSync(path);
    manifest = readManifest(path);
    for (const file of [path, `${path}.json`]) rmSync(file);
  });
  afterAll(async () => {
    scripts.remove();
    await Promise.all([server.stop(), s3.stop()]);
  });

  /** Backups with those manifests, a day apart, in the folder; returns their names, the newest first. */
  function placeHostile(texts: readonly string[]): string[] {
    mkdirSync(scripts.backups, { recursive: true, mode: 0o700 });
    return texts.map((text, i) => {
      const time = new Date(Date.now() - (i + 1) * 86_400_000);
      const name = formatBackupName({ database: "app", time, sequence: 1, compression: "gzip", encrypted: false });
      writeFileSync(join(scripts.backups, name), dump, { mode: 0o600 });
      writeFileSync(join(scripts.backups, `${name}.json`), text, { mode: 0o600 });
      return name;
    });
  }

  const rolesAndOther = async () => [
    await server.sql("other", "SELECT count(*) FROM theirs"),
    await server.sql(engine.admin, engine.roles),
  ];

  const sample = (count: number, nth: number) => fc.sample(hostile(manifest), { numRuns: count, seed: seed + nth });

  test("list, its page and its JSON, sync and retention, over many at once", async () => {
    const before = await rolesAndOther();
    const names = placeHostile(sample(10 * restored, 1));
    const others = ["notes.txt", "app-staging_2020-01-01_03-00-00.sql.gz"];
    for (const name of others) writeFileSync(join(scripts.backups, name), "theirs", { mode: 0o600 });
    const page = join(scripts.dir, "page.html");
    for (const args of [["--all"], ["--json"], ["--html", page]])
      expectHarmless(await scripts.run("list", args), `list ${args.join(" ")}`);
    const html = readFileSync(page, "utf8");
    expect(html).not.toContain("<script>alert");
    expect(html).not.toContain(secret);
    expectHarmless(await scripts.run("sync"), "sync");
    const uploaded = names.flatMap((name) => s3.objects(bucket).get(name)?.body ?? []);
    expect(uploaded).not.toBeEmpty();
    for (const body of uploaded) expect(sha256(body)).toBe(sha256(dump));
    const env = { LOCAL_KEEP_LAST: "3", BACKUP_KEEP_LAST: "3" };
    expectHarmless(await scripts.run("backup", ["--dry-run", "--upload"], { env }), "backup --dry-run");
    const made = await scripts.run("backup", ["--upload"], { env });
    expectHarmless(made, "backup");
    expect(made.status, made.stderr).toBe(0);
    expect(existsSync(made.stdout.trim())).toBe(true);
    for (const name of others) expect(readFileSync(join(scripts.backups, name), "utf8")).toBe("theirs");
    expect([...s3.objects(bucket).keys()]).toContain(basename(made.stdout.trim()));
    expect(await rolesAndOther()).toEqual(before);
    rmSync(scripts.backups, { recursive: true });
    s3.objects(bucket).clear();
  });

  test("list NAME, restore and verify, one by one, locally and from S3", async () => {
    const [before, all] = [await rolesAndOther(), await server.databases()];
    for (const [i, text] of sample(restored, 2).entries()) {
      const story = `FAULTS_SEED=${seed} ${i}: ${text.slice(0, 2_000)}`;
      const [name = ""] = placeHostile([text]);
      expectHarmless(await scripts.run("list", [name]), story);
      expectSuccess(await scripts.run("sync").then((ran) => (expectHarmless(ran, story), { ...ran, status: 0 })));
      const from = s3.objects(bucket).has(name) && i % 2 === 0 ? ["--from-s3"] : [];
      for (const [script, args] of [
        ["restore", [name, "--dry-run", ...from]],
        ["verify", [name, ...from]],
        ["restore", [name, "--into", "copied", ...from]],
        ["restore", [name, "--replace", "--drop-before", ...from]],
      ] as const) {
        const ran = await scripts.run(script, [...args]);
        expectHarmless(ran, `${script} ${args.join(" ")}\n${story}`);
        expect(await server.sql("app", "SELECT count(*) FROM t"), story).toBe("30");
        if ((await server.databases()).includes("copied")) await server.dropDatabase("copied");
        expect(await server.databases(), `${script}\n${story}\n${ran.stderr}`).toEqual(all);
      }
      expect(await rolesAndOther(), story).toEqual(before);
      rmSync(scripts.backups, { recursive: true });
      s3.objects(bucket).clear();
    }
  }, 600_000);
});
