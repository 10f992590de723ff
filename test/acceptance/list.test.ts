/** list: what there is, locally and in S3; works without a database. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { type S3Server, startS3Server } from "../support/servers/s3-server.ts";
import { s3Settings } from "../support/servers/storage.ts";

let server: PostgresServer;
let s3: S3Server;
let bucket: string;
let scripts: Installation;
const names: string[] = [];

beforeAll(async () => {
  server = await startPostgres(15);
  s3 = startS3Server();
  bucket = await s3.newBucket();
  await server.createDatabase(
    "shop",
    "CREATE TABLE t AS SELECT generate_series(1, 1203) AS id; CREATE TABLE none (a int)",
  );
  scripts = installScripts({
    ...server.settings("shop"),
    ...s3Settings(s3, bucket, "prod/shop"),
    LOCAL_RETENTION_DAYS: "14",
    BACKUP_KEEP_LAST: "1",
  });
  for (const args of [["--upload"], []])
    names.push((await scripts.run("backup", args)).stdout.trim().split("/").at(-1) ?? "");
  expect((await scripts.run("verify", [names[0] ?? ""])).status).toBe(0);
});
afterAll(async () => {
  await Promise.all([server.stop(), s3.stop()]);
  scripts.remove();
});

describe("list", () => {
  test("two lines a backup, newest first, the complete name, 80 columns, and a last line that a person wants to read", async () => {
    const { stdout, status } = await scripts.run("list");
    expect(status).toBe(0);
    const lines = stdout.trimEnd().split("\n");
    expect(lines.filter((line) => !line.startsWith(" ")).slice(0, 2)).toEqual(names.toReversed());
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
    expect(stdout.replaceAll(/\s+/g, " ")).toMatch(/1,203 rows · local and S3 · proved .* ago, restores in/);
    expect(stdout).toContain("not older than 14 days (LOCAL_RETENTION_DAYS)");
    expect(lines.slice(-2).join(" ")).toMatch(/^2 backups, the newest .* old; last proved .* ago/);
  });

  test("works without a database and when S3 cannot be reached, which it says", async () => {
    const env = { DB_HOST: "127.0.0.1", DB_PORT: "1", S3_URL: "http://127.0.0.1:1" };
    const { stdout, status } = await scripts.run("list", [], { env });
    expect(status).toBe(0);
    expect(stdout).toContain(names[0] ?? "");
    expect(stdout).toContain("could not be listed: ");
    const unknown = await scripts.run("list", ["shop_2020-01-01_00-00-00.sql.gz"], { env });
    expect(unknown.status).toBe(4);
    expect(unknown.stderr).toMatch(/there is no backup shop_\S+\n *but not all could be listed: cannot list s3:/);
  });

  test("fails when no place can be listed, and tells programs why", async () => {
    const env = { BACKUP_DIR: "/proc/1/mem/backups", S3_URL: "http://127.0.0.1:1" };
    const plain = await scripts.run("list", [], { env });
    expect(plain.status).toBe(1);
    expect(plain.stdout).toBe("");
    expect(plain.stderr).toMatch(/no backups could be listed: [^]*s3:/);
    const json = await scripts.run("list", ["--json"], { env });
    expect(json.status).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({ troubles: [expect.any(String), expect.any(String)], backups: [] });
  });

  test("NAME: a table a line with its rows, versions, and the commands that restore it", async () => {
    const { stdout, status } = await scripts.run("list", [names[0] ?? ""]);
    expect(status).toBe(0);
    for (const words of [
      "public.t     1,203",
      "public.none  0",
      "PostgreSQL 15",
      `restore ${names[0]}`,
      "gunzip -c",
      "proved",
    ])
      expect(stdout).toContain(words);
    const missing = await scripts.run("list", ["shop_2020-01-01_00-00-00.sql.gz"]);
    expect(missing.status).toBe(4);
    expect(missing.stderr).toContain("there is no backup shop_2020-01-01_00-00-00.sql.gz");
  });

  test("S9: control characters of a manifest are shown as text, whatever field they stand in", async () => {
    const hostile = "\u001b[31mred\u202e\u0007\nline";
    const o = s3.objects(bucket);
    const key = `prod/shop/${names[0]}`;
    const honest = JSON.parse(o.get(`${key}.json`)!.body.toString()) as Record<string, unknown>;
    const texts = Object.entries(honest).flatMap(([field, value]) =>
      typeof value !== "string" || /database|engine|At$|sha256|compression/.test(field) ? [] : [[field, hostile]],
    );
    const identity = { system: "other", server: hostile, site: hostile, siteIsSet: false };
    const lists = { tables: { [hostile]: 1 }, suspicious: [hostile], encryptedTo: [hostile], identity };
    const manifest = JSON.stringify({ ...honest, ...Object.fromEntries(texts), ...lists });
    const name = "shop_2026-01-01_03-00-00.sql.gz";
    o.set(`prod/shop/${name}`, o.get(key)!);
    o.set(`prod/shop/${name}.json`, { ...o.get(key)!, body: Buffer.from(manifest) });
    const all = await scripts.run("list");
    const one = await scripts.run("list", [name]);
    for (const end of ["", ".json"]) o.delete(`prod/shop/${name}${end}`);
    for (const { stdout, status } of [all, one]) {
      expect([status, stdout.replaceAll("\n", "").match(/[\p{Cc}\p{Cf}]/u)]).toEqual([0, null]);
      expect(stdout).not.toMatch(/^line/m);
    }
    expect(one.stdout).toContain("(read that command before you run it:");
  });

  test("a backup that cannot be restored is not shown as good", async () => {
    const own = installScripts({ ...server.settings("shop"), BACKUP_DIR: scripts.backups });
    const [older = "", newer = ""] = names;
    const path = join(scripts.backups, older);
    const intact = readFileSync(path);
    truncateSync(path, 100);
    const { stdout } = await own.run("list");
    expect(stdout.replaceAll(/\s+/g, " ")).toContain(`${older} is damaged: it has 100 bytes, its manifest says`);
    expect(stdout).toContain("none proved yet");
    writeFileSync(path, intact);
    const signing = { env: { MANIFEST_KEY: "5f0c8a3d1b7e49c2a6d8f1e4b3a7c9d2" } };
    expect((await own.run("list", [], signing)).stdout.replaceAll(/\s+/g, " ")).toMatch(
      /restore refuses it: its manifest is not signed.*2 backups, none of them good/,
    );
    expect((await own.run("list", [newer], signing)).stdout).toContain(
      "no, so it is not restored by itself: its manifest is not signed",
    );
  });

  test("--json has the documented shape", async () => {
    const { stdout } = await scripts.run("list", ["--json", "--database", "shop"]);
    const { formatVersion, troubles, backups } = JSON.parse(stdout) as Record<string, unknown>;
    expect({ formatVersion, troubles }).toEqual({ formatVersion: 1, troubles: [] });
    expect(backups).toEqual([
      expect.objectContaining({ name: names[1], rows: 1203, provedAt: null, complete: true, database: "shop" }),
      expect.objectContaining({
        name: names[0],
        owner: "ours",
        provedAt: expect.any(String),
        copies: [
          expect.objectContaining({ kind: "local", location: join(scripts.backups, names[0] ?? ""), deleted: false }),
          {
            kind: "s3",
            location: `s3://${bucket}/prod/shop/${names[0]}`,
            deleted: false,
            rule: expect.stringMatching(/newest/),
          },
        ],
      }),
    ]);
  });

  test("NAME --json is the same for one backup; --html goes with neither", async () => {
    const { stdout } = await scripts.run("list", [names[0] ?? "", "--json"]);
    const { backups } = JSON.parse(stdout) as { backups: { name: string }[] };
    expect(backups.map(({ name }) => name)).toEqual([names[0] ?? ""]);
    for (const words of [["--json"], [names[0] ?? ""]]) {
      const { status, stderr } = await scripts.run("list", ["--html", join(scripts.dir, "page.html"), ...words]);
      expect([status, stderr]).toEqual([2, expect.stringContaining("--html: leave out --json and NAME")]);
    }
  });

  test("a page that cannot be written is said in words", async () => {
    const { status, stderr } = await scripts.run("list", ["--html", join(scripts.dir, "nowhere", "page.html")]);
    expect(status).toBe(1);
    expect(stderr).toMatch(/cannot write the report \S+: no such file or folder\n.*hint: check the path/);
    expect(stderr).not.toContain(" at ");
  });

  test("I4: nothing found is no failure; it says where in the bucket backups lie", async () => {
    const empty = installScripts({ ...server.settings("shop"), ...s3Settings(s3, bucket, "elsewhere") });
    const { stdout, status } = await empty.run("list");
    expect(status).toBe(0);
    expect(stdout).toContain("no backups");
    expect(stdout).toContain("prod/shop");
    const { DB_NAME: _, ...login } = server.settings("shop");
    empty.configure({ ...login, DB_NAMES: "*", ...s3Settings(s3, bucket, "elsewhere") });
    expect((await empty.run("list")).stdout).toContain("backup lies in prod/shop/: set S3_PATH=prod/shop");
    rmSync(empty.dir, { recursive: true });
  });
});
