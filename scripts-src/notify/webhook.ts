/** The outcome as a POST: as JSON for programs, or as the message that a chat or push service takes. */
import type { Settings } from "../settings/settings.ts";
import { visible } from "../base/text.ts";
import { buildChat, chatFormatOf } from "./chat.ts";
import { post } from "./http.ts";
import type { Outcome } from "./outcome.ts";
import { shortText, subjectOf } from "./subject.ts";

/**
 * What a webhook receives in the format `json`; documented in DOCUMENTATION.md. Every key is always there, null when nothing is
 * known. `format` grows only when a key changes its meaning or disappears; keys may be added at any time. Times are ISO 8601, UTC.
 */
export function webhookBody(outcome: Outcome) {
  const { facts, error, startedAt, endedAt } = outcome;
  const { startedAt: lastStart, locations = [] } = facts.lastGood ?? {};
  return {
    format: 1,
    // Slack, Mattermost and Rocket.Chat show this key as the message
    text: `${subjectOf(outcome)}\n${visible(error?.message ?? outcome.summary)}`,
    status: outcome.status,
    exitStatus: outcome.exitStatus,
    test: outcome.test ?? false,
    script: outcome.script,
    site: outcome.site,
    host: outcome.host,
    version: outcome.version,
    startedAt: startedAt.toISOString(),
    endedAt: endedAt.toISOString(),
    durationSeconds: (endedAt.getTime() - startedAt.getTime()) / 1000,
    summary: outcome.summary,
    warnings: outcome.warnings,
    error: error ? { message: error.message, hints: error.hints } : null,
    database: facts.database ?? null,
    server: facts.server ?? null,
    file: facts.file ?? null,
    bytes: facts.bytes ?? null,
    previousBytes: facts.previousBytes ?? null,
    rows: facts.rows ?? null,
    restoreSeconds: facts.restoreMs === undefined ? null : facts.restoreMs / 1000,
    localPath: facts.localPath ?? null,
    remoteLocation: facts.remoteLocation ?? null,
    databases: facts.databases ?? null,
    lastGood: lastStart ? { startedAt: lastStart.toISOString(), locations } : null,
    logTail: outcome.logTail,
  };
}

export type WebhookSettings = Pick<Settings, "NOTIFY_WEBHOOK_URL" | "NOTIFY_WEBHOOK_FORMAT">;

/** One way for each address in NOTIFY_WEBHOOK_URL: posts within `patience` ms and returns a line; throws an `Undelivered`. */
export function webhooks(
  outcome: Outcome,
  { NOTIFY_WEBHOOK_URL: addresses = [], NOTIFY_WEBHOOK_FORMAT: formats = [] }: WebhookSettings,
  patience: number,
): (() => Promise<string>)[] {
  return addresses.map((address, at) => async () => {
    const url = new URL(address);
    const format = formats[at] ?? formats.at(-1) ?? chatFormatOf(url) ?? "json";
    const request =
      format === "json"
        ? { url, body: JSON.stringify(webhookBody(outcome)), headers: { "Content-Type": "application/json" } }
        : buildChat[format](shortText(outcome), outcome.status, url);
    await post({ setting: "NOTIFY_WEBHOOK_URL", ...request }, { total: patience, each: patience });
    return `webhook posted to ${url.host}${format === "json" ? "" : ` (${format})`}`;
  });
}
