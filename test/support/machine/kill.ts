/** kill -9 at random moments, again and again, and what must hold after each. */
import { expect } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { writeBackup } from "../expect/backups.ts";
import { backupName, type Installation, oldestFirst, type Ran, type Running } from "./executables.ts";
import { type Folder, folderState } from "../expect/expect.ts";
import { type Chance, chance } from "./random.ts";
import type { Operation, S3Server } from "../servers/s3-server.ts";
import type { DatabaseServer } from "../servers/server.ts";
import { sha256 } from "../servers/storage.ts";
import { until } from "./until.ts";
import { childrenOf } from "./usage.ts";

const seconds = Number(process.env.FAULTS_SECONDS ?? 20);
/** A test's own limit, only for a run that hangs: a single run is ended after two minutes. */
export const limit = seconds * 1000 + 600_000;

/** Where a script runs, and the S3 server that it asks. */
export interface Place {
  scripts: Installation;
  s3: S3Server;
}

export interface Killer extends Chance {
  /**
   * Runs `script` and kills it: after a random time (`usualMs` is what it mostly takes), or when it asks the S3 server for
   * one of `asks`. True when it died of it.
   */
  killSomewhere(
    place: Place,
    script: string,
    args: string[],
    usualMs: number,
    asks: readonly Operation[],
  ): Promise<boolean>;
  /** Kills a run after a random time; `usualMs` is what it mostly takes. True when it died of it. */
  killInTime(running: Running, usualMs: number): Promise<boolean>;
}

/** Kills by chance; the seed is printed. */
export function killer(what: string): Killer {
  const random = chance(what);
  const { below, next, pick } = random;

  async function killSomewhere(
    { scripts, s3 }: Place,
    script: string,
    args: string[],
    usualMs: number,
    asks: readonly Operation[],
  ) {
    let running: Running | undefined;
    const kill = () => running?.kill("SIGKILL");
    s3.faults.length = 0;
    const [first, ...others] = asks;
    let timer: ReturnType<typeof setTimeout> | undefined;
    if (first && next() < 0.5) {
      // dead before the answer comes, or dead before the request is obeyed
      const moment = next() < 0.5 ? { mangle: (body: string) => (kill(), body) } : { delay: 5 };
      s3.faults.push({ operation: pick([first, ...others]), times: 1, ...moment });
      if ("delay" in moment) onRequest(s3, kill);
    } else if (next() < 0.3) timer = whenPartial(scripts, kill);
    else timer = setTimeout(kill, below(usualMs * 1.1));
    running = scripts.start(script, args);
    const { status, stderr } = await running.done;
    clearTimeout(timer);
    onRequest(s3, undefined);
    s3.faults.length = 0;
    // a request that outlives the one who sent it makes an upload that is younger than what the test does next
    await until("the server has done what it was asked", () => s3.asked.every((request) => request.status !== 0));
    if (status !== 137) expect(status, stderr).toBe(0);
    return status === 137;
  }

  /** Calls `act` once, at one of the next requests to the server. */
  function onRequest(s3: S3Server, act: (() => void) | undefined): void {
    let left = below(8);
    s3.asked.push = act
      ? (...items) => {
          if (left-- === 0) act();
          return Array.prototype.push.apply(s3.asked, items);
        }
      : Array.prototype.push;
  }

  async function killInTime(running: Running, usualMs: number) {
    const timer = setTimeout(() => running.kill("SIGKILL"), below(usualMs * 1.1));
    const { status, stderr } = await running.done;
    clearTimeout(timer);
    if (status !== 137) expect(status, stderr).toBe(0);
    return status === 137;
  }

  return { ...random, killSomewhere, killInTime };
}

/** Calls `act` as soon as a file is about to be finished: its manifest is there, in part. */
function whenPartial({ backups }: Installation, act: () => void): ReturnType<typeof setInterval> {
  const before = new Set(namesIn(backups));
  const timer = setInterval(() => {
    if (!namesIn(backups).some((name) => !before.has(name) && name.includes(".json"))) return;
    clearInterval(timer);
    act();
  }, 1);
  return timer;
}

/** What can die of a restore: itself, one of its client programs, or the server. */
const victims = ["restore", "client", "server"] as const;

/** The server of a restore, and a word in the command lines of the client programs that load. */
interface Loading {
  server: Pick<DatabaseServer, "crash" | "restart">;
  client: string;
}

