/** Container requirement 5: expired backups leave S3, and nothing else does. */
import { afterEach, expect, test } from "bun:test";
import { installScripts } from "../support/machine/executables.ts";
import * as scheduled from "../support/machine/scheduled.ts";

const world = scheduled.useWorld();
afterEach(() => world.s3.faults.splice(0));

const ages = [1, 29, 31, 400];
const keyOf = (days: number, database?: string) => `nightly/shop/${scheduled.nameOfAge(days, database)}`;

/** A bucket with backups of those ages, and a run of `backup --upload` with the retention of 30 days. */
async function runAmongOld(changes: Record<string, string> = { BACKUP_RETENTION_DAYS: "30" }) {
  const { bucket, settings } = await scheduled.schedulerSettings(world);
  const old = ages.map((days) => keyOf(days));
  for (const key of old) scheduled.place(world, bucket, key);
  const others = [
    keyOf(400, "shop-staging"),
    keyOf(400, "shop_2"),
    `nightly/shop/older/${scheduled.nameOfAge(400)}`,
    `nightly/${scheduled.nameOfAge(400)}`,
    "nightly/shop/shop_2020-01-01-00-00-00.sql.gz",
    "nightly/shop/shop_2020-13-01_00-00-00.sql.gz",
    "nightly/shop/notes.txt",
  ];
  for (const key of others) scheduled.place(world, bucket, key);
  const unfinished = keyOf(401);
  scheduled.place(world, bucket, unfinished, { bare: true });
  const ran = await installScripts().run("backup", ["--upload"], { env: { ...settings, ...changes } });
  const left = [...world.s3.objects(bucket).keys()];
  return { ran, old, others: [...others, unfinished], left, bucket };
}

test("container 5.1, 5.2, 5.3, 5.5, 5.7: what is older by its name goes with its manifest, logged one by one", async () => {
  const { ran, old, others, left, bucket } = await runAmongOld();
  expect(ran.status, ran.stderr).toBe(0);
  const [day, month, expired, ancient] = old as [string, string, string, string];
  for (const key of [day, month, ...others]) expect(left).toContain(key);
  for (const key of [day, month]) expect(left).toContain(`${key}.json`);
  for (const key of [expired, ancient]) {
    expect(left).not.toContain(key);
    expect(left).not.toContain(`${key}.json`);
  }
  const deletions = scheduled.parseLines(ran.stderr).filter(({ message }) => message.startsWith("deleted "));
  expect(deletions.map(({ deleted }) => `nightly/shop/${String(deleted)}`)).toEqual([ancient, expired]);
  for (const { message } of deletions) expect(message).toContain(`s3://${bucket}/nightly/shop/`);
});

test("container 5.4: without BACKUP_RETENTION_DAYS nothing is deleted", async () => {
  const { ran, old, others, left, bucket } = await runAmongOld({});
  expect(ran.status, ran.stderr).toBe(0);
  for (const key of [...old, ...others]) expect(left).toContain(key);
  const asked = world.s3.asked.filter((request) => request.bucket === bucket);
  expect(asked.map(({ operation }) => operation)).not.toContain("DeleteObject");
});

test("container 5.6: a deletion that fails is logged, the next one is tried, and the run is good", async () => {
  world.s3.faults.push({ operation: "DeleteObject", times: 1, instead: { status: 403, code: "AccessDenied" } });
  const { ran, old, left } = await runAmongOld();
  expect(ran.status, ran.stderr).toBe(0);
  const lines = scheduled.parseLines(ran.stderr);
  const failed = lines.filter(({ level, message }) => level === "error" && message.startsWith("cannot delete "));
  expect(failed).toHaveLength(1);
  expect(left).toContain(old[3]!);
  expect(left).not.toContain(old[2]!);
  // the disk or the bill grows: that is a warning
  expect(lines.at(-2)?.message).toStartWith("retention could not delete 1 backup from s3://");
  expect(lines.at(-1)?.message).toStartWith("backup done");
});

test("container 5.2: a run that fails deletes nothing", async () => {
  world.s3.faults.push({ operation: "PutObject", instead: { status: 403, code: "AccessDenied" } });
  const { ran, old, others, left } = await runAmongOld();
  expect(ran.status).toBe(1);
  expect(left).toEqual(expect.arrayContaining([...old, ...others]));
});
