/**
 * Dumps that try to run commands, to read or write files, and to reach another database, by all that the lexers of clients and servers
 * could disagree about. What our reader lets through goes to the real clients and servers, past every error. FAULTS_DUMPS sets how
 * many for each pair of client and server (thousands: `FAULTS_DUMPS=3000`), FAULTS_SEED repeats.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { codeOf, Failure } from "../../scripts-src/base/errors.ts";
import { type Client, findClients } from "../../scripts-src/database/mysql/clients.ts";
import { type Connection, type Login, startClient } from "../../scripts-src/database/mysql/connection.ts";
import { loadable } from "../../scripts-src/database/mysql/filter.ts";
import { Scanner } from "../../scripts-src/database/mysql/statements.ts";
import { targetFromSettings } from "../../scripts-src/database/mysql/login.ts";
import { scriptLog } from "../../scripts-src/base/log.ts";
import { settingsFrom } from "../../scripts-src/settings/settings.ts";
import { families, type Family, type MysqlServer, startMysql } from "../support/servers/mysql.ts";
import { type Chance, chance } from "../support/machine/random.ts";
import { tempDir } from "../support/machine/temp.ts";

const dumps = Number(process.env.FAULTS_DUMPS ?? 50);
const home = tempDir("hostile");
/** Any of these shows that a dump has had its way. */
const marks = ["command", "system", "tee", "source"].map((name) => join(home, name));
const secret = join(home, "secret.txt");

let served: { family: Family; server: MysqlServer; outfile: string; infile: string }[] = [];
let clients: Client[] = [];
beforeAll(async () => {
  writeFileSync(secret, "local secret\n");
  chmodSync(home, 0o755);
  writeFileSync(join(home, "source.sql"), `system touch ${marks[3]};\nDROP DATABASE victim;\n`);
  served = await Promise.all(
    families.map(async (family) => {
      const server = await startMysql(family, { "local-infile": "ON", "event-scheduler": "OFF" });
      const files = dirname(server.data);
      chmodSync(files, 0o777);
      writeFileSync(join(files, "server.txt"), "server secret\n", { mode: 0o644 });
      await server.createDatabase("victim", "CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1)");
      await server.createDatabase(
        "app",
        "CREATE TABLE a (a text); CREATE TABLE b (a text); CREATE TABLE lf (a text); CREATE TABLE reached (a int)",
      );
      return { family, server, outfile: join(files, "outfile"), infile: join(files, "server.txt") };
    }),
  );
  const folders = new Set(served.map(({ server }) => server.clientDir));
  clients = (await Promise.all([...folders].map((folder) => findClients("client", folder)))).flat();
});
afterAll(() => Promise.all(served.map(({ server }) => server.stop())));

const commands = [
  `\\! touch ${marks[0]}\n`,
  `system touch ${marks[1]}\n`,
  `\\T ${marks[2]}\n`,
  `tee ${marks[2]}\n`,
  `\\. ${join(home, "source.sql")}\n`,
  `source ${join(home, "source.sql")}\n`,
] as const;
const statements = (outfile: string, infile: string) =>
  [
    "DROP DATABASE victim",
    "INSERT INTO victim.t VALUES (666)",
    "USE victim; DELETE FROM t",
    `LOAD DATA LOCAL INFILE '${secret}' INTO TABLE app.lf`,
    `LOAD DATA INFILE '${infile}' INTO TABLE app.lf`,
    `SELECT 1 INTO OUTFILE '${outfile}'`,
    "SET GLOBAL max_connect_errors = 4711",
  ] as const;

/** What lexers could disagree about. */
const odd: readonly [string, ...string[]] = [
  "'",
  ..."'\"`\\;#*/-\n\r\0\t ';\\'\"`".split(""),
  "''",
  "\\'",
  "\\\\",
  '\\"',
  "``",
  "/*",
  "*/",
  "/*!",
  "/*!50003 ",
  "/*!50799 ",
  "/*!999999 ",
  "/*M!100100 ",
  "/*M!999999 ",
  "/*M!999999\\- enable the sandbox mode */",
  "-- ",
  "--",
  "--\x01",
  "--\r",
  "# ",
  "\n-- ",
  "\ndelimiter ",
  "\nDELIMITER ;;\n",
  "\nDELIMITER //\n",
  "\nDELIMITER ;\n",
  ";;",
  "//",
  ";\n",
  "\\N",
  "\\C gbk ",
  "\xbf",
  "\xbf\\",
  "\xbf'",
  "\x81`",
  "ü",
  "x",
  "BEGIN",
  " END ",
  ")",
  "(",
  ",",
];