/** Kills one of them after `moment`, each in its `turn`; the server is then started again. The run may succeed all the same, or fail. */
export async function killOneOf(
  { server, client }: Loading,
  running: Running,
  turn: number,
  moment: Promise<unknown>,
): Promise<Ran> {
  const victim = victims[turn % victims.length];
  await moment;
  const [pid] = victim === "client" ? clientsOf(running, client) : [];
  if (victim === "server") await server.crash();
  // the shell's own kill is silent when the process has ended
  else if (pid !== undefined) Bun.spawnSync(["kill", "-9", String(pid)]);
  else running.kill("SIGKILL");
  const ran = await running.done;
  if (victim === "server") await server.restart();
  if (ran.status !== 0) expect(ran.status, ran.stderr).toBe(ran.stderr.includes(" ERROR ") ? 1 : 137);
  return ran;
}

/** Client programs of a run whose command line holds that word. */
export function clientsOf({ pid }: Running, word: string): number[] {
  try {
    return childrenOf(pid).filter((child) => readFileSync(`/proc/${child}/cmdline`, "utf8").includes(word));
  } catch {
    return []; // one of them has ended
  }
}

/**
 * Kills again and again for a share of FAULTS_SECONDS (default 20, for all loops together), at least three times or `atLeast`; `check`
 * looks at what is there after each.
 */
export async function loop(
  what: string,
  share: number,
  once: () => Promise<boolean>,
  check: () => void | Promise<void>,
  atLeast = 3,
): Promise<void> {
  const end = Date.now() + seconds * 1000 * share;
  let [runs, killed] = [0, 0];
  while (killed < atLeast || Date.now() < end) {
    runs++;
    if (await once()) killed++;
    await check();
    if (runs > 500 + seconds * 20) throw new Error(`${what}: no run could be killed`);
  }
  console.log(`${what}: killed ${killed} of ${runs} runs`);
}

/** How long that takes, in ms. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = Date.now();
  await work();
  return Date.now() - started;
}

export const namesIn = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder) : []);

/** Partial files and copies. */
export const hiddenIn = (folder: string): string[] => namesIn(folder).filter((name) => name.endsWith(".partial"));

/** Backups of three years ago, of app and of app-staging, that no run may touch. */
export function placeOld({ backups }: Installation): Folder {
  mkdirSync(backups, { recursive: true, mode: 0o700 });
  writeBackup(backups, "app", "2023-02-28");
  writeBackup(backups, "app-staging", "2023-02-28");
  return folderState(backups);
}

/** Every file that looks like a backup is what its manifest says; the earlier ones are as they were. */
export function expectGoodFiles(folder: string, earlier: Folder): void {
  for (const name of namesIn(folder).filter((one) => backupName.test(one) && !(one in earlier)))
    expectManifest(readFileSync(join(folder, name)), readFileSync(join(folder, `${name}.json`)), name);
  expect(folderState(folder)).toMatchObject(earlier);
}

export function expectManifest(file: Buffer, manifest: Buffer, name: string): void {
  const { bytes, sha256: sum } = JSON.parse(manifest.toString()) as { bytes: number; sha256: string };
  expect({ name, bytes: file.length, sha256: sha256(file) }).toEqual({ name, bytes, sha256: sum });
}

/**
 * What was there before is untouched. Every new object with a manifest is what that says; one whose manifest never came is
 * complete all the same: the end of it (of what `open` makes of it) holds `lastWords`.
 */
export function expectGoodObjects(
  objects: ReadonlyMap<string, { body: Buffer }>,
  before: ReadonlyMap<string, unknown>,
  lastWords: string,
  open: (body: Buffer) => Buffer = (body) => body,
): void {
  for (const [key, object] of before) expect(objects.get(key) === object, `${key} is untouched`).toBe(true);
  for (const [key, { body }] of objects) {
    if (before.has(key)) continue;
    expect(objects.has(key.replace(/\.json$/, "")), `${key} has its backup`).toBe(true);
    if (!backupName.test(key)) continue;
    const manifest = objects.get(`${key}.json`);
    if (manifest) expectManifest(body, manifest.body, key);
    else expect(open(body).subarray(-300).includes(lastWords), `${key} is a whole dump`).toBe(true);
  }
}

/** Backups that the loop has made, so that the disk does not fill. */
export function removeNew(folder: string, earlier: Folder): void {
  for (const name of namesIn(folder))
    if (backupName.test(name.replace(/\.json$/, "")) && !(name in earlier)) rmSync(join(folder, name));
}

/** The newest object that is a backup of app: its manifest commits it. */
export function newestObject(objects: ReadonlyMap<string, unknown>): string {
  const isBackup = (key: string) => backupName.test(key) && key.startsWith("app_2") && objects.has(`${key}.json`);
  return oldestFirst([...objects.keys()].filter(isBackup)).at(-1) ?? "";
}
