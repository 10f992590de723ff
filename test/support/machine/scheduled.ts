/** The scheduler with real servers around it, for the container's requirements. */
import { randomBytes } from "node:crypto";
import { basename } from "node:path";
import { afterAll, beforeAll, expect } from "bun:test";
import { formatManifest } from "../../../scripts-src/archive/manifest.ts";
import { parseBackupName } from "../../../scripts-src/archive/name.ts";
import { manifestFacts } from "../expect/backups.ts";
import { installScripts, type Running } from "./executables.ts";
import { type PostgresServer, startPostgres } from "../servers/postgres.ts";
import { type S3Server, startS3Server, storeObject } from "../servers/s3-server.ts";
import { s3Settings, sha256 } from "../servers/storage.ts";
import { until } from "./until.ts";

/** One line of a log with LOG_FORMAT=json. */
export type Line = Record<string, unknown> & { time: string; level: string; script: string; message: string };

/** A PostgreSQL server with the small database `shop`, and an S3 server. */
export interface World {
  postgres: PostgresServer;
  s3: S3Server;
  stop(): Promise<void>;
}

export async function openWorld(): Promise<World> {
  const postgres = await startPostgres(15);
  const s3 = startS3Server();
  await postgres.createDatabase("shop", "CREATE TABLE item AS SELECT n, md5(n::text) FROM generate_series(1, 1000) n");
  return {
    postgres,
    s3,
    async stop() {
      await postgres.stop();
      await s3.stop();
    },
  };
}

/** The world of a test file: it is there while the file's tests run. */
export function useWorld(): World {
  const world = {} as World;
  beforeAll(async () => void Object.assign(world, await openWorld()));
  afterAll(() => world.stop());
  return world;
}

/** Adds the database `large`: 33 MB that compress to more than one part of an upload. */
export const addLarge = ({ postgres }: World): Promise<void> =>
  postgres.createDatabase("large", "CREATE TABLE noise AS SELECT md5(n::text) FROM generate_series(1, 1000000) n");

/** A bucket of its own, and settings as the image has them. */
export async function schedulerSettings({ postgres, s3 }: World, database = "shop") {
  const bucket = await s3.newBucket();
  const settings = {
    DATABASE_URL: postgres.url(database),
    ...s3Settings(s3, bucket, "nightly/shop"),
    BACKUP_INTERVAL: "*/2 * * * * *",
    BACKUP_KEEP_LOCAL: "false",
    LOG_FORMAT: "json",
  };
  return { bucket, settings };
}

/** A scheduler that runs, and what it says. */
export interface Scheduler extends Running {
  lines(): Line[];
  /** Waits until a line of the log matches. */
  says(text: RegExp): Promise<Line>;
}

/** Starts the scheduler with these settings in the environment. */
export function startScheduler(settings: Record<string, string>, scripts = installScripts()): Scheduler {
  const running = scripts.start("schedule", [], { env: settings });
  const lines = () => parseLines(running.stderr());
  return { ...running, lines, says: (text) => says(text, lines, running.stderr) };
}

/** Lines of JSON; one that is not yet complete is left out. */
export const parseLines = (text: string): Line[] =>
  text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Line);

/** Waits until a line matches; shows the whole log when none does. */
export async function says(text: RegExp, lines: () => Line[], all: () => string): Promise<Line> {
  let line: Line | undefined;
  await until(`the log says ${text}`, () => (line = lines().find(({ message }) => text.test(message)))).catch(
    (error: unknown) => {
      throw new Error(`${String(error)}\n${all()}`);
    },
  );
  return line!;
}

/** Names of the objects below the path, manifests left out, oldest first. */
export const backupsIn = (s3: S3Server, bucket: string): string[] =>
  [...s3.objects(bucket).keys()].filter((key) => !key.endsWith(".json")).toSorted();

/** Only backups whose manifest is there too. */
export const committedIn = (s3: S3Server, bucket: string): string[] =>
  backupsIn(s3, bucket).filter((key) => s3.objects(bucket).has(`${key}.json`));

const day = 86_400_000;

/** The name of a backup of so many days ago. */
export function nameOfAge(days: number, database = "shop"): string {
  const stamp = new Date(Date.now() - days * day).toISOString().slice(0, 19).replace("T", "_").replaceAll(":", "-");
  return `${database}_${stamp}.sql.gz`;
}

/** Puts an object into a bucket, with a manifest unless `bare`; its own time is now, whatever its name says. */
export function place({ s3 }: World, bucket: string, key: string, { bare = false } = {}): void {
  const body = randomBytes(32);
  storeObject(s3.objects(bucket), key, body);
  if (bare) return;
  const { database = "shop", time = new Date() } = parseBackupName(basename(key)) ?? {};
  const facts = { database, startedAt: time.toISOString(), bytes: body.length, sha256: sha256(body) };
  storeObject(s3.objects(bucket), `${key}.json`, Buffer.from(formatManifest({ ...manifestFacts, ...facts })));
}

/** Nothing of a run that was stopped is left: no object, no unfinished upload, no session in the database. */
export async function expectNothingLeft({ s3, postgres }: World, bucket: string): Promise<void> {
  expect(backupsIn(s3, bucket)).toEqual([]);
  expect(s3.uploads(bucket)).toEqual([]);
  const sessions = `SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pg_dump%'`;
  await until("pg_dump is gone", async () => (await postgres.sql("postgres", sessions)) === "0");
}
