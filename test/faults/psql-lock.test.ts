/**
 * S1, S2, S3, S11: what a dump cannot do on the machine that restores it, nor to our transaction. Hostile dumps are made by chance:
 * HOSTILE_DUMPS says how many, FAULTS_SEED which.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Logger } from "../../scripts-src/base/log.ts";
import { Failure } from "../../scripts-src/base/errors.ts";
import { findClients } from "../../scripts-src/database/postgres/clients.ts";
import { type Connection, connectionFrom } from "../../scripts-src/database/postgres/connection.ts";
import { transactionNumber } from "../../scripts-src/database/postgres/in-place.ts";
import { dumpReader } from "../../scripts-src/database/postgres/reader.ts";
import { Session, startPsql } from "../../scripts-src/database/postgres/session.ts";
import { Scanner } from "../../scripts-src/database/postgres/statements.ts";
import type { Settings } from "../../scripts-src/settings/settings.ts";
import { clientDir, clientsWith } from "../support/servers/clients.ts";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { expectFailure, expectSuccess } from "../support/expect/expect.ts";
import { chooseHostile, chooseOdd, dumpOf, fixedHostile } from "../support/expect/hostile-dumps.ts";
import { type Major, type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { chance } from "../support/machine/random.ts";
import { tempDir } from "../support/machine/temp.ts";

const many = Number(process.env.HOSTILE_DUMPS ?? 45);
const quiet = { info() {}, warn() {}, error() {}, debug() {} } as unknown as Logger;

async function connectTo(server: PostgresServer, folder: string): Promise<Connection> {
  const settings = { DATABASE_URL: server.url("app") } as Settings;
  const [psql] = await findClients("psql", folder);
  if (!psql) throw new Error(`no psql in ${folder}`);
  return { ...connectionFrom(settings, { log: quiet, signal: new AbortController().signal }), psql };
}

/** What psql says of a dump that reaches it as it is. */
async function feed(connection: Connection, text: string): Promise<string> {
  const program = startPsql(connection);
  const output = new Response(program.stdout).text();
  await Promise.resolve(program.stdin.write(Buffer.from(text, "latin1"))).catch(() => {});
  await Promise.resolve(program.stdin.end()).catch(() => {});
  await Promise.all([program.exited, output]);
  return program.stderr;
}

const bare = (text: string) => text.replaceAll(/\s+/g, "");

/** The statements of a text without their white space; undefined when it breaks off or is refused. */
function statementsIn(text: string): string[] | undefined {
  const scanner = new Scanner();
  try {
    scanner.add(Buffer.from(text));
    const pieces = [...scanner.pieces(true)];
    if (pieces.some(({ kind }) => kind === "command")) return undefined;
    return pieces.map((piece) => bare(piece.bytes.toString())).filter((one) => one !== "");
  } catch {
    return undefined;
  }
}

