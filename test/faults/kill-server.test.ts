/**
 * kill -9 of runs over a whole server, on both engines: backup of several databases and of the roles, encrypted, signed and kept by number;
 * and `restore --all` on a new server. The next run ends with all of it. FAULTS_SEED repeats, FAULTS_SECONDS sets how long.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { sealing } from "../support/expect/age.ts";
import { expectSuccess } from "../support/expect/expect.ts";
import { type Installation, installScripts, oldestFirst, type Running } from "../support/machine/executables.ts";
import { expectGoodFiles, expectManifest, hiddenIn, killer, limit, loop, timed } from "../support/machine/kill.ts";
import { until } from "../support/machine/until.ts";
import { statementGate } from "./statement-gate.ts";
import { type Engine, mariadb, postgresql } from "../support/servers/engines.ts";
import type { DatabaseServer } from "../support/servers/server.ts";
import { type S3Server, startS3Server } from "../support/servers/s3-server.ts";
import { s3Settings } from "../support/servers/storage.ts";

const { below, killInTime, killSomewhere, next, pick } = killer("kill -9, whole server");

/** Of the time, for each of the loops here. */
const share = 0.05;
const databases = ["crm", "shop", "we ird"];
/** What stands for the roles in the names of their backups. */
const roles = "@roles";

interface Whole extends Engine {
  /** Accounts, and what takes them away. */
  accounts: string;
  noAccounts: string;
  /** A database with rows, and rights on a table in it. */
  content: string;
  /** What tells two databases apart: rows and rights. */
  facts: string;
  /** How the lines begin at which `restore --all` is killed. */
  lines: [string, ...string[]];
  /** How many sessions are busy beside this one. */
  busy: string;
}

const engines: Record<string, Whole> = {
  postgresql: {
    ...postgresql,
    accounts: `CREATE ROLE team; CREATE ROLE app LOGIN PASSWORD 'secret' CONNECTION LIMIT 9; GRANT team TO app WITH ADMIN OPTION;
      ALTER ROLE app SET work_mem = '5MB'`,
    noAccounts: "DROP ROLE IF EXISTS app; DROP ROLE IF EXISTS team",
    content: `CREATE TABLE large AS SELECT i, md5(i::text) || md5((-i)::text) AS noise FROM generate_series(1, 15000) i;
      CREATE VIEW seen AS SELECT i FROM large; GRANT SELECT ON large TO team`,
    facts: `SELECT count(*), sum(hashtext(noise)), has_table_privilege('team', 'large', 'SELECT'),
      (SELECT string_agg(rolname || rolconnlimit || rolcanlogin || coalesce(rolconfig::text, ''), ',' ORDER BY rolname)
        FROM pg_roles WHERE rolname IN ('app', 'team')), pg_has_role('app', 'team', 'MEMBER WITH ADMIN OPTION'), (SELECT count(*) FROM seen) FROM large`,
    lines: ["     DO ", "CREATE DATABASE", "COMMENT ON DATABASE", "COPY ", "CREATE VIEW", "ALTER DATABASE", "COMMIT"],
    busy: `SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'`,
  },
  mariadb: {
    ...mariadb,
    accounts: `CREATE ROLE team; CREATE USER app@localhost IDENTIFIED BY 'secret'; CREATE USER other@'%' IDENTIFIED BY 'x'; GRANT team TO app@localhost;
      GRANT SELECT ON crm.* TO team; SET DEFAULT ROLE team FOR app@localhost`,
    noAccounts: "DROP USER IF EXISTS app@localhost, other@'%'; DROP ROLE IF EXISTS team",
    content: `CREATE TABLE large (seq int PRIMARY KEY, noise text);
      INSERT INTO large SELECT seq, concat(md5(seq), md5(-seq)) FROM seq_1_to_15000;
      CREATE VIEW seen AS SELECT seq FROM large; CREATE TRIGGER tr BEFORE INSERT ON large FOR EACH ROW SET NEW.noise = 'x'; GRANT INSERT ON large TO app@localhost`,
    facts: `SELECT count(*), sum(crc32(noise)), (SELECT count(*) FROM seen),
      (SELECT count(*) FROM information_schema.triggers WHERE trigger_schema = database()) FROM large; SHOW GRANTS FOR app@localhost; SHOW GRANTS FOR team`,
    // GRANT CREATE and REVOKE: the mark of an account that has not got its rights
    lines: [
      "CREATE ROLE",
      "CREATE USER",
      "GRANT CREATE",
      "GRANT INSERT",
      "SET DEFAULT ROLE",
      "REVOKE ",
      "CREATE DATABASE",
      "CREATE TABLE",
      "INSERT INTO",
      "RENAME TABLE",
      "CREATE TRIGGER",
    ],
    busy: "SELECT count(*) FROM information_schema.processlist WHERE user = 'admin' AND id <> connection_id()",
  },
};

