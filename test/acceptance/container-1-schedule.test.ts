/** Container requirement 1: backups to S3 at every tick, failures that do not stop the schedule, missed runs. */
import { expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { installScripts } from "../support/machine/executables.ts";
import * as scheduled from "../support/machine/scheduled.ts";
import { until } from "../support/machine/until.ts";

const world = scheduled.useWorld();

const yearly = "0 0 1 1 *";

test("container 1.1, 1.2, 1.3: at every tick a compressed dump goes to the bucket and path", async () => {
  const { bucket, settings } = await scheduled.schedulerSettings(world);
  const scripts = installScripts();
  const scheduler = scheduled.startScheduler(settings, scripts);
  await until("two backups are in S3", () => scheduled.committedIn(world.s3, bucket).length >= 2);
  scheduler.kill("SIGTERM");
  expect(await scheduler.done).toMatchObject({ status: 0, stdout: "" });
  for (const key of scheduled.committedIn(world.s3, bucket)) {
    expect(key).toMatch(/^nightly\/shop\/shop_\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d\.sql\.gz$/);
    const sql = new TextDecoder().decode(Bun.gunzipSync(new Uint8Array(world.s3.objects(bucket).get(key)!.body)));
    expect(/^COPY public.item/m.test(sql)).toBe(true);
    expect(/-- PostgreSQL database dump complete/.test(sql)).toBe(true);
  }
  // not by the names of the files: a busy machine begins a backup later than its tick
  const ticks = scheduler
    .lines()
    .flatMap(({ message, tick }) => (message.startsWith("scheduled run of") ? [tick] : []));
  expect(ticks.length).toBeGreaterThanOrEqual(2);
  for (const tick of ticks) expect(tick).toMatch(/:\d[02468]\.000Z$/);
  expect(scripts.list()).toEqual([]);
});

test("container 1.4: a good run is logged with its time, the file, its size and where it lies", async () => {
  const { bucket, settings } = await scheduled.schedulerSettings(world);
  const before = Date.now();
  const scheduler = scheduled.startScheduler(settings);
  const line = await scheduler.says(/^backup done/);
  const [key = ""] = scheduled.committedIn(world.s3, bucket);
  const file = key.slice("nightly/shop/".length);
  const { length } = world.s3.objects(bucket).get(key)!.body;
  expect(line).toMatchObject({ level: "info", file, bytes: length, remoteLocation: `s3://${bucket}/${key}` });
  expect(Date.parse(line.time)).toBeWithin(before, Date.now() + 1);
  scheduler.kill("SIGTERM");
  expect((await scheduler.done).status).toBe(0);
});

test("container 1.5: a run that fails is logged, and the next one happens", async () => {
  const { bucket, settings } = await scheduled.schedulerSettings(world);
  world.s3.faults.push({
    operation: "PutObject",
    key: /shop_/,
    times: 1,
    instead: { status: 403, code: "AccessDenied" },
  });
  const scheduler = scheduled.startScheduler(settings);
  const failed = await scheduler.says(/the scheduled run failed \(exit status 1\); the schedule continues, next run/);
  expect(failed).toMatchObject({ level: "error", failures: 1, exitStatus: 1 });
  expect(scheduler.lines().some(({ level, message }) => level === "error" && /access/i.test(message))).toBe(true);
  await until("a backup is in S3", () => scheduled.committedIn(world.s3, bucket).length > 0);
  scheduler.kill("SIGTERM");
  expect((await scheduler.done).status).toBe(0);
});

test("a tick during a run is skipped and logged", async () => {
  const { settings } = await scheduled.schedulerSettings(world);
  world.s3.faults.push({ operation: "PutObject", key: /shop_/, times: 1, delay: 3_000 });
  const scheduler = scheduled.startScheduler(settings);
  const skipped = await scheduler.says(/^tick of .* skipped: the run that began .* is not done yet/);
  expect(skipped.level).toBe("warn");
  await scheduler.says(/^backup done/);
  scheduler.kill("SIGTERM");
  expect((await scheduler.done).status).toBe(0);
});

test("a run that was missed while the scheduler was down is made up once", async () => {
  const { bucket, settings } = await scheduled.schedulerSettings(world);
  scheduled.place(world, bucket, `nightly/shop/${scheduled.nameOfAge(800)}`);
  // neither unfinished ones nor another database's count
  scheduled.place(world, bucket, `nightly/shop/${scheduled.nameOfAge(0)}`, { bare: true });
  scheduled.place(world, bucket, `nightly/shop/${scheduled.nameOfAge(0, "shop_2")}`);
  const quiet = { ...settings, BACKUP_INTERVAL: yearly, BACKUP_CATCH_UP: "true" };
  const first = scheduled.startScheduler(quiet);
  await first.says(/^the run of .* was missed .* ago; running it now/);
  await first.says(/^backup done/);
  first.kill("SIGTERM");
  expect((await first.done).status).toBe(0);
  const second = scheduled.startScheduler(quiet);
  await second.says(/the last good backup began/);
  second.kill("SIGTERM");
  expect((await second.done).stderr).not.toContain("missed");
});

test("a missed run is not made up when that is not wanted", async () => {
  const { bucket, settings } = await scheduled.schedulerSettings(world);
  scheduled.place(world, bucket, `nightly/shop/${scheduled.nameOfAge(800)}`);
  const scheduler = scheduled.startScheduler({ ...settings, BACKUP_INTERVAL: yearly });
  await scheduler.says(/was missed .* ago; it is not run now \(BACKUP_CATCH_UP is false\)/);
  scheduler.kill("SIGTERM");
  await scheduler.done;
  expect(scheduled.committedIn(world.s3, bucket)).toHaveLength(1);
});

test("without a backup yet, nothing was missed", async () => {
  const { bucket, settings } = await scheduled.schedulerSettings(world);
  const scheduler = scheduled.startScheduler({ ...settings, BACKUP_INTERVAL: yearly, BACKUP_CATCH_UP: "true" });
  await scheduler.says(/there is no good backup yet/);
  scheduler.kill("SIGINT");
  const ran = await scheduler.done;
  expect({ status: ran.status, missed: /missed/.test(ran.stderr) }).toEqual({ status: 0, missed: false });
  expect(scheduled.backupsIn(world.s3, bucket)).toEqual([]);
});

test("a state that cannot be kept is logged, and the schedule goes on", async () => {
  const { bucket, settings } = await scheduled.schedulerSettings(world);
  const scripts = installScripts();
  mkdirSync(join(scripts.backups, ".shop.schedule.json"), { recursive: true });
  const scheduler = scheduled.startScheduler(settings, scripts);
  expect(await scheduler.says(/^cannot keep the state of the schedule/)).toMatchObject({ level: "warn" });
  await until("two backups are in S3", () => scheduled.committedIn(world.s3, bucket).length >= 2);
  scheduler.kill("SIGTERM");
  expect((await scheduler.done).status).toBe(0);
});
