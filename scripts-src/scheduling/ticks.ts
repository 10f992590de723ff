/** When a schedule ticks: BACKUP_INTERVAL and VERIFY_INTERVAL read by croner in BACKUP_TIMEZONE. Pure. */
import { Cron } from "croner";
import { messageOf, usageFailure } from "../base/errors.ts";
import type { Settings } from "../settings/settings.ts";

export interface Ticks {
  /** The first tick after `time`. */
  next(time: Date): Date;
}

/**
 * Reads the setting `name`. Throws a `Failure` (status 2) for what is not a cron expression, or one that never ticks.
 *
 * When the clocks change, a job with fixed hours ticks exactly once a day: a time that is skipped in spring ticks at the
 * first moment after the gap, one that comes twice in autumn at the first of the two. A job with a `*` or a step in
 * seconds, minutes or hours ticks by real time, as Vixie cron does.
 */
export function readTicks(settings: TickSettings, name: Interval = "BACKUP_INTERVAL"): Ticks {
  const { [name]: expression = "", BACKUP_TIMEZONE } = settings;
  const cron = parse(name, expression.trim(), BACKUP_TIMEZONE);
  const next = (time: Date) => {
    const tick = cron.nextRun(time);
    if (tick) return tick;
    throw usageFailure(`${name} ${expression} never ticks`, "check the day and the month: no date matches both");
  };
  next(new Date());
  return { next };
}

export type Interval = "BACKUP_INTERVAL" | "VERIFY_INTERVAL";
type TickSettings = Pick<Settings, "BACKUP_TIMEZONE"> & Partial<Pick<Settings, Interval>>;

function parse(name: Interval, expression: string, timezone: string): Cron {
  try {
    refuseOtherForms(expression);
    return new Cron(expression, { timezone, mode: "5-or-6-parts", fixedTimeRule: "no-wildcard", paused: true });
  } catch (error) {
    const cause = messageOf(error).replace(/^CronPattern: |\.$/g, "");
    throw usageFailure(
      `${name} ${expression} is not a cron expression: ${cause}`,
      "five fields (minute hour day month weekday), six with seconds first, or @hourly, @daily, @weekly, @monthly, @yearly; 0 3 * * * is every day at three",
    );
  }
}

/** croner takes a date too, for a job that runs once, and speaks of seven fields, which we do not take. */
function refuseOtherForms(expression: string): void {
  if (/^\d{4}-\d\d/.test(expression)) throw new Error("a date is no schedule");
  const fields = expression.split(/\s+/).length;
  if (!/^@\w+$/.test(expression) && fields !== 5 && fields !== 6)
    throw new Error(`it needs five or six fields, not ${fields}`);
}

/** The next `count` ticks. */
export function nextTicks(ticks: Ticks, time: Date, count: number): Date[] {
  const times: Date[] = [];
  for (let at = time; times.length < count; times.push(at)) at = ticks.next(at);
  return times;
}

/** The zone in the variable TZ where that is another one than `zone`; undefined when it is none that can be compared. */
export function otherZone(variable: string | undefined, zone: string): string | undefined {
  try {
    const nameOf = (timeZone: string) => new Intl.DateTimeFormat("en", { timeZone }).resolvedOptions().timeZone;
    const same = !variable || nameOf(variable).replace("Etc/", "") === nameOf(zone).replace("Etc/", "");
    return same ? undefined : variable;
  } catch {
    return undefined;
  }
}

/** A point in time for people: UTC, and the schedule's own zone where that is another one. */
export function timeText(time: Date, zone: string): string {
  const utc = `${time.toISOString().slice(0, 19)}Z`;
  if (zone === "UTC") return utc;
  const local = new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short", timeStyle: "medium" });
  return `${utc} (${local.format(time)} ${zone})`;
}