describe.each(Object.entries(engines))("%s", (_, engine) => {
  let old: DatabaseServer;
  let fresh: DatabaseServer;
  let s3: S3Server;
  let bucket: string;
  let scripts: Installation;
  let system: string[];
  /** What is in each database of the old server. */
  let source: string[];
  const sealed = sealing();

  const factsOf = (server: DatabaseServer) => Promise.all(databases.map((name) => server.sql(name, engine.facts)));
  /** Names of the databases that not every server has. */
  const namesOn = async (server: DatabaseServer) => (await server.databases()).filter((name) => !system.includes(name));
  const settingsFor = (server: DatabaseServer): Record<string, string> => {
    const { DB_NAME: _, ...login } = server.settings(engine.admin);
    return { ...login, DB_NAMES: "*", ...sealed, ...s3Settings(s3, bucket, "all") };
  };

  beforeAll(async () => {
    [old, fresh] = await Promise.all([engine.start(), engine.start()]);
    system = await fresh.databases();
    s3 = startS3Server();
    bucket = await s3.newBucket();
    await old.sql(engine.admin, engine.accounts);
    for (const name of databases) await old.createDatabase(name, engine.content);
    source = await factsOf(old);
    scripts = installScripts();
  }, limit);
  afterAll(async () => {
    scripts.remove();
    await Promise.all([old.stop(), fresh.stop(), s3.stop()]);
  });

  /** Names of the files, or objects, that are backups of `database` with their manifest, oldest first. */
  const committed = (names: Iterable<string>, database: string) => {
    const all = new Set(names);
    const isOf = (name: string) => name.startsWith(`${database.replace(" ", "%20")}_2`) && all.has(`${name}.json`);
    return oldestFirst([...all].filter(isOf));
  };
  const objects = () => new Map([...s3.objects(bucket)].map(([key, { body }]) => [key.replace("all/", ""), body]));

  /** All that counts as a backup is one, here and in S3, and nothing has lost its last one. */
  function expectGood(): void {
    expectGoodFiles(scripts.backups, {});
    for (const database of [...databases, roles]) {
      expect(committed(scripts.everything(), database), `local backups of ${database}`).not.toBeEmpty();
      const remote = committed(objects().keys(), database);
      expect(remote, `backups of ${database} in S3`).not.toBeEmpty();
      for (const name of remote)
        expectManifest(objects().get(name) ?? Buffer.of(), objects().get(`${name}.json`) ?? Buffer.of(), name);
    }
  }

  test(
    "backup of several databases and the roles, kept by number",
    async () => {
      scripts.configure({ ...settingsFor(old), LOCAL_KEEP_LAST: "2", BACKUP_KEEP_LAST: "2" });
      const usual = await timed(async () => expectSuccess(await scripts.run("backup", ["--upload"])));
      await loop(
        "backup of a server",
        share,
        () =>
          killSomewhere({ scripts, s3 }, "backup", ["--upload"], usual, ["PutObject", "DeleteObject", "ListObjectsV2"]),
        expectGood,
      );
      const ran = await scripts.run("backup", ["--upload"]);
      expectSuccess(ran);
      expectGood();
      expect(hiddenIn(scripts.backups)).toEqual([]);
      expect(s3.uploads(bucket)).toEqual([]);
      for (const database of [...databases, roles]) {
        const local = committed(scripts.everything(), database);
        expect(local).toHaveLength(2);
        expect(committed(objects().keys(), database).slice(-1)).toEqual(local.slice(-1));
        expect(committed(objects().keys(), database)).toHaveLength(2);
      }
    },
    limit,
  );

  test(
    "restore --all on a new server: what is there is complete, and the next run ends with all of it",
    async () => {
      scripts.configure(settingsFor(old));
      expectSuccess(await scripts.run("backup", ["--upload"]));
      const { backups } = scripts;
      scripts.configure(settingsFor(fresh));
      const gate = statementGate(fresh.clientDir, engine);
      const restore = (env = {}) => scripts.start("restore", ["--all", "--from-s3", "--yes"], { env });
      /** Kills it at one of its statements, for one of the databases. */
      const killAtStatement = async (running: Running) => {
        await gate.stopped(running.done, () => {
          running.kill("SIGKILL");
          return next() < 0.5 ? "pass and end" : "end";
        });
        const { status, stderr } = await running.done;
        if (status !== 137) expect(status, stderr).toBe(0);
        return status === 137;
      };
      const empty = async () => {
        for (const name of await namesOn(fresh)) await fresh.dropDatabase(name);
        await fresh.sql(engine.admin, engine.noAccounts);
      };
      const expectAll = async (story: string, { stderr = "" } = {}) => {
        // one that was created and not marked yet is nobody's: it is named, and stays
        const named = /databases that earlier restores have left.*/.exec(stderr)?.[0] ?? "";
        expect(
          (await namesOn(fresh)).filter((name) => databases.includes(name) || !named.includes(name)),
          story,
        ).toEqual(databases);
        expect(await factsOf(fresh), story).toEqual(source);
        expect(hiddenIn(backups)).toEqual([]);
      };
      const usual = await timed(async () => expectSuccess(await restore().done));
      await expectAll("not killed");
      await loop(
        "restore --all",
        share,
        async () => {
          await empty();
          const atStatement = next() < 0.7;
          gate.set({ line: pick(engine.lines), nth: 1 + below(databases.length) });
          const running = restore(atStatement ? { DB_CLIENT_DIR: gate.clientDir } : {});
          const wasKilled = await (atStatement ? killAtStatement(running) : killInTime(running, usual));
          await until("its sessions have ended", async () => (await fresh.sql(engine.admin, engine.busy)) === "0");
          const rows = "SELECT count(*) FROM large";
          for (const name of (await namesOn(fresh)).filter((one) => databases.includes(one)))
            expect(["no table", "15000"], name).toContain(await fresh.sql(name, rows).catch(() => "no table"));
          const after = await restore().done;
          expectSuccess(after);
          await expectAll(`${(await running.done).stderr}\n${after.stderr}`, after);
          return wasKilled;
        },
        () => {},
      );
    },
    limit,
  );

  test("the manifests say that all of it is encrypted and signed", () => {
    expect(scripts.list()).not.toBeEmpty();
    for (const name of scripts.list()) {
      expect(name).toEndWith(".age");
      expect(readFileSync(join(scripts.backups, `${name}.json`), "utf8")).toContain('"signature"');
    }
  });
});
