/** The outcome as a POST: as JSON for programs, or as the message that a chat or push service takes. */
import type { Settings } from "../settings/settings.ts";
import { visible } from "../base/text.ts";
import { buildChat, chatFormatOf } from "./chat.ts";
import { post } from "./http.ts";
import type { DatabaseOutcome, Outcome, Status } from "./outcome.ts";
import { shortText } from "./short-text.ts";
import { subjectOf } from "./subject.ts";

/**
 * What a webhook receives in the format `json`; documented in DOCUMENTATION.md. Every key is always there, null when nothing is
 * known. `format` grows only when a key changes its meaning or disappears; keys may be added at any time.
 */
interface WebhookBody {
  format: 1;
  /** One or two lines for people: Slack, Mattermost and Rocket.Chat show this key as the message. */
  text: string;
  status: Status;
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
  warnings: readonly string[];
  error: { message: string; hints: readonly string[] } | null;
  database: string | null;
  server: string | null;
  file: string | null;
  bytes: number | null;
  previousBytes: number | null;
  /** Rows of all tables that were backed up or compared. */
  rows: number | null;
  /** Of a proof: how long the backup took to be restored. */
  restoreSeconds: number | null;
  localPath: string | null;
  remoteLocation: string | null;
  /** Of a run over several databases: each of them. */
  databases: readonly DatabaseOutcome[] | null;
  /** Of a failure, as far as it could be found: the newest good backup. */
  lastGood: { startedAt: string; locations: readonly string[] } | null;
  /** The last lines of the log. */
  logTail: readonly string[];
}

/** The JSON of an outcome. */
export function webhookBody(outcome: Outcome): WebhookBody {
  const { facts, error } = outcome;
  const { startedAt: lastStart, locations = [] } = facts.lastGood ?? {};
  return {
    format: 1,
    text: `${subjectOf(outcome)}\n${visible(error?.message ?? outcome.summary)}`,
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
