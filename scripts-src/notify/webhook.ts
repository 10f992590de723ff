/** The outcome as a POST: as JSON for programs, or as the message that a chat or push service takes. */
import type { Settings } from "../settings/settings.ts";
import { visible } from "../base/text.ts";
import { post } from "./http.ts";
import type { Outcome, Status } from "./outcome.ts";
import { shortText, type ShortText, subjectOf } from "./message.ts";

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

/** The values of `NOTIFY_WEBHOOK_FORMAT`. */
const chatFormats = ["slack", "discord", "teams", "ntfy", "telegram", "gotify"] as const;
type ChatFormat = (typeof chatFormats)[number];

interface ChatRequest {
  url: URL;
  body: string;
  headers: Record<string, string>;
}

type Build = (text: ShortText, status: Status, url: URL) => ChatRequest;

const json = (url: URL, body: object): ChatRequest => ({
  url,
  body: JSON.stringify(body),
  headers: { "Content-Type": "application/json" },
});

/** In a block of code no service looks for links, mentions or markup. */
const codeBlock = ({ title, body }: ShortText) => `\`\`\`\n${`${title}\n${body}`.replaceAll("```", "'''")}\n\`\`\``;

/** Slack reads `&`, `<` and `>` as its own marks, also in code; Mattermost and Rocket.Chat would show `&lt;` as it is. */
const escapeForSlack = (text: string, { hostname, pathname }: URL) =>
  /^hooks\.slack(-gov)?\.com$/.test(hostname) || pathname.startsWith("/services/")
    ? text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")
    : text;

const suppressEmbeds = 4;
const teamsColour: Record<Status, string> = { success: "Good", warning: "Warning", failure: "Attention" };
/** 1 to 5; 3 is the default. */
const ntfyPriority: Record<Status, string> = { success: "3", warning: "4", failure: "5" };
const ntfyTag: Record<Status, string> = { success: "white_check_mark", warning: "warning", failure: "rotating_light" };
/** 0 to 10; from 8 on it rings. */
const gotifyPriority: Record<Status, number> = { success: 2, warning: 5, failure: 8 };

/** Cards are the only form that the webhooks of Teams' workflows take. RichTextBlock is text without Markdown. */
function teamsCard({ title, body }: ShortText, status: Status): object {
  const block = (text: string, style: object) => ({
    type: "RichTextBlock",
    inlines: [{ type: "TextRun", text, ...style }],
  });
  return {
    type: "AdaptiveCard",
    $schema: "http://adaptivecards.io/schemas/adaptive-card.json",
    version: "1.4",
    body: [
      block(title, { weight: "Bolder", color: teamsColour[status] }),
      ...body.split("\n").map((line) => block(line, {})),
    ],
  };
}

/**
 * The request that each chat or push service wants, by its published documentation. All get plain text: nothing in it becomes a
 * link, a mention or markup.
 */
const buildChat: Record<ChatFormat, Build> = {
  slack: (text, _, url) => json(url, { text: escapeForSlack(codeBlock(text), url) }),
  discord: (text, _, url) =>
    json(url, { content: codeBlock(text), allowed_mentions: { parse: [] }, flags: suppressEmbeds }),
  teams: (text, status, url) =>
    json(url, {
      type: "message",
      attachments: [
        {
          contentType: "application/vnd.microsoft.card.adaptive",
          contentUrl: null,
          content: teamsCard(text, status),
        },
      ],
    }),
  ntfy({ title, body }, status, address) {
    // in the query string and not in headers: those cannot hold every letter
    const url = new URL(address);
    const words = { title, priority: ntfyPriority[status], tags: ntfyTag[status] };
    for (const [name, value] of Object.entries(words)) url.searchParams.set(name, value);
    return { url, body, headers: { "Content-Type": "text/plain; charset=utf-8" } };
  },
  telegram({ title, body }, _, address) {
    const url = new URL(address);
    const chat = Object.fromEntries(url.searchParams);
    url.search = "";
    return json(url, { ...chat, text: `${title}\n${body}`, link_preview_options: { is_disabled: true } });
  },
  gotify: ({ title, body }, status, url) => json(url, { title, message: body, priority: gotifyPriority[status] }),
};

/** Patterns of the services' addresses. A service that people host themselves can have any host name. */
const addresses: readonly [ChatFormat, host: RegExp, path?: RegExp][] = [
  ["slack", /^hooks\.slack(-gov)?\.com$/],
  ["slack", /./, /\/hooks\/[a-z0-9]{26}$/], // Mattermost
  ["slack", /./, /\/hooks\/[A-Za-z0-9]{17,24}\/[A-Za-z0-9]{40,}$/], // Rocket.Chat
  ["discord", /(^|\.)discord(app)?\.com$/],
  ["teams", /\.webhook\.office\.com$|\.logic\.azure\.(com|us)$|\.api\.powerplatform\.(com|us)$/],
  ["ntfy", /^ntfy\./],
  ["telegram", /^api\.telegram\.org$/],
  ["gotify", /^gotify\./],
  ["gotify", /./, /\/message\?token=A/],
];

/** The service behind an address; undefined for one that is none of them. */
export const chatFormatOf = ({ hostname, pathname, search }: URL): ChatFormat | undefined =>
  addresses.find(([, host, path]) => host.test(hostname) && (path?.test(pathname + search) ?? true))?.[0];
