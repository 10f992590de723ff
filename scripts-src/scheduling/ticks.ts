/** When a schedule ticks: BACKUP_INTERVAL and VERIFY_INTERVAL read by croner in BACKUP_TIMEZONE. Pure. */
import { Cron } from "croner";
import { messageOf, usageFailure } from "../base/errors.ts";
import { timeText } from "../base/text.ts";
import type { Settings } from "../settings/settings.ts";

/** What is done at the ticks of each setting, as the log calls it. */
const intervals = {
  BACKUP_INTERVAL: {
    run: "run",
    due: "a backup",
    last: "the last good backup began",
    none: "there is no good backup yet",
  },
  VERIFY_INTERVAL: { run: "proof", due: "a proof", last: "the last proof is from", none: "there is no proof yet" },
} as const;
type Interval = keyof typeof intervals;

export interface Ticks {
  /** "BACKUP_INTERVAL 0 3 * * *". */
  name: string;
  words: (typeof intervals)[Interval];
  /** The first tick after `time`. */
  next(time: Date): Date;
  /** A point in time for people: UTC, and BACKUP_TIMEZONE where that is another zone. */
  text: (time: Date) => string;
}

/**
 * Reads the setting `name`. Throws a `Failure` (status 2) for what is not a cron expression, or one that never ticks.
 *
 * When the clocks change, a job with fixed hours ticks exactly once a day: a time that is skipped in spring ticks at the
 * first moment after the gap, one that comes twice in autumn at the first of the two. A job with a `*` or a step in
 * seconds, minutes or hours ticks by real time, as Vixie cron does.
 */
export function readTicks(settings: TickSettings, name: Interval = "BACKUP_INTERVAL"): Ticks {
  const { [name]: expression = "", BACKUP_TIMEZONE: zone } = settings;
  const cron = parse(name, expression.trim(), zone);
  const next = (time: Date) => {
    const tick = cron.nextRun(time);
    if (tick) return tick;
    throw usageFailure(`${name} ${expression} never ticks`, "check the day and the month: no date matches both");
  };
  next(new Date());
  return { name: `${name} ${expression}`, words: intervals[name], next, text: (time) => timeText(time, zone) };
}

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

/** For people: the next three ticks, side by side, or a line each. */
export function nextText(ticks: Ticks, as: "text" | "lines" = "text"): string {
  const times = nextTicks(ticks, new Date(), 3).map(ticks.text);
  return `next ${ticks.words.run}s${as === "lines" ? `:\n${times.join("\n")}` : ` ${times.join(", ")}`}`;
}

/** For people: when the last good one was. */
export const lastText = ({ words, text }: Ticks, good: Date | undefined): string =>
  good ? `${words.last} ${text(good)}` : words.none;

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