const sets = [
  "SET sql_mode='NO_BACKSLASH_ESCAPES'",
  "SET sql_mode='ANSI_QUOTES'",
  "/*!50003 SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES' */",
  "/*!80000 SET sql_mode = 'NO_BACKSLASH_ESCAPES' */",
  "/*!999999 SET sql_mode = 'NO_BACKSLASH_ESCAPES' */",
  "/*M!100100 SET sql_mode = 'ANSI_QUOTES' */",
  "SET /*!50003 sql_mode='ANSI_QUOTES' */ ",
  "SET @m=@@sql_mode",
  "SET sql_mode=@m",
  "SET sql_mode=''",
  "SET NAMES gbk",
  "SET NAMES latin1",
  "SET NAMES utf8mb4",
  "SET character_set_client = sjis",
  "SET character_set_client = big5",
] as const;

/** Statements of dumps with a place for something odd in them. Nothing is ever put into b: its triggers would run. */
const frames: readonly [(slot: string) => string, ...((slot: string) => string)[]] = [
  (slot) => `INSERT INTO \`a\` VALUES ('${slot}')`,
  (slot) => `INSERT INTO \`a\` VALUES ('x'),('${slot}'),\n(${slot})`,
  (slot) => `INSERT INTO a VALUES ${slot}('x')`,
  (slot) => `CREATE TABLE x (a int COMMENT '${slot}')`,
  (slot) => `CREATE TABLE \`${slot}\` (a int)`,
  (slot) => `CREATE TABLE x (a int) /* ${slot} */`,
  (slot) => `CREATE TABLE x (a int) /*!50100 ${slot} */`,
  (slot) => `/*!50001 CREATE VIEW v AS SELECT '${slot}' */`,
  (slot) => `CREATE OR REPLACE VIEW v AS SELECT "${slot}"`,
  (slot) => `CREATE OR REPLACE VIEW v AS SELECT 1 -- ${slot}\n`,
  (slot) => `CREATE OR REPLACE VIEW v AS SELECT 1 # ${slot}\n`,
  (slot) => `CREATE OR REPLACE VIEW v AS SELECT \`${slot}\` FROM a`,
  (slot) => `CREATE OR REPLACE VIEW v AS SELECT 1 ${slot}`,
  (slot) => `CREATE TRIGGER tr BEFORE INSERT ON b FOR EACH ROW SET @a = '${slot}'`,
  (slot) => `CREATE TRIGGER tr BEFORE INSERT ON b FOR EACH ROW BEGIN SET @a = 1; ${slot} END`,
  (slot) => `CREATE TRIGGER tr BEFORE INSERT ON b FOR EACH ROW SET @a = 1; ${slot}`,
  (slot) => `CREATE PROCEDURE p() BEGIN SELECT 1; END ${slot}`,
  (slot) => `CREATE PROCEDURE p() ${slot}`,
  (slot) => `DROP TABLE IF EXISTS x ${slot}`,
  (slot) => `SET @a = @@sql_mode ${slot}`,
  (slot) => `/* ${slot} */`,
  (slot) => `-- ${slot}\n`,
  (slot) => slot,
  // for whom is the rest a comment, a string, or a statement of its own?
  ...["/*!999999 ", "/*!80000 ", "/*!50799 ", "/*!50003 ", "/*!", "/*M!100100 ", "/*M!", "/*+ ", "/* ", ""].flatMap(
    (opened) =>
      ["'", '"', "`", "-- ", "--\xa0", "--", "# ", ""].map(
        (quote) => (slot: string) =>
          `CREATE OR REPLACE VIEW v AS SELECT 1 ${opened}${quote} */ ; ${slot} ; -- ${quote}\n*/`,
      ),
  ),
  ...[
    "SELECT 1",
    "DO IF(1, 2, 3)",
    "SELECT begin FROM a",
    "BEGIN END",
    "BEGIN DECLARE x int DEFAULT begin; END",
  ].flatMap((body) => [
    (slot: string) => `CREATE OR REPLACE PROCEDURE p() ${body}; ${slot}`,
    (slot: string) => `CREATE PROCEDURE begin(begin int) ${body}; ${slot}`,
  ]),
  (slot) => `/*!50001 CREATE OR REPLACE VIEW w AS SELECT * FROM victim.t */;\nINSERT INTO w VALUES (${slot}666)`,
  (slot) => `CREATE TABLE m (a int PRIMARY KEY) ENGINE=MERGE UNION=(victim.t)${slot};\nINSERT INTO m VALUES (666)`,
];

