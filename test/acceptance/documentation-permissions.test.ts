/** The rights that DOCUMENTATION.md asks for are enough, and what it says is missing without them is missing. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { CreateBucketCommand, PutBucketPolicyCommand } from "@aws-sdk/client-s3";
import { type Ceph, startCeph } from "../support/servers/ceph.ts";
import { describeWithCeph } from "../support/servers/s3-members.ts";
import { blocks, documentation, tableAfter } from "../support/expect/documentation.ts";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { families, startMysql } from "../support/servers/mysql.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { type Operation, type S3Server, startS3Server } from "../support/servers/s3-server.ts";
import { nameOfAge, place } from "../support/machine/scheduled.ts";
import { s3Settings } from "../support/servers/storage.ts";

const reader = { user: "backup_reader", password: "a-long-random-password" };
const owner = { user: "app", password: "the-password-of-app" };
/** The statements of a here-document in the first block that holds `words`. */
const sqlOf = (words: string) =>
  /<<'SQL'\n([\s\S]*?)^SQL$/m.exec(blocks.find(({ text }) => text.includes(words))?.text ?? "")?.[1];
/** The statements in the row of a table below `heading` that begins with `when`. */
const also = (heading: string, when: string) =>
  /`(.*?)`/.exec(tableAfter(heading).find(([cell]) => cell?.startsWith(when))?.[1] ?? "")?.[1];

let scripts: Installation;
beforeEach(() => {
  scripts = installScripts();
});
afterEach(() => scripts.remove());

/** A backup as one user, a restore as another, after what `between` destroys. */
async function backUpAndRestore(
  asReader: Record<string, string>,
  asOwner: Record<string, string>,
  between: () => Promise<unknown>,
) {
  scripts.configure(asReader);
  const checked = await scripts.run("backup", ["--dry-run"]);
  expect(checked.status, checked.stdout).toBe(0);
  const made = await scripts.run("backup");
  expect(made.status, made.stderr).toBe(0);
  expect(made.stderr).not.toMatch(/ WARN /);
  await between();
  scripts.configure(asOwner);
  const restored = await scripts.run("restore");
  expect(restored.status, restored.stderr).toBe(0);
}

describe("1.3: PostgreSQL", () => {
  const heading = "PostgreSQL 14 and later, as an administrator:";
  const content =
    "SET ROLE app; CREATE TABLE t (id serial, v text); INSERT INTO t (v) VALUES ('one'); CREATE TABLE guarded AS SELECT * FROM t";

  for (const major of [13, 15] as const)
    test(`${major}: a user that may only read backs up, the owner restores`, async () => {
      const server = await startPostgres(major);
      try {
        await server.sql("postgres", "CREATE ROLE app LOGIN PASSWORD 'the-password-of-app'");
        await server.createDatabase("app", content, "OWNER app");
        const grants = major === 13 ? also(heading, "PostgreSQL 13") : undefined;
        const [create = "", ...rest] = (sqlOf("GRANT pg_read_all_data") ?? "").split("\n");
        await server.sql("app", `${create}\n${grants ?? rest.join("\n")}`);
        await backUpAndRestore(server.settings("app", reader), server.settings("app", owner), () =>
          server.sql("app", "DELETE FROM t; ALTER TABLE t ADD extra int"),
        );
        expect(await server.sql("app", "SELECT * FROM t")).toBe("1|one");
        // tables that come later can be read as well
        await server.sql("app", "SET ROLE app; CREATE TABLE later (id serial)");
        scripts.configure(server.settings("app", reader));
        expect((await scripts.run("backup")).status).toBe(0);
        await server.sql("app", "ALTER TABLE guarded ENABLE ROW LEVEL SECURITY");
        expect((await scripts.run("backup")).status).toBe(1);
        await server.sql("app", also(heading, "tables with row security") ?? "");
        expect((await scripts.run("backup")).status).toBe(0);
      } finally {
        await server.stop();
      }
    });
});

describe.each(families)("1.3: %s", (family) => {
  test("a user that may only read backs up, the owner restores, routines and all", async () => {
    const server = await startMysql(family);
    try {
      await server.createDatabase("app", "CREATE USER app@'%' IDENTIFIED BY 'the-password-of-app'");
      const [, grants = ""] = /``(GRANT ALL ON `app`.*?;)``/.exec(documentation) ?? [];
      await server.sql("app", grants);
      const by = "CREATE DEFINER = app@'%'";
      await server.sql(
        "app",
        `CREATE TABLE t (a int PRIMARY KEY); INSERT INTO t VALUES (1); ${by} VIEW v AS SELECT a FROM t;
         ${by} TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.a = NEW.a + 1; ${by} PROCEDURE p() SELECT 1;
         ${by} EVENT e ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM t WHERE a < 0;`,
      );
      await server.sql("app", sqlOf(`${family} -h db`) ?? "");
      await backUpAndRestore(server.settings("app", reader), server.settings("app", owner), () =>
        server.sql("app", "DROP VIEW v; DROP PROCEDURE p; DELETE FROM t"),
      );
      expect(await server.sql("app", "SELECT a FROM v; CALL p()")).toBe("1\n1");
      // without the second of them nothing is touched, and the message names it
      await server.sql("app", "REVOKE ALL ON `app\\_%`.* FROM app@'%'; INSERT INTO t VALUES (7)");
      const refused = await scripts.run("restore", [], { env: server.settings("app", owner) });
      expect(refused.status, refused.stderr).toBe(1);
      expect(refused.stderr).toContain("GRANT ALL ON `app\\_%`.* TO `app`@`%`;");
      expect(refused.stderr).toContain("restore with --in-place");
      expect(await server.sql("app", "SELECT count(*) FROM t")).toBe("2");
      const inPlace = await scripts.run("restore", ["--in-place"], { env: server.settings("app", owner) });
      expect(inPlace.status, inPlace.stderr).toBe(0);
      expect(await server.sql("app", "SELECT count(*) FROM t")).toBe("1");
    } finally {
      await server.stop();
    }
  });
});

