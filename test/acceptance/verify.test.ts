/** verify: a backup is restored, compared to the last row, and proved; whatever is not equal is found and named. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { clientsWith } from "../support/servers/clients.ts";
import { type Installation, installScripts, startProgram } from "../support/machine/executables.ts";
import { createNasty } from "../support/expect/nasty.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { type S3Server, startS3Server } from "../support/servers/s3-server.ts";
import { s3Settings } from "../support/servers/storage.ts";

let server: PostgresServer;
let scratch: PostgresServer;
let s3: S3Server;
let scripts: Installation;
beforeAll(async () => {
  [server, scratch] = await Promise.all([startPostgres(15), startPostgres(17)]);
  s3 = startS3Server();
  await createNasty(server, "nasty");
  await server.createDatabase("shop", shop);
  scripts = installScripts({ ...server.settings("nasty"), BACKUP_COMPRESSION_LEVEL: "1" });
});
afterAll(async () => {
  await Promise.all([server.stop(), scratch.stop(), s3.stop()]);
  scripts.remove();
});

const databases = (on = server) =>
  on.sql("postgres", "SELECT string_agg(datname, ',' ORDER BY datname) FROM pg_database");
const json = (path: string) => JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;

/** Everything that can go wrong on the way, in a small database. */
const shop = `
  CREATE TABLE t (id int PRIMARY KEY, n text, CONSTRAINT small CHECK (id < 1000));
  INSERT INTO t SELECT i, 'name ' || i FROM generate_series(1, 50) i;
  CREATE SEQUENCE s; SELECT setval('s', 7);
  CREATE VIEW v AS SELECT id FROM t WHERE id > 3;
  COMMENT ON TABLE t IS 'all the things';
  GRANT SELECT ON t TO pg_monitor;
  SELECT lo_from_bytea(4711, repeat('x', 100)::bytea);`;