function hostileDump(luck: Chance, payloads: readonly [string, ...string[]]): string {
  const some = (most: number) => Array.from({ length: luck.below(most) }, () => luck.pick(odd)).join("");
  const slot = () => {
    const parts = [some(4), luck.pick([...payloads, ""]), some(3)];
    // statements over 2 MiB
    if (luck.below(60) === 0) parts.splice(luck.below(3), 0, luck.pick(["x", "\\'", "''", "-- ;\n"]).repeat(1 << 20));
    return parts.join("");
  };
  let delimiter = ";";
  const lines = Array.from({ length: 1 + luck.below(5) }, () => {
    if (luck.below(4) === 0) return `${luck.pick(sets)}${delimiter}\n`;
    if (luck.below(5) === 0) {
      delimiter = luck.pick([";", ";;", "//", "$$"]);
      return `DELIMITER ${delimiter}\n`;
    }
    return `${luck.pick(frames)(slot())}${delimiter}${luck.pick(["\n", "", "\r\n"])}`;
  });
  return `${lines.join("")}\n`;
}

/** What would reach the client; undefined: refused. */
function letThrough(text: Buffer): Buffer | undefined {
  const scanner = new Scanner();
  const rules = { database: "app", dumped: "app", noOwner: false, forgetModes: false, asleep: false };
  const parts: Uint8Array[] = [];
  try {
    scanner.add(text);
    for (const piece of scanner.pieces(true)) parts.push(loadable(piece, rules) ?? Buffer.alloc(0));
  } catch (error) {
    if (error instanceof Failure) return undefined;
    throw error;
  }
  return Buffer.concat(parts);
}

async function feed(connection: Connection, sql: Uint8Array): Promise<void> {
  const words = ["--batch", "--force", "--comments", "--default-character-set=utf8mb4", "--max-allowed-packet=1G"];
  const program = startClient(connection, connection.client, [...words, "--database=app"]);
  const output = program.stdout.pipeTo(new WritableStream());
  try {
    await program.stdin.write("SET SESSION lock_wait_timeout = 15, sql_mode = 'NO_AUTO_VALUE_ON_ZERO';\n");
    await program.stdin.write(sql);
    await program.stdin.end();
  } catch (error) {
    if (codeOf(error) !== "EPIPE") throw error; // it gave up before the end
  }
  await Promise.all([output, program.exited]);
}

describe("S1, S4, S5, S12a: hostile dumps", () => {
  test("none runs a command, touches a file, or reaches another database, with any client and server", async () => {
    const luck = chance("hostile dumps");
    const counts = { refused: 0, loaded: 0 };
    for (const { server, outfile, infile, family } of served) {
      const settings = settingsFrom(server.settings("app"));
      const login = {
        target: targetFromSettings(settings),
        folder: undefined,
        log: scriptLog(),
        signal: new AbortController().signal,
      } satisfies Login;
      const harm = async () => {
        const global = await server.sql("mysql", "SELECT @@global.max_connect_errors = 4711");
        const victim = await server.sql("mysql", "SELECT group_concat(a) FROM victim.t").catch(String);
        const read = await server.sql("app", "SELECT count(*) FROM lf");
        return [...marks, outfile]
          .filter((file) => existsSync(file))
          .concat(
            victim === "1" ? [] : [`victim: ${victim}`],
            read === "0" ? [] : ["a file was read"],
            global === "0" ? [] : ["a global variable was set"],
          );
      };
      for (const client of clients) {
        let batch: string[] = [];
        const check = async () => {
          expect({ family, client: client.path, seed: luck.seed, harm: await harm(), batch: "" }).toEqual({
            family,
            client: client.path,
            seed: luck.seed,
            harm: [],
            batch: (await harm()).length > 0 ? batch.map((text) => text.slice(0, 2000)).join("\n=====\n") : "",
          });
          batch = [];
        };
        for (let at = 0; at < dumps; at++) {
          const onlyCommands = at % 3 === 0;
          const text = hostileDump(luck, onlyCommands ? commands : [...commands, ...statements(outfile, infile)]);
          const bytes = Buffer.from(text, "latin1");
          const sent = letThrough(bytes);
          counts[sent ? "loaded" : "refused"]++;
          // the client alone must withstand commands, also where our reader would not have let them through
          const fed = sent ?? (onlyCommands && !text.includes("victim") ? bytes : undefined);
          if (!fed || fed.length === 0) continue;
          batch.push(fed.toString("latin1"));
          await feed({ ...login, client }, fed);
          if (batch.length >= 25) await check();
        }
        await check();
      }
    }
    console.log(`hostile dumps: ${counts.loaded} let through, ${counts.refused} refused`);
    expect(Math.min(counts.loaded, counts.refused)).toBeGreaterThan(0);
  }, 3_600_000);
});