const policy = JSON.parse(blocks.find(({ mark }) => mark === "an IAM policy")?.text ?? "") as {
  Version: string;
  Statement: { Effect: string; Action: string[]; Resource: string }[];
};
const allowed = policy.Statement.flatMap(({ Action }) => Action);

/** What each permission of S3 is for. */
const operationsOf: Record<string, Operation[]> = {
  "s3:ListBucket": ["ListObjectsV2", "HeadBucket"],
  "s3:ListBucketMultipartUploads": ["ListMultipartUploads"],
  "s3:PutObject": ["PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"],
  "s3:GetObject": ["GetObject", "HeadObject"],
  "s3:DeleteObject": ["DeleteObject"],
  "s3:AbortMultipartUpload": ["AbortMultipartUpload"],
};

describe("10: the IAM policy", () => {
  let postgres: PostgresServer;
  beforeAll(async () => {
    postgres = await startPostgres(15);
    await postgres.createDatabase("app", "CREATE TABLE t AS SELECT 1 AS a");
  });
  afterAll(() => postgres.stop());

  /** Everything that is done with S3. */
  async function useAll(settings: Record<string, string>): Promise<Record<string, number | boolean>> {
    const kept = { BACKUP_RETENTION_DAYS: "14", REMOTE_S3_DELETE: "true", LOG_LEVEL: "info" };
    scripts.configure({ ...postgres.settings("app"), ...settings, ...kept });
    const upload = await scripts.run("backup", ["--upload"]);
    const sync = await scripts.run("sync");
    const restore = await scripts.run("restore", ["--from-s3"]);
    return {
      upload: upload.status,
      deletes: /deleted app_/.test(upload.stderr),
      sync: sync.status,
      restore: restore.status,
    };
  }
  const everything = { upload: 0, deletes: true, sync: 0, restore: 0 };

  describe("on an S3 server that denies all else", () => {
    let s3: S3Server;
    let bucket: string;
    beforeEach(async () => {
      s3 = startS3Server();
      bucket = await s3.newBucket();
      place({ s3, postgres, stop: () => Promise.resolve() }, bucket, `app/${nameOfAge(20, "app")}`);
    });
    afterEach(() => s3.stop());
    const allow = (actions: readonly string[]) => {
      const may = new Set(actions.flatMap((action) => operationsOf[action] ?? []));
      const all: Operation[] = [...Object.values(operationsOf).flat(), "ListBuckets", "CreateBucket", "ListParts"];
      s3.behaviour.denied = all.filter((operation) => !may.has(operation));
    };

    test("is enough", async () => {
      allow(allowed);
      expect(await useAll(s3Settings(s3, bucket, "app"))).toEqual(everything);
    });

    test.each([
      ["s3:ListBucket", { upload: 1, deletes: false, sync: 1, restore: 1 }],
      ["s3:PutObject", { upload: 1, deletes: false, sync: 1 }],
      ["s3:GetObject", { ...everything, deletes: false, restore: 1 }],
      ["s3:DeleteObject", { upload: 0, deletes: false, restore: 0 }],
      ["s3:AbortMultipartUpload", everything],
      ["s3:ListBucketMultipartUploads", everything],
    ] as const)("without %s", async (action, outcome) => {
      expect(tableAfter("### Permissions").some(([cell]) => cell?.includes(`\`${action}\``))).toBeTrue();
      allow(allowed.filter((one) => one !== action));
      expect(await useAll(s3Settings(s3, bucket, "app"))).toMatchObject(outcome);
    });
  });

  describeWithCeph("at a real Ceph", () => {
    let ceph: Ceph;
    beforeAll(async () => {
      ceph = await startCeph();
      await ceph.client.send(new CreateBucketCommand({ Bucket: "my-backups" }));
      const Statement = policy.Statement.map((one) => ({
        ...one,
        Principal: { AWS: ["arn:aws:iam:::user/stranger"] },
      }));
      await ceph.client.send(
        new PutBucketPolicyCommand({ Bucket: "my-backups", Policy: JSON.stringify({ ...policy, Statement }) }),
      );
    });
    afterAll(() => ceph.stop());

    test("is enough for its folder, and of no use in another", async () => {
      const login = { url: ceph.url, ...ceph.stranger };
      expect(await useAll(s3Settings(login, "my-backups", "app"))).toEqual({ ...everything, deletes: false });
      expect(await useAll(s3Settings(login, "my-backups", "other"))).toMatchObject({ upload: 1, sync: 1, restore: 1 });
    });
  });
});
