/** Container requirement 3.5: a stop lets a backup finish, or ends it without a trace. */
import { beforeAll, expect, test } from "bun:test";
import * as scheduled from "../support/machine/scheduled.ts";
import { until } from "../support/machine/until.ts";

const world = scheduled.useWorld();
beforeAll(() => scheduled.addLarge(world));

/** A scheduler in the middle of an upload whose parts take `delay` ms each, or wait for it. */
async function inTheMiddle(delay: number | Promise<unknown>, settings: Record<string, string>) {
  const { bucket, settings: own } = await scheduled.schedulerSettings(world, "large");
  world.s3.faults.splice(0, Infinity, { operation: "UploadPart", delay });
  const scheduler = scheduled.startScheduler({ ...own, ...settings });
  await until("an upload is under way", () => world.s3.uploads(bucket).length > 0);
  return { bucket, scheduler };
}

test("container 3.5: a backup that is under way may finish within BACKUP_GRACE_SECONDS", async () => {
  const stopped = Promise.withResolvers<void>();
  const { bucket, scheduler } = await inTheMiddle(stopped.promise, { BACKUP_GRACE_SECONDS: "60" });
  scheduler.kill("SIGTERM");
  await scheduler.says(/has 60 s to finish/);
  stopped.resolve();
  const ran = await scheduler.done;
  expect({ status: ran.status, backups: scheduled.committedIn(world.s3, bucket).length }).toEqual({
    status: 0,
    backups: 1,
  });
  expect(ran.stderr).toContain("SIGTERM: no new run starts; a run that is active has 60 s to finish");
  expect(ran.stderr).toContain("stopped by SIGTERM; no run is active");
});

const signals = [
  ["SIGTERM", 143],
  ["SIGINT", 130],
] as const;
test.each(signals)("container 3.5: after BACKUP_GRACE_SECONDS, %s ends the backup cleanly", async (signal, status) => {
  const { bucket, scheduler } = await inTheMiddle(120_000, { BACKUP_GRACE_SECONDS: "1" });
  scheduler.kill(signal);
  const ran = await scheduler.done;
  expect(ran.status, ran.stderr).toBe(status);
  expect(ran.stderr).toContain("not done after 1 s: stopping");
  expect(ran.stderr.split(`stopped by ${signal}`)).toHaveLength(2);
  await scheduled.expectNothingLeft(world, bucket);
});

test("container 3.5: with BACKUP_GRACE_SECONDS=0, the first signal ends the backup", async () => {
  const { bucket, scheduler } = await inTheMiddle(120_000, { BACKUP_GRACE_SECONDS: "0" });
  scheduler.kill("SIGTERM");
  expect((await scheduler.done).status).toBe(143);
  await scheduled.expectNothingLeft(world, bucket);
});

test("container 3.5: a second signal ends the backup at once, and still cleanly", async () => {
  const { bucket, scheduler } = await inTheMiddle(120_000, { BACKUP_GRACE_SECONDS: "600" });
  scheduler.kill("SIGTERM");
  await scheduler.says(/has 600 s to finish/);
  scheduler.kill("SIGTERM");
  expect((await scheduler.done).status).toBe(143);
  await scheduled.expectNothingLeft(world, bucket);
});

test("container 3.5: an idle scheduler stops at once with 0", async () => {
  const { settings } = await scheduled.schedulerSettings(world);
  const scheduler = scheduled.startScheduler({ ...settings, BACKUP_INTERVAL: "@yearly", BACKUP_GRACE_SECONDS: "600" });
  await scheduler.says(/next runs/);
  scheduler.kill("SIGTERM");
  expect((await scheduler.done).status).toBe(0);
});
