/** Tells a person, and the dead man's switch, how a run went. Nothing in here can change how it went. */
import { hostname } from "node:os";
import { exitStatus, Failure, messageOf, usageFailure } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { redact } from "../base/secrets.ts";
import type { Outcome } from "./outcome.ts";
import { siteOf } from "../settings/site.ts";
import type { Settings } from "../settings/settings.ts";
import { version } from "../base/version.ts";
import { ping, type Ping } from "./healthcheck.ts";
import { sendMail, type MailSettings } from "./mail.ts";
import { composeMessage } from "./message.ts";
import { postWebhook } from "./webhook.ts";

/** All that notices need, so that they go out when other settings are broken. */
export type NoticeSettings = MailSettings &
  Pick<Settings, "SITE_NAME" | "EMAIL_NOTIFY_MODE" | "NOTIFY_WEBHOOK_URL" | "HEALTHCHECK_URL" | "BACKUP_TIMEZONE">;

/** How long a notice may take, in ms; DESIGN promises 15 s at most. */
const patience = 12_000;

/**
 * Sends what the settings ask for, mail and webhook side by side. Never throws, takes less than 15 s, and only logs what
 * went wrong, with cause and hint.
 */
export async function notify(outcome: Outcome, settings: NoticeSettings, log: Logger): Promise<void> {
  const mode = settings.EMAIL_NOTIFY_MODE;
  if (mode === "NEVER" && settings.NOTIFY_WEBHOOK_URL)
    log.warn("NOTIFY_WEBHOOK_URL is set, but nothing is posted: it obeys EMAIL_NOTIFY_MODE, which is NEVER");
  if (mode === "NEVER" || (mode === "FAILURE_ONLY" && outcome.status === "success")) return;
  await Promise.all(waysToTell(withoutSecrets(outcome), settings).map((way) => attempt(way, log)));
}

/** Pings HEALTHCHECK_URL, if set; `start` waits 3 s at most, the others less than 15 s. Never throws, only logs. */
export async function pingHealthcheck(
  settings: Pick<Settings, "HEALTHCHECK_URL">,
  kind: Ping,
  log: Logger,
  body = "",
): Promise<void> {
  if (settings.HEALTHCHECK_URL) await attempt(() => ping(settings, kind, redact(body)), log);
}

/**
 * Sends a notice that is marked as a test by every way that is configured, whatever the mode, and returns a line about
 * it. Throws a `Failure` when none is configured or one did not work; what happened to each is in the log.
 */
export async function testNotice(settings: NoticeSettings, log: Logger): Promise<string> {
  const outcome = testOutcome(settings);
  const ways = waysToTell(outcome, settings);
  if (settings.HEALTHCHECK_URL) ways.push(() => ping(settings, "log", outcome.summary));
  if (ways.length === 0)
    throw usageFailure(
      "no notice is configured",
      "set SMTP_HOST, EMAIL_FROM and EMAIL_TO for mail, NOTIFY_WEBHOOK_URL, or HEALTHCHECK_URL",
    );
  const sent = (await Promise.all(ways.map((way) => attempt(way, log)))).filter(Boolean).length;
  if (settings.EMAIL_NOTIFY_MODE === "NEVER")
    log.warn("EMAIL_NOTIFY_MODE is NEVER: but for this test, neither mail nor webhook is sent");
  if (sent < ways.length) throw new Failure(`${ways.length - sent} of ${ways.length} test notices were not sent`);
  return `${sent} of ${ways.length} test notices were sent: now look whether they arrived`;
}

function testOutcome(settings: NoticeSettings): Outcome {
  const now = new Date();
  return {
    script: "help",
    status: "success",
    exitStatus: exitStatus.done,
    site: siteOf(settings),
    host: hostname(),
    version,
    startedAt: now,
    endedAt: now,
    facts: {},
    summary: "This is a test notice. No job ran, no backup was made.",
    logTail: [],
    test: true,
  };
}

type Way = () => Promise<string>;

/** Mail and webhook. Who has set a webhook and nothing of mail wants no mail; else what is missing for it is told. */
function waysToTell(outcome: Outcome, settings: NoticeSettings): Way[] {
  const { EMAIL_NOTIFY_MODE, SMTP_HOST, EMAIL_FROM, EMAIL_TO, NOTIFY_WEBHOOK_URL } = settings;
  const ways: Way[] = [];
  if (SMTP_HOST ?? EMAIL_FROM ?? EMAIL_TO ?? (EMAIL_NOTIFY_MODE !== "NEVER" && !NOTIFY_WEBHOOK_URL))
    ways.push(() => sendMail(composeMessage(outcome, localZone(settings)), settings, patience));
  if (NOTIFY_WEBHOOK_URL) ways.push(() => postWebhook(outcome, settings, patience));
  return ways;
}

/** The zone of the schedule when one is set, else the machine's. */
const localZone = ({ BACKUP_TIMEZONE: zone }: NoticeSettings) =>
  zone === "UTC" ? Intl.DateTimeFormat().resolvedOptions().timeZone : zone;

async function attempt(way: Way, log: Logger): Promise<boolean> {
  try {
    log.info(await way());
    return true;
  } catch (error) {
    log.error(`the notice was not sent: ${redact(messageOf(error))}`);
    if (error instanceof Failure) for (const hint of error.hints) log.error(`hint: ${hint}`);
    return false;
  }
}

/** Secrets go before a text is encoded: as HTML or JSON they would look different. */
function withoutSecrets(outcome: Outcome): Outcome {
  const clean = (value: unknown): unknown => {
    if (typeof value === "string") return redact(value);
    if (Array.isArray(value)) return value.map(clean);
    if (value instanceof Date || typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, clean(inner)]));
  };
  return clean(outcome) as Outcome;
}