/** What psql sends to the server for each of these texts. */
async function cutByPsql(connection: Connection, texts: readonly string[]): Promise<string[][]> {
  const log = join(tempDir("psql"), "log");
  const program = startPsql(connection, ["--set=ON_ERROR_STOP=0", `--log-file=${log}`]);
  const output = new Response(program.stdout).text();
  await program.stdin.write(texts.map((text) => `${text}\nSELECT 'next text';\n`).join(""));
  await program.stdin.end();
  await Promise.all([program.exited, output]);
  const found: string[][] = [[]];
  for (const [, query = ""] of readFileSync(log, "utf8").matchAll(/^.*\* QUERY \*.*\n([^]*?)\n[/*]{20,}\n/gm)) {
    if (query === "SELECT 'next text';") found.push([]);
    else found.at(-1)?.push(bare(query));
  }
  return found;
}

/** Whether our reader takes a dump for one of pg_dump. */
function accepts(text: string): boolean {
  const reader = dumpReader();
  try {
    reader.add(Buffer.from(text, "latin1"));
    reader.end();
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(Failure);
    return false;
  }
}

describe.each<[Major, number]>([
  [13, 15],
  [15, 17],
  [18, 18],
])("PostgreSQL %d, psql %d", (major, client) => {
  let server: PostgresServer;
  let connection: Connection;
  const dir = tempDir("hostile");
  const file = join(dir, "evil");
  beforeAll(async () => {
    server = await startPostgres(major);
    await server.createDatabase("app", "CREATE TABLE t (a text)");
    connection = await connectTo(server, clientDir(client));
  });
  afterAll(() => server.stop());

  test("S1: every shape that was found to hide a command from a scanner", async () => {
    for (const text of fixedHostile(file).map(dumpOf)) {
      expect(accepts(text), text.slice(0, 300)).toBe(false);
      await feed(connection, text);
      expect(readdirSync(dir), text.slice(0, 300)).toEqual([]);
    }
  });

  test("R1: our reader cuts odd SQL into the statements that psql cuts it into", async () => {
    const by = chance(`odd SQL for psql ${client}`);
    const texts = Array.from({ length: many * 20 }, () => chooseOdd(by)).filter(
      (text) => statementsIn(text) !== undefined,
    );
    expect(texts.length).toBeGreaterThan(many);
    const said = await cutByPsql(connection, texts);
    for (const [n, text] of texts.entries()) expect(said[n], JSON.stringify(text)).toEqual(statementsIn(text));
  });

  test(`S1: ${many} dumps of chance create no file, and what our reader accepts holds no command for psql`, async () => {
    const by = chance(`hostile dumps for PostgreSQL ${major}`);
    for (let n = 0; n < many; n++) {
      const text = dumpOf(chooseHostile(by, file));
      const said = await feed(connection, text);
      expect(readdirSync(dir), JSON.stringify(text)).toEqual([]);
      if (accepts(text)) expect(said, JSON.stringify(text)).not.toMatch(/restrict/);
    }
  });
});

describe("a session and a restore", () => {
  let server: PostgresServer;
  let connection: Connection;
  let scripts: Installation;
  const dir = tempDir("hostile");
  const evil = join(dir, "evil");
  beforeAll(async () => {
    server = await startPostgres(15);
    await server.createDatabase("app", "CREATE TABLE t AS SELECT 1 AS a; CREATE TABLE u (b int)");
    connection = await connectTo(server, server.clientDir);
    scripts = installScripts(server.settings("app"));
  });
  afterAll(async () => {
    scripts.remove();
    await server.stop();
  });

  test("S11: psql that waits for the end of something is not waited for; a long statement is", async () => {
    const left = ["/* open", "SELECT 'open", "CREATE FUNCTION begin() AS 'x';\n"].map(async (text) => {
      const session = new Session(connection, () => "the restore failed");
      session.write(text);
      const error: unknown = await session.settled().catch((cause: unknown) => cause);
      await session.stop();
      return String(error);
    });
    const session = new Session(connection, () => "the restore failed");
    session.write("SELECT pg_sleep(8);");
    expect(await session.settled("1 + 1")).toBe("2");
    await session.end();
    for (const error of await Promise.all(left))
      expect(error).toContain("the restore failed: psql waits for the end of a comment or quotation");
  });

  test("S3: a transaction that is ended and begun again is another one", async () => {
    const session = new Session(connection, () => "");
    session.write("BEGIN;\n");
    const ours = await session.settled(transactionNumber);
    expect(await session.settled(transactionNumber)).toBe(ours);
    session.write("COMMIT; BEGIN;\n");
    expect(await session.settled(transactionNumber)).not.toBe(ours);
    await session.stop();
  });

  /** A dump whose comment becomes `what` between us and psql: what no reader of ours can see. */
  async function restoreWith(what: string): Promise<string> {
    const file = join(dir, "dump.sql");
    writeFileSync(file, dumpOf("DROP TABLE public.t;\n-- here\nCREATE TABLE public.t (b integer);\n"));
    const script = `case "$*" in *QUIET=off*) ;; *) exec "$REAL" "$@";; esac; sed -u 's@^-- here@${what}@' | { "$REAL" "$@" || kill 0; }`;
    const DB_CLIENT_DIR = clientsWith(server.clientDir, { psql: script });
    const ran = await scripts.run("restore", [file, "--yes", "--in-place", "--replace"], { env: { DB_CLIENT_DIR } });
    expectFailure(ran, /restore into .* (failed|broke off)/);
    return ran.stderr;
  }

  test("S3: a COMMIT that nobody has seen: the restore fails, and does not say that nothing was changed", async () => {
    const said = await restoreWith("COMMIT; BEGIN;");
    expect(said).toContain("the dump has ended its transaction");
    expect(said).not.toContain("changed nothing");
    expect(await server.sql("app", "SELECT to_regclass('public.t') IS NULL")).toBe("t");
    await server.sql("app", "CREATE TABLE t AS SELECT 1 AS a");
  });

  test("S3: and when a statement behind it fails, the server is asked", async () => {
    expect(await restoreWith("COMMIT; SELECT 1/0;")).toContain("broke off after the changes were made");
    await server.sql("app", "CREATE TABLE t AS SELECT 1 AS a");
    expect(await restoreWith("SELECT 1/0;")).toContain("failed and changed nothing");
    expect(await server.sql("app", "SELECT a FROM t")).toBe("1");
  });

  test.each([[[]], [["--in-place"]]])(
    "S2: a file that is changed between check and load: restore %p",
    async (words) => {
      const file = join(dir, "changing.sql");
      writeFileSync(file, dumpOf("DROP TABLE public.t;\nCREATE TABLE public.t (a integer);\n"));
      const other = join(dir, "other.sql");
      writeFileSync(other, dumpOf(`DROP TABLE public.t;\n\\! touch ${evil}\n`));
      const DB_CLIENT_DIR = clientsWith(server.clientDir, {
        psql: `case "$*" in *QUIET=off*) ;; *) cat '${other}' > '${file}';; esac; exec "$REAL" "$@"`,
      });
      const ran = await scripts.run("restore", [file, "--yes", "--replace", ...words], { env: { DB_CLIENT_DIR } });
      expectFailure(ran, /psql command|it changed meanwhile/);
      expect(existsSync(evil)).toBe(false);
      expect(await server.sql("app", "SELECT a FROM t")).toBe("1");
      expect(
        await server.sql("postgres", "SELECT string_agg(datname, ' ') FROM pg_database WHERE datname LIKE 'app%'"),
      ).toBe("app");
    },
  );

  test("S1: a psql that cannot be locked loads only what lies in BACKUP_DIR", async () => {
    const old = `# an older one\nif [ "$1" = --version ]; then echo 'psql (PostgreSQL) 15.13'; exit; fi\nexec "$REAL" "$@"`;
    const DB_CLIENT_DIR = clientsWith(server.clientDir, { psql: old });
    const env = { DB_CLIENT_DIR };
    const file = join(dir, "elsewhere.sql");
    writeFileSync(file, dumpOf("CREATE TABLE public.v (a integer);\n"));
    const refused = await scripts.run("restore", [file, "--yes"], { env });
    expectFailure(refused, /psql 15\.13 cannot be kept from running commands/, 3);
    expect(refused.stderr).toMatch(/hint: update PostgreSQL's client programs/);
    expectSuccess(await scripts.run("backup", [], { env }));
    expectSuccess(await scripts.run("restore", ["--yes"], { env }));
  });
});
