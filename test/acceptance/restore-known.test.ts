/** A backup whose manifest says what the dump holds is not unpacked before it is loaded; of any other one nothing is believed. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { sealJson } from "../../scripts-src/archive/age.ts";
import { sealing } from "../support/expect/age.ts";
import { expectFailure, expectSuccess } from "../support/expect/expect.ts";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { gunzip, readManifest } from "../support/machine/files.ts";
import { tempDir } from "../support/machine/temp.ts";
import { startMysql } from "../support/servers/mysql.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { sha256 } from "../support/servers/storage.ts";

let server: PostgresServer;
let scripts: Installation;

beforeAll(async () => {
  server = await startPostgres(15);
  await server.sql("postgres", "CREATE ROLE reader");
  await server.createDatabase(
    "app",
    "CREATE TABLE note AS SELECT 'kept' AS text; GRANT SELECT ON note TO reader; CREATE EXTENSION hstore",
  );
  scripts = installScripts(server.settings("app"));
});
afterAll(() => server.stop());

async function backUp(settings: Record<string, string> = {}): Promise<string> {
  scripts.configure({ ...server.settings("app"), ...settings });
  const ran = await scripts.run("backup");
  expectSuccess(ran);
  return ran.stdout.trim();
}

const changeManifest = (path: string, change: Record<string, unknown>) =>
  writeFileSync(`${path}.json`, JSON.stringify({ ...readManifest(path), ...change }));

/** A copy of the backup and its manifest in a folder that is not BACKUP_DIR. */
function copyElsewhere(path: string): string {
  const copy = join(tempDir("elsewhere"), basename(path));
  for (const end of ["", ".json"]) copyFileSync(path + end, copy + end);
  return copy;
}

/** How many tables the backup holds, as the check before a load says; what is loaded is in the database then. */
async function tablesFound(args: string[]): Promise<string | undefined> {
  await server.sql("app", "UPDATE note SET text = 'spoilt'");
  const ran = await scripts.run("restore", [...args, "--drop-before"]);
  expectSuccess(ran);
  expect(await server.sql("app", "SELECT text FROM note")).toBe("kept");
  return / is complete and intact: (\d+) tables?, /.exec(ran.stderr)?.[1];
}

/** As if the dump had held a second table. */
const withSecond = (contents: unknown) => ({ ...Object(contents), tables: ["public.note", "public.second"] });

test("of a file in BACKUP_DIR its manifest is believed, of the same file elsewhere it is not", async () => {
  const path = await backUp();
  expect(readManifest(path).contents).toEqual({
    fileSha256: sha256(readFileSync(path)),
    serverVersion: expect.stringMatching(/^15\./),
    tables: ["public.note"],
    extensions: ["hstore"],
    roles: ["postgres", "reader"],
  });
  expect(await tablesFound([path])).toBe("1");
  changeManifest(path, { contents: withSecond(readManifest(path).contents) });
  expect(await tablesFound([path])).toBe("2");
  const elsewhere = copyElsewhere(path);
  expect(await tablesFound([elsewhere])).toBe("1");
  expect((await scripts.run("restore", [path, "--dry-run"])).stdout).toContain("the backup (1 table)");
  const proved = await scripts.run("verify", [path]);
  expectSuccess(proved);
  expect(proved.stderr).toContain(" is complete and intact: 1 table, ");
});

test("with MANIFEST_KEY, a signed file is believed wherever it lies", async () => {
  const keys = sealing();
  const path = await backUp(keys);
  expect(typeof readManifest(path).contents).toBe("string");
  expect(await tablesFound([path])).toBe("1");
  const elsewhere = copyElsewhere(path);
  expect(await tablesFound([elsewhere])).toBe("1");
  // not signed any more, and so only believed in BACKUP_DIR
  const held = { fileSha256: sha256(readFileSync(path)), tables: ["public.note", "public.second"] };
  const contents = await sealJson(held, [keys.AGE_RECIPIENTS]);
  changeManifest(path, { contents });
  changeManifest(elsewhere, { contents });
  expect(await tablesFound([path, "--unsigned"])).toBe("2");
  expect(await tablesFound([elsewhere, "--unsigned"])).toBe("1");
  changeManifest(path, { contents: "no sealed text" });
  expect(await tablesFound([path, "--unsigned"])).toBe("1");
});

