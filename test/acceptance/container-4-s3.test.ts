/** Container requirement 4: names and order of the backups in S3. */
import { expect, test } from "bun:test";
import { installScripts } from "../support/machine/executables.ts";
import * as scheduled from "../support/machine/scheduled.ts";

const world = scheduled.useWorld();

const upload = (settings: Record<string, string>) => installScripts().run("backup", ["--upload"], { env: settings });

test("container 4.2, 4.3: backups lie below S3_PATH, and their names sort by age", async () => {
  const { bucket, settings } = await scheduled.schedulerSettings(world);
  for (const days of [400, 30, 2]) scheduled.place(world, bucket, `nightly/shop/${scheduled.nameOfAge(days)}`);
  const before = scheduled.backupsIn(world.s3, bucket);
  const ran = await upload(settings);
  expect(ran.status, ran.stderr).toBe(0);
  const after = scheduled.backupsIn(world.s3, bucket);
  expect(after.slice(0, 3)).toEqual(before);
  expect(after).toHaveLength(4);
  expect(ran.stdout).toBe(`s3://${bucket}/${after.at(-1)}\n`);
});

test("container 4.5: a backup of the same second gets a name of its own, and the other one stays", async () => {
  const { bucket, settings } = await scheduled.schedulerSettings(world);
  const second = 1 / 86_400;
  for (let n = -2; n < 30; n++) scheduled.place(world, bucket, `nightly/shop/${scheduled.nameOfAge(-n * second)}`);
  const before = new Map(world.s3.objects(bucket));
  const ran = await upload(settings);
  expect(ran.status, ran.stderr).toBe(0);
  expect(ran.stdout).toMatch(/_\d\d-\d\d-\d\d-2\.sql\.gz\n$/);
  for (const [key, object] of before) expect(world.s3.objects(bucket).get(key)).toBe(object);
  expect(world.s3.objects(bucket).size).toBe(before.size + 2);
});