describe("verify, PostgreSQL", () => {
  test("proves the newest backup: equal to the last row; the copy is dropped, the proof lies beside the backup", async () => {
    const backup = (await scripts.run("backup")).stdout.trim();
    const before = await databases();
    const ran = await scripts.run("verify");
    expect(ran.status, ran.stderr).toBe(0);
    expect(ran.stdout.trim()).toBe(`${backup}.proof.json`);
    expect(ran.stderr).toMatch(
      /INFO verify: verify done: nasty_\S+ was restored in .* on PostgreSQL 15\.\d+; \d+ tables and [\d,]+ rows are equal/,
    );
    expect(await databases()).toBe(before);
    const { sha256, rows } = json(`${backup}.json`);
    expect(json(`${backup}.proof.json`)).toMatchObject({ backup: backup.split("/").at(-1), sha256, rows });
  });

  test("takes the newest backup that is not proved, and proves on the server of VERIFY_DATABASE_URL", async () => {
    const own = installScripts({
      ...server.settings("shop"),
      VERIFY_DATABASE_URL: scratch.url("postgres"),
      DB_CLIENT_DIR: scratch.clientDir,
      VERIFY_QUERY: "SELECT count(*) = 50 FROM public.t",
    });
    const first = (await own.run("backup")).stdout.trim();
    const second = (await own.run("backup")).stdout.trim();
    const before = [await databases(), await databases(scratch)];
    const newest = await own.run("verify");
    expect(newest.stdout.trim(), newest.stderr).toBe(`${second}.proof.json`);
    const ran = await own.run("verify");
    expect(ran.stdout.trim(), ran.stderr).toBe(`${first}.proof.json`);
    expect(json(`${first}.proof.json`)).toMatchObject({
      serverVersion: expect.stringMatching(/^PostgreSQL 17/),
      rows: 50,
    });
    expect(json(`${first}.proof.json`)["compared"]).toContain("every object of the schema by kind and name");
    expect([await databases(), await databases(scratch)]).toEqual(before);

    const wrong = await own.run("verify", [second], { env: { VERIFY_QUERY: "SELECT false" } });
    expect(wrong.status).toBe(1);
    expect(wrong.stderr).toContain("VERIFY_QUERY is not true for shop_");
    const broken = await own.run("verify", [second], { env: { VERIFY_QUERY: "SELECT 1/0" } });
    expect(broken.stderr).toMatch(/VERIFY_QUERY failed for shop_.*division by zero[^]*hint: check VERIFY_QUERY/);
    // it is no longer proved
    expect(existsSync(`${second}.proof.json`)).toBe(false);
    expect(existsSync(`${first}.proof.json`)).toBe(true);
    own.remove();
  });

  test("retention keeps the newest proved backup; a proof that is forged by its name counts for nothing", async () => {
    const own = installScripts({ ...server.settings("shop"), LOCAL_KEEP_LAST: "1" });
    const made: string[] = [];
    for (let count = 0; count < 4; count++) {
      if (count === 1) expect((await own.run("verify")).status).toBe(0);
      if (count === 2) writeFileSync(`${made[1]}.proof.json`, readFileSync(`${made[0]}.proof.json`), { mode: 0o600 });
      made.push((await own.run("backup")).stdout.trim());
    }
    expect(made.map((path) => existsSync(path))).toEqual([true, false, false, true]);
    own.remove();
  });

  test("a proof of another file keeps no backup from being proved, and that of a damaged one is removed", async () => {
    const own = installScripts(server.settings("shop"));
    const first = (await own.run("backup")).stdout.trim();
    expect((await own.run("verify")).status).toBe(0);
    const second = (await own.run("backup")).stdout.trim();
    writeFileSync(`${second}.proof.json`, readFileSync(`${first}.proof.json`), { mode: 0o600 });
    expect((await own.run("verify")).stdout.trim()).toBe(`${second}.proof.json`);
    truncateSync(second, 100);
    const ran = await own.run("verify");
    expect([ran.status, ran.stderr]).toEqual([1, expect.stringContaining(`${second} is damaged: it has 100 bytes`)]);
    expect([first, second].map((path) => existsSync(`${path}.proof.json`))).toEqual([true, false]);
    own.remove();
  });

  test("proves a backup in S3, and its proof lies there", async () => {
    const bucket = await s3.newBucket();
    const own = installScripts({
      ...server.settings("shop"),
      ...s3Settings(s3, bucket, "p"),
      BACKUP_KEEP_LOCAL: "false",
    });
    const backup = (await own.run("backup", ["--upload"])).stdout.trim();
    const ran = await own.run("verify", ["--from-s3"]);
    expect(ran.status, ran.stderr).toBe(0);
    expect(ran.stdout.trim()).toBe(`${backup}.proof.json`);
    expect([...s3.objects(bucket).keys()].some((key) => key.endsWith(".proof.json"))).toBe(true);
    own.remove();
  });

  test("a backup is proved with the options that it was made with; in a bucket without signatures, only with the present ones", async () => {
    const bucket = await s3.newBucket();
    const own = installScripts({ ...server.settings("shop"), ...s3Settings(s3, bucket, "p") });
    const DB_DUMP_OPTIONS = "--inserts --no-owner --exclude-table-data=nothing*";
    const backup = await own.run("backup", ["--upload"], { env: { DB_DUMP_OPTIONS } });
    expect(backup.status, backup.stderr).toBe(0);
    const ran = await own.run("verify");
    expect(ran.status, ran.stderr).toBe(0);
    const refused = await own.run("verify", ["--from-s3"]);
    expect([refused.status, refused.stderr]).toEqual([1, expect.stringContaining("present DB_DUMP_OPTIONS")]);
    // that says nothing of the backup
    expect(existsSync(ran.stdout.trim())).toBe(true);
    const given = /hint: to prove it: (DB_DUMP_OPTIONS=.*) verify /.exec(refused.stderr)?.[1];
    const again = await startProgram(["/bin/sh", "-c", `${given} ${join(own.dir, "verify")} --from-s3`]).done;
    expect(again.status, again.stderr).toBe(0);
    own.remove();
  });

  test("a proof that fails withdraws the one of the copy in S3 too", async () => {
    const bucket = await s3.newBucket();
    const own = installScripts({ ...server.settings("shop"), ...s3Settings(s3, bucket, "p") });
    expect((await own.run("backup", ["--upload"])).status).toBe(0);
    expect((await own.run("verify")).status).toBe(0);
    expect((await own.run("sync")).status).toBe(0);
    const proofs = () => [...s3.objects(bucket).keys()].filter((key) => key.endsWith(".proof.json")).length;
    expect(proofs()).toBe(1);
    expect((await own.run("verify", [], { env: { VERIFY_QUERY: "SELECT false" } })).status).toBe(1);
    expect(proofs()).toBe(0);
    expect((await own.run("list")).stdout).toContain("none proved yet");
    own.remove();
  });

  test("a proof that cannot be written says that the backup is good, and takes no earlier proof away", async () => {
    const bucket = await s3.newBucket();
    const own = installScripts({ ...server.settings("shop"), ...s3Settings(s3, bucket, "p") });
    expect((await own.run("backup", ["--upload"])).status).toBe(0);
    const proof = (await own.run("verify")).stdout.trim();
    s3.faults.push({ operation: "PutObject", instead: { status: 403, code: "AccessDenied" } });
    const ran = await own.run("verify", ["--from-s3"]);
    s3.faults.length = 0;
    expect(ran.status).toBe(1);
    expect(ran.stderr).toMatch(
      /ERROR verify: shop_.* rows are equal, but its proof could not be written: cannot upload/,
    );
    expect(ran.stderr).toContain("hint: allow s3:PutObject on bucket");
    expect(existsSync(proof)).toBe(true);
    own.remove();
  });

  test("a dry run reads the backup to its end and makes nothing", async () => {
    const before = [await databases(), scripts.list().join()];
    const ran = await scripts.run("verify", ["--dry-run"]);
    expect(ran.status, ran.stdout + ran.stderr).toBe(0);
    expect(ran.stdout).toContain("is complete and intact");
    expect([await databases(), scripts.list().join()]).toEqual(before);
  });

  const escape = (text: string) => text.replaceAll("'", String.raw`'\''`);
  test.each([
    ["a row changed", "s/^3\\tname 3$/3\\tname X/", ["table public.t", "only in the backup: id 3: 3 | name 3"]],
    ["a row missing", "/^3\\tname 3$/d", ["public.t", "50", "49"]],
    ["a row twice", "s/^3\\tname 3$/3\\tname 3\\n53\\tname 3/", ["public.t", "51"]],
    ["values swapped", "s/^3\\tname 3$/3\\tname 4/; s/^4\\tname 4$/4\\tname 3/", ["table public.t", "id 3", "id 4"]],
    ["a constraint gone", "s/^ *CONSTRAINT small CHECK .*$/CHECK (true)/", ["CONSTRAINT small"]],
    ["a comment gone", "s/^COMMENT ON TABLE public.t .*$/SELECT 1;/", ["COMMENT ON TABLE public.t"]],
    ["a privilege gone", "s/^GRANT SELECT ON TABLE .*$/SELECT 1;/", ["GRANT SELECT ON TABLE public.t TO pg_monitor"]],
    [
      "a sequence off by one",
      "s/setval('public.s', 7, true)/setval('public.s', 8, true)/",
      ["sequence public.s", "7, true in the backup, 8, true"],
    ],
    [
      "a view altered",
      "s/WHERE (t.id > 3);/WHERE (t.id > 4);/; s/WHERE (id > 3);/WHERE (id > 4);/",
      ["id > 3", "id > 4"],
    ],
    [
      "a large object's bytes",
      "s/^SELECT pg_catalog.lowrite(0, '\\\\x78/SELECT pg_catalog.lowrite(0, '\\\\x79/",
      ["large object 4711"],
    ],
  ])("finds and names what a client program altered: %s", async (_, change, named) => {
    const own = installScripts(server.settings("shop"));
    const backup = (await own.run("backup")).stdout.trim();
    const dir = clientsWith(server.clientDir, { psql: `sed -u '${escape(change)}' | "$REAL" "$@"` });
    const ran = await own.run("verify", [], { env: { DB_CLIENT_DIR: dir } });
    expect(ran.status, ran.stderr).toBe(1);
    for (const words of named) expect(ran.stderr).toContain(words);
    expect(existsSync(`${backup}.proof.json`)).toBe(false);
    expect(await databases()).not.toContain("_verify_");
    own.remove();
  });
});
