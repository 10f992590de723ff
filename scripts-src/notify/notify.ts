/** Tells people, and the dead man's switch, how a run went. Nothing in here can change how it went. */
import { Failure, messageOf, usageFailure } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { pause } from "../base/retry.ts";
import { redact } from "../base/secrets.ts";
import { counted, visible } from "../base/text.ts";
import type { Settings } from "../settings/settings.ts";
import { type Ping, ping } from "./healthcheck.ts";
import { type MailSettings, sendMail } from "./mail.ts";
import { composeMessage } from "./message.ts";
import { type Outcome, outcomeOf, type Status } from "./outcome.ts";
import { Undelivered } from "./undelivered.ts";
import { webhooks, type WebhookSettings } from "./webhook.ts";

/** All that notices need, so that they are sent when other settings are broken. */
export type NoticeSettings = MailSettings &
  WebhookSettings &
  Pick<Settings, "SITE_NAME" | "EMAIL_NOTIFY_MODE" | "HEALTHCHECK_URL" | "BACKUP_TIMEZONE">;

/** How long (ms) a notice may take; with all that is around it, it holds up a run for 15 s at most. */
const patience = 12_000;

/** What each mode leaves out. */
const silent: Record<Settings["EMAIL_NOTIFY_MODE"], readonly Status[]> = {
  NEVER: ["success", "warning", "failure"],
  FAILURE_ONLY: ["success", "warning"],
  WARNING_AND_FAILURE: ["success"],
  SUCCESS_AND_FAILURE: [],
};

/** Sends one notice over one way, and returns a line about it. May be called again when it threw. */
export type Way = () => Promise<string>;

/**
 * Sends what the settings ask for, mail and webhooks side by side. Never throws, takes less than 15 s, and only logs what
 * went wrong, with cause and hint. Returns the ways that failed and may work later.
 */
export async function notify(outcome: Outcome, settings: NoticeSettings, log: Logger): Promise<Way[]> {
  const mode = settings.EMAIL_NOTIFY_MODE;
  if (mode === "NEVER" && settings.NOTIFY_WEBHOOK_URL)
    log.warn("NOTIFY_WEBHOOK_URL is set, but nothing is posted: it obeys EMAIL_NOTIFY_MODE, which is NEVER");
  if (silent[mode].includes(outcome.status)) return [];
  const ways = waysToTell(outcome, settings);
  const results = await Promise.all(ways.map((way) => attempt(way, log)));
  return ways.filter((_, at) => results[at] === "later");
}

/** Pings HEALTHCHECK_URL, if set; `start` waits 3 s at most, the others less than 15 s. Never throws, only logs. */
export async function pingHealthcheck(
  settings: Pick<Settings, "HEALTHCHECK_URL">,
  kind: Ping,
  log: Logger,
  body = "",
): Promise<void> {
  if (settings.HEALTHCHECK_URL) await attempt(() => ping(settings, kind, visible(redact(body))), log);
}

/** Mail and webhooks. Who has set a webhook and nothing of mail wants no mail; else what is missing for it is reported. */
function waysToTell(outcome: Outcome, settings: NoticeSettings): Way[] {
  const { EMAIL_NOTIFY_MODE, SMTP_HOST, EMAIL_FROM, EMAIL_TO, NOTIFY_WEBHOOK_URL } = settings;
  const clean = withoutSecrets(outcome);
  const ways: Way[] = webhooks(clean, settings, patience);
  if (SMTP_HOST ?? EMAIL_FROM ?? EMAIL_TO ?? (EMAIL_NOTIFY_MODE !== "NEVER" && !NOTIFY_WEBHOOK_URL)) {
    const recipients = [...(EMAIL_TO ?? [])];
    ways.unshift(() => sendMail(composeMessage(clean, localZone(settings)), settings, patience, recipients));
  }
  return ways;
}

/** The zone of the schedule when one is set, else the machine's. */
const localZone = ({ BACKUP_TIMEZONE: zone }: NoticeSettings) =>
  zone === "UTC" ? Intl.DateTimeFormat().resolvedOptions().timeZone : zone;

/** `later`: it failed, and may work then. */
export async function attempt(way: Way, log: Logger): Promise<"sent" | "later" | "failed"> {
  try {
    log.info(await way());
    return "sent";
  } catch (error) {
    log.error(`the notice was not sent: ${redact(messageOf(error))}`);
    if (error instanceof Failure) for (const hint of error.hints) log.error(`hint: ${hint}`);
    return error instanceof Undelivered && error.again !== "never" ? "later" : "failed";
  }
}

/** Secrets are removed before a text is encoded: as HTML or JSON they would look different. */
function withoutSecrets(outcome: Outcome): Outcome {
  const clean = (value: unknown): unknown => {
    if (typeof value === "string") return redact(value);
    if (Array.isArray(value)) return value.map(clean);
    if (value instanceof Date || typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, clean(inner)]));
  };
  return clean(outcome) as Outcome;
}

/**
 * Sends a notice that is marked as a test by every way that is configured, whatever the mode, and returns a line about
 * it. Throws a `Failure` when none is configured or one did not work; what happened to each is in the log.
 */
export async function testNotice(settings: NoticeSettings, log: Logger): Promise<string> {
  const summary = "This is a test notice. No job ran, no backup was made.";
  const outcome: Outcome = { ...outcomeOf("help", settings), summary, test: true };
  const ways = waysToTell(outcome, settings);
  if (settings.HEALTHCHECK_URL) ways.push(() => ping(settings, "log", outcome.summary));
  if (ways.length === 0)
    throw usageFailure(
      "no notice is configured",
      "set SMTP_HOST, EMAIL_FROM and EMAIL_TO for mail, NOTIFY_WEBHOOK_URL, or HEALTHCHECK_URL",
    );
  const results = await Promise.all(ways.map((way) => attempt(way, log)));
  const lost = results.filter((result) => result !== "sent").length;
  if (settings.EMAIL_NOTIFY_MODE === "NEVER")
    log.warn("EMAIL_NOTIFY_MODE is NEVER: no mail and no webhook is sent, except this test");
  if (lost > 0) throw new Failure(`${lost} of ${counted(ways.length, "test notice")} could not be sent`);
  return `${counted(ways.length, "test notice")} sent; check that ${ways.length === 1 ? "it" : "they"} arrived`;
}

const minute = 60_000;
/** Waits (ms) before each try; grey-listing mostly lasts five to fifteen minutes. The last wait is repeated. */
const usualWaits = [minute, 5 * minute, 15 * minute, 60 * minute];
/** After so many tries, about two days, it is given up. */
const usualTries = 50;

/** Takes notices, and never waits for them. */
export type Outbox = (ways: readonly Way[]) => void;

/** Tries each notice again until it is sent, `signal` is aborted, or the tries are used up. */
export function openOutbox(log: Logger, signal: AbortSignal, waits = usualWaits, tries = usualTries): Outbox {
  async function send(way: Way): Promise<void> {
    for (let tried = 0; tried < tries; tried++) {
      await pause(waits[Math.min(tried, waits.length - 1)] ?? minute, signal);
      if ((await attempt(way, log)) !== "later") return;
    }
    log.error(`a notice could not be sent: gave up after ${counted(tries, "more try", "more tries")}`);
  }
  return (ways) => {
    if (ways.length > 0)
      log.info(`${counted(ways.length, "notice")} will be sent again in ${(waits[0] ?? 0) / 1000} s`);
    // a signal ends the waiting: notices that still wait are lost
    for (const way of ways) void send(way).catch(() => {});
  };
}
