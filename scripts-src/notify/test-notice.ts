/** A notice that tries the settings; no job runs. */
import { Failure, usageFailure } from "../base/errors.ts";
import type { Logger } from "../base/log.ts";
import { counted } from "../base/text.ts";
import { ping } from "./healthcheck.ts";
import { attempt, type NoticeSettings, waysToTell } from "./notify.ts";
import { type Outcome, outcomeOf } from "./outcome.ts";

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
