/**
 * kill -9 of a backup at random moments, on both engines: what looks like a backup is one, the earlier ones are as they were, and the
 * next run succeeds and sweeps what was left. FAULTS_SECONDS sets how long, FAULTS_SEED repeats.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { manifestName } from "../../scripts-src/archive/name.ts";
import { decrypted, sealing } from "../support/expect/age.ts";
import { expectSuccess } from "../support/expect/expect.ts";
import * as mysqlOracle from "../support/expect/mysql-oracle.ts";
import * as postgresOracle from "../support/expect/oracle.ts";
import { backupName, type Installation, installScripts } from "../support/machine/executables.ts";
import {
  expectGoodFiles,
  expectGoodObjects,
  hiddenIn,
  killer,
  limit,
  loop,
  newestObject,
  placeOld,
  removeNew,
  timed,
} from "../support/machine/kill.ts";
import { startMysql } from "../support/servers/mysql.ts";
import { startPostgres } from "../support/servers/postgres.ts";
import { dropObject, type S3Server, startS3Server, storeObject } from "../support/servers/s3-server.ts";
import { s3Settings } from "../support/servers/storage.ts";

const { killSomewhere } = killer("kill -9, backup");

/** Of the time, for each of the loops here. */
const share = 0.1;

/** Servers, 9.5 MB of SQL for each (two parts when it is not compressed), and how two databases are compared. */
const engines = {
  postgresql: async () => {
    const server = await startPostgres(15);
    const noise = "md5(i::text) || md5((-i)::text) || md5((2 * i)::text) || md5((3 * i)::text)";
    return {
      ...server,
      content: `CREATE TABLE large AS SELECT i, ${noise} AS noise FROM generate_series(1, 70000) i`,
      // in any order, since a restore loads them over several sessions
      rows: "SELECT count(*), sum(hashtextextended(large::text, 0)) FROM large",
      stateOf: (database: string) => postgresOracle.stateOf(server, database, ["--schema-only"]),
      lastWords: "-- PostgreSQL database dump complete",
    };
  },
  mariadb: async () => {
    const server = await startMysql("mariadb");
    return {
      ...server,
      content: `CREATE TABLE large (seq int PRIMARY KEY, noise text);
        INSERT INTO large SELECT seq, concat(md5(seq), md5(-seq), md5(2 * seq), md5(3 * seq)) FROM seq_1_to_67000;
        CREATE VIEW v AS SELECT seq FROM large; CREATE PROCEDURE p() SELECT 1;
        CREATE TRIGGER tr BEFORE INSERT ON large FOR EACH ROW SET NEW.noise = upper(NEW.noise)`,
      rows: "CHECKSUM TABLE large EXTENDED",
      stateOf: (database: string) => mysqlOracle.stateOf(server, database),
      lastWords: "-- Dump completed",
    };
  },
};

const asks = ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "HeadObject", "PutObject"] as const;
const sealed = sealing();

describe.each(Object.entries(engines))("%s", (engine, start) => {
  let server: Awaited<ReturnType<typeof start>>;
  let s3: S3Server;
  let bucket: string;
  let scripts: Installation;
  let source: { rows: string; state: postgresOracle.State };
  beforeAll(async () => {
    server = await start();
    s3 = startS3Server();
    await server.createDatabase("app", server.content);
    source = { rows: await server.sql("app", server.rows), state: await server.stateOf("app") };
  });
  beforeEach(async () => {
    bucket = await s3.newBucket();
    scripts = installScripts();
  });
  afterEach(() => scripts.remove());
  afterAll(() => Promise.all([s3.stop(), server.stop()]));

  /** Another database becomes what this one is. */
  async function expectRestores(args: string[]): Promise<void> {
    await server.dropDatabase("copy");
    await server.createDatabase("copy");
    expectSuccess(await scripts.run("restore", args, { env: { DB_NAME: "copy" } }));
    const rows = await server.sql("copy", server.rows);
    expect(rows.replace("copy.", "app.")).toBe(source.rows);
    postgresOracle.expectSame("copy", source.state, await server.stateOf("copy"));
  }

  test.each<[title: string, args: string[], more: Record<string, string>]>([
    ["backup, encrypted and signed", [], sealed],
    ["backup --upload, BACKUP_KEEP_LOCAL=true", ["--upload"], { BACKUP_KEEP_LOCAL: "true" }],
    [
      "backup --upload, BACKUP_KEEP_LOCAL=false, encrypted and signed",
      ["--upload"],
      { ...sealed, BACKUP_KEEP_LOCAL: "false" },
    ],
  ])(
    "%s",
    async (title, args, more) => {
      const objects = s3.objects(bucket);
      const earlier = placeOld(scripts);
      for (const name of Object.keys(earlier)) storeObject(objects, name, readFileSync(join(scripts.backups, name)));
      const objectsBefore = new Map(objects);
      const compression = args.length > 0 ? "none" : "gzip";
      scripts.configure({
        ...server.settings("app"),
        ...s3Settings(s3, bucket),
        ...more,
        BACKUP_COMPRESSION: compression,
      });
      const open = (body: Buffer) => ("AGE_RECIPIENTS" in more ? decrypted(body, sealed.AGE_IDENTITY_FILE) : body);
      const usual = await timed(async () => expectSuccess(await scripts.run("backup", args)));
      await loop(
        `${title}, ${engine}`,
        share,
        () => killSomewhere({ scripts, s3 }, "backup", args, usual, args.length > 0 ? asks : []),
        () => {
          expectGoodFiles(scripts.backups, earlier);
          expectGoodObjects(objects, objectsBefore, server.lastWords, open);
          if (scripts.list().length > 8) removeNew(scripts.backups, earlier);
          for (const key of [...objects.keys()].slice(0, -6))
            if (!objectsBefore.has(key) && backupName.test(key)) dropObject(objects, key);
        },
      );
      for (const upload of s3.uploads(bucket)) upload.initiated = new Date(Date.now() - 8 * 86_400_000);
      const ran = await scripts.run("backup", args);
      expectSuccess(ran);
      expectGoodFiles(scripts.backups, earlier);
      expect(hiddenIn(scripts.backups)).toEqual([]);
      expect(s3.uploads(bucket)).toEqual([]);
      const manifests = scripts.everything().filter((name) => /^[^.].*\.json$/.test(name));
      expect(manifests).toEqual(scripts.list().map(manifestName).toSorted());
      await expectRestores(args.length > 0 ? ["--from-s3", newestObject(objects)] : [ran.stdout.trim()]);
      expect(hiddenIn(scripts.backups)).toEqual([]);
    },
    limit,
  );
});
