/**
 * A large database, a slow disk and a slow S3: memory and open files are bounded, whatever its size, and the line of progress
 * goes on. FAULTS_LARGE=1 takes 5 GB (and 20 GB of disk, 8 GB of memory, 15 minutes) instead of 0.3 GB.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { type Installation, installScripts, type OnTerminal, startOnTerminal } from "../support/machine/executables.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { type S3Server, startS3Server } from "../support/servers/s3-server.ts";
import { canSlowDisk, mountSlowDisk, type SlowDisk } from "./slow-disk.ts";
import { s3Settings } from "../support/servers/storage.ts";
import { startTcpProxy, type TcpProxy } from "../support/servers/tcp-proxy.ts";
import { mostUsed, usageText } from "../support/machine/usage.ts";

const large = process.env.FAULTS_LARGE === "1";
const megabytes = large ? 5_000 : 300;
/** Gzipped, the SQL is half as long: a program that kept what is slow to go would be far beyond the ceiling. */
const ceiling = { megabytes: 256, open: 48, children: 6 };
const [diskRate, lineRate] = [25_000_000, 30_000_000];
/** For a run that hangs. */
const limitMs = large ? 1_800_000 : 180_000;

let server: PostgresServer;
let s3: S3Server;
let line: TcpProxy;
let disk: SlowDisk | undefined;
let scripts: Installation;

beforeAll(async () => {
  server = await startPostgres(15);
  // rows of 1 KB of hexadecimal noise, 50 MB of them, again and again
  await server.createDatabase(
    "app",
    `CREATE TEMP TABLE few AS
       SELECT i, (SELECT string_agg(md5((i * 100 + j)::text), '') AS noise FROM generate_series(1, 32) j)
       FROM generate_series(1, 50000) i;
     CREATE UNLOGGED TABLE large (round int, i int, noise text);
     ALTER TABLE large ALTER noise SET STORAGE EXTERNAL;
     DO $$ BEGIN FOR n IN 1..${megabytes / 50} LOOP INSERT INTO large SELECT n, * FROM few; END LOOP; END $$`,
  );
  await server.createDatabase("copy");
  s3 = startS3Server();
  line = await startTcpProxy(Number(new URL(s3.url).port));
  line.bytesPerSecond = lineRate;
  scripts = installScripts({
    ...server.settings("app"),
    ...s3Settings({ ...s3, url: line.url }, await s3.newBucket()),
  });
  disk = canSlowDisk ? await mountSlowDisk(join(scripts.dir, "disk"), scripts.backups, diskRate) : undefined;
}, limitMs);
afterAll(async () => {
  await disk?.remove();
  scripts.remove();
  await line.stop();
  await s3.stop();
  await server.stop();
});

/** Runs a script on a terminal to its good end, within the ceiling; what the terminal showed. */
async function run(script: string, args: string[], env: Record<string, string> = {}): Promise<OnTerminal> {
  const terminal = startOnTerminal([join(scripts.dir, script), ...args], env, limitMs);
  const most = await mostUsed(terminal.pid, terminal.exited);
  console.log(`load: ${script} of ${megabytes} MB of SQL: ${usageText(most)}`);
  expect(await terminal.exited, terminal.shown()).toBe(0);
  expect(most.peakMegabytes).toBeLessThan(ceiling.megabytes);
  expect(most.open).toBeLessThan(ceiling.open);
  expect(most.children).toBeLessThan(ceiling.children);
  return terminal;
}

const units: Record<string, number> = { B: 1, kiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };

/** The progress of `label` never went back, and many a step of it was seen. */
function expectProgress({ shown }: OnTerminal, label: string): void {
  const drawn = [...shown().matchAll(new RegExp(`${label} [█░]+ ~?\\d+ %  ([\\d.]+) (\\w+)`, "g"))];
  const bytes = drawn.map(([, number, unit = ""]) => Number(number) * (units[unit] ?? Number.NaN));
  expect(bytes, label).toEqual(bytes.toSorted((a, b) => a - b));
  expect(new Set(bytes).size, `steps of ${label}`).toBeGreaterThan(3);
}

test(
  `${megabytes} MB, ${canSlowDisk ? "a slow disk" : "no slow disk for want of root and FUSE"}, a slow S3`,
  async () => {
    const backup = await run("backup", ["--upload"]);
    expectProgress(backup, "backup");
    expect(scripts.list()).toHaveLength(1);

    const restore = await run("restore", ["--from-s3", "--yes", scripts.list()[0] ?? ""], { DB_NAME: "copy" });
    expectProgress(restore, "fetch");
    expectProgress(restore, "restore");
    const sum = "SELECT count(*), sum(hashtextextended(noise, round)) FROM large";
    expect(await server.sql("copy", sum)).toBe(await server.sql("app", sum));
  },
  2 * limitMs,
);
