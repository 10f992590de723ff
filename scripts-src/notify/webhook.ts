/** The outcome as JSON, by POST. */
import type { Outcome } from "./outcome.ts";
import type { Settings } from "../settings/settings.ts";
import { post } from "./http.ts";
import { subjectOf } from "./message.ts";

/**
 * What the webhook receives; documented in DOCUMENTATION.md. Every key is always there, null when nothing is known.
 * `format` grows only when a key changes its meaning or goes away; keys may be added at any time.
 */
export interface WebhookBody {
  format: 1;
  /** One or two lines for people: Slack, Mattermost and Rocket.Chat show this key as the message. */
  text: string;
  status: "success" | "failure";
  exitStatus: number;
  /** true: somebody tries the settings, no job ran. */
  test: boolean;
  script: string;
  site: string;
  host: string;
  version: string;
  /** ISO 8601, UTC. */
  startedAt: string;
  endedAt: string;
  durationSeconds: number;
  summary: string;
  error: { message: string; hints: readonly string[] } | null;
  database: string | null;
  server: string | null;
  file: string | null;
  bytes: number | null;
  previousBytes: number | null;
  localPath: string | null;
  remoteLocation: string | null;
  /** The last lines of the log. */
  logTail: readonly string[];
}

/** The JSON of an outcome. */
export function webhookBody(outcome: Outcome): WebhookBody {
  const { facts, error } = outcome;
  return {
    format: 1,
    text: `${subjectOf(outcome)}\n${error?.message ?? outcome.summary}`,
    status: outcome.status,
    exitStatus: outcome.exitStatus,
    test: outcome.test ?? false,
    script: outcome.script,
    site: outcome.site,
    host: outcome.host,
    version: outcome.version,
    startedAt: outcome.startedAt.toISOString(),
    endedAt: outcome.endedAt.toISOString(),
    durationSeconds: (outcome.endedAt.getTime() - outcome.startedAt.getTime()) / 1000,
    summary: outcome.summary,
    error: error ? { message: error.message, hints: error.hints } : null,
    database: facts.database ?? null,
    server: facts.server ?? null,
    file: facts.file ?? null,
    bytes: facts.bytes ?? null,
    previousBytes: facts.previousBytes ?? null,
    localPath: facts.localPath ?? null,
    remoteLocation: facts.remoteLocation ?? null,
    logTail: outcome.logTail,
  };
}

/** Posts the outcome within `patience` ms and returns a line about it; throws a `Failure` with cause and hint. */
export async function postWebhook(
  outcome: Outcome,
  settings: Pick<Settings, "NOTIFY_WEBHOOK_URL">,
  patience: number,
): Promise<string> {
  const url = new URL(settings.NOTIFY_WEBHOOK_URL ?? "");
  const body = JSON.stringify(webhookBody(outcome));
  const request = { setting: "NOTIFY_WEBHOOK_URL", url, body, contentType: "application/json" } as const;
  await post(request, { total: patience, each: patience });
  return `webhook posted to ${url.host}`;
}