describe("a manifest that describes another file, or was written by another version", () => {
  test.each<[string, (path: string) => Record<string, unknown>]>([
    ["another version", () => ({ programVersion: "0.1.9" })],
    ["another file", (path) => ({ contents: { ...Object(readManifest(path).contents), fileSha256: "0".repeat(64) } })],
    ["no contents", () => ({ contents: undefined })],
  ])("%s: the dump is read", async (_what, change) => {
    const path = await backUp();
    changeManifest(path, { contents: withSecond(readManifest(path).contents) });
    changeManifest(path, change(path));
    expect(await tablesFound([path])).toBe("1");
  });

  test("a file that was exchanged, with a manifest made to fit: what is in it is found before anything is created", async () => {
    const path = await backUp();
    const sql = (await gunzip(path)).replace("COPY public.note", "DROP DATABASE app;\n\nCOPY public.note");
    const file = Bun.gzipSync(Buffer.from(sql));
    writeFileSync(path, file);
    changeManifest(path, { bytes: file.length, sha256: sha256(file), uncompressedBytes: Buffer.byteLength(sql) });
    const ran = await scripts.run("restore", [path]);
    expectFailure(ran, /holds the statement DROP DATABASE app/);
    expect(ran.stderr).not.toContain("created the database");
  });
});

test.each([0.02, 0.5, 0.999])("one bit flipped at %d of the file: found before anything is created", async (where) => {
  const path = await backUp();
  const file = readFileSync(path);
  file[Math.floor(file.length * where)]! ^= 4;
  writeFileSync(path, file);
  const ran = await scripts.run("restore", [path]);
  expectFailure(ran, /is damaged/);
  expect(ran.stderr).not.toContain("created the database");
});

test("what is missing on the server is said in the same words, whether the manifest or the dump says what is needed", async () => {
  const path = await backUp();
  await server.sql("app", "REVOKE ALL ON note FROM reader");
  await server.sql("postgres", "DROP ROLE reader");
  const refused = async () => {
    const ran = await scripts.run("restore", [path]);
    expectFailure(ran, /role not on the server: reader; create them \(CREATE ROLE "reader" LOGIN;\)/);
    return ran.stderr.replaceAll(/^\S+Z /gm, "");
  };
  const byManifest = await refused();
  changeManifest(path, { contents: undefined });
  expect(byManifest).toBe(await refused());
  await server.sql("postgres", "CREATE ROLE reader");
});

test("MariaDB: before everything in the present database is removed, the dump is unpacked to its end", async () => {
  const mariadb = await startMysql("mariadb");
  try {
    await mariadb.createDatabase("app", "CREATE TABLE note (text varchar(9)); INSERT INTO note VALUES ('kept')");
    scripts.configure(mariadb.settings("app"));
    const ran = await scripts.run("backup");
    expectSuccess(ran);
    const path = ran.stdout.trim();
    changeManifest(path, { contents: { ...Object(readManifest(path).contents), tables: ["note", "second"] } });
    const found = async (args: string[]) => {
      const restored = await scripts.run("restore", [path, ...args]);
      expectSuccess(restored);
      expect(await mariadb.sql("app", "SELECT text FROM note")).toBe("kept");
      return / is complete and intact: (\d+) tables?, /.exec(restored.stderr)?.[1];
    };
    expect(await found([])).toBe("2");
    expect(await found(["--in-place"])).toBe("1");
  } finally {
    await mariadb.stop();
  }
});
