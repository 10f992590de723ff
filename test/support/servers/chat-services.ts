/**
 * Chat and push services as strict as their published documentation: what the real one refuses gets the same answer here. All on
 * one server, a path each.
 */
import { startHttpServer, type Asked } from "./http.ts";

/** What a service makes of a message: its answer, and what a person would read (absent: refused). */
interface Verdict {
  status: number;
  answer: string;
  shown?: string;
}

const refused = (status: number, answer: string): Verdict => ({ status, answer });

type Judge = (asked: Asked & { query: URLSearchParams }) => Verdict;

const jsonOf = (asked: Asked): Record<string, unknown> | undefined => {
  if (!asked.headers.get("content-type")?.startsWith("application/json")) return undefined;
  try {
    return JSON.parse(asked.body) as Record<string, unknown>;
  } catch {
    return undefined;
  }
};

const only = (body: object, allowed: readonly string[]) => Object.keys(body).every((key) => allowed.includes(key));

/** docs.slack.dev: incoming webhooks, and "Formatting text": `&`, `<` and `>` are control characters and must be escaped. */
const slack: Judge = (asked) => {
  const body = jsonOf(asked);
  if (!body) return refused(400, "invalid_payload");
  const { text } = body;
  if (typeof text !== "string" || text === "") return refused(400, "no_text");
  if (text.length > 40_000) return refused(400, "msg_too_long");
  if (/[<>]|&(?!(amp|lt|gt);)/.test(text)) return refused(400, "invalid_payload: not escaped");
  const shown = text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
  return { status: 200, answer: "ok", shown };
};

/** developers.mattermost.com: incoming webhooks: text or attachments; posts of at most 16,383 characters. */
const mattermost: Judge = (asked) => {
  const text = jsonOf(asked)?.["text"];
  if (typeof text !== "string" || text === "" || text.length > 16_383)
    return refused(400, '{"id":"web.incoming_webhook.text.app_error","status_code":400}');
  return { status: 200, answer: "ok", shown: text };
};

/** docs.discord.com: Execute Webhook; error codes 50006 (empty message) and 50035 (invalid form body). */
const discord: Judge = (asked) => {
  const body = jsonOf(asked);
  if (!body) return refused(400, '{"message": "The request body contains invalid JSON.", "code": 50109}');
  const { content, flags = 0, allowed_mentions: mentions } = body;
  if (typeof content !== "string" || content === "")
    return refused(400, '{"message":"Cannot send an empty message","code":50006}');
  if (content.length > 2_000 || ![0, 4].includes(Number(flags)))
    return refused(400, '{"message":"Invalid Form Body","code":50035}');
  if (!only(body, ["content", "flags", "allowed_mentions"]))
    return refused(400, '{"message":"Invalid Form Body","code":50035}');
  return { status: 204, answer: "", shown: mentions ? content : `pings everyone: ${content}` };
};

/** learn.microsoft.com: workflows take `{type: "message", attachments: [an Adaptive Card]}`; at most 28 KB. */
const teams: Judge = (asked) => {
  const body = jsonOf(asked);
  const attachments = body?.["attachments"];
  if (!Array.isArray(attachments) || body?.["type"] !== "message" || asked.body.length > 28_000)
    return refused(400, "'foreach' expression '@triggerOutputs()?['body']?['attachments']' is of type 'Null'");
  const [card] = attachments as {
    contentType?: string;
    content?: { type?: string; version?: string; body?: CardBlock[] };
  }[];
  if (card?.contentType !== "application/vnd.microsoft.card.adaptive" || card.content?.type !== "AdaptiveCard")
    return refused(400, "Bad payload received by generic incoming webhook.");
  const blocks = card.content.body ?? [];
  if (!/^1\.[0-5]$/.test(card.content.version ?? "") || !blocks.every(({ type }) => type === "RichTextBlock"))
    return refused(400, "Bad payload received by generic incoming webhook.");
  const shown = blocks.map(({ inlines }) => inlines.map(({ text }) => text).join("")).join("\n");
  return { status: 202, answer: "", shown };
};
interface CardBlock {
  type: string;
  inlines: { type: string; text: string }[];
}

/** docs.ntfy.sh/publish: the body is the message (4,096 bytes, more becomes an attachment); priority 1 to 5. */
const ntfy: Judge = ({ body, query }) => {
  if (!/^[1-5]$/.test(query.get("priority") ?? ""))
    return refused(400, '{"code":40007,"http":400,"error":"invalid priority"}');
  if (body === "" || Buffer.byteLength(body) > 4_096)
    return refused(400, '{"code":40032,"http":400,"error":"not text"}');
  return { status: 200, answer: '{"id":"Wt7bHBTjNmxQ","event":"message"}', shown: `${query.get("title")}\n${body}` };
};

/** core.telegram.org/bots/api#sendmessage: chat_id and text (1 to 4,096 characters). */
const telegram: Judge = (asked) => {
  const body = jsonOf(asked);
  if (!body?.["chat_id"])
    return refused(400, '{"ok":false,"error_code":400,"description":"Bad Request: chat_id is empty"}');
  const { text } = body;
  if (typeof text !== "string" || text.length === 0 || text.length > 4_096)
    return refused(400, '{"ok":false,"error_code":400,"description":"Bad Request: message is too long"}');
  return { status: 200, answer: '{"ok":true,"result":{"message_id":1}}', shown: text };
};

/** gotify.net/api-docs: POST /message with the application's token; `message` is required, `priority` a number. */
const gotify: Judge = (asked) => {
  const body = jsonOf(asked);
  if (!asked.query.get("token")) return refused(401, '{"error":"Unauthorized","errorCode":401}');
  const { title, message, priority } = body ?? {};
  if (typeof message !== "string" || message === "" || !Number.isInteger(priority))
    return refused(400, '{"error":"Bad Request","errorCode":400,"errorDescription":"Field \'message\' is required"}');
  return { status: 200, answer: '{"id":1,"appid":1}', shown: `${String(title)}\n${message}` };
};

/** Each service: the path and query of an address as it hands them out, the format, and how it judges. */
const services: Record<string, { address: string; format: string; judge: Judge }> = {
  slack: { address: "/services/T000/B000/XXXX", format: "slack", judge: slack },
  mattermost: { address: "/hooks/xxgenerated26characterskey", format: "slack", judge: mattermost },
  discord: { address: "/api/webhooks/123/token", format: "discord", judge: discord },
  teams: { address: "/workflows/abc/triggers/manual/paths/invoke?sig=x", format: "teams", judge: teams },
  ntfy: { address: "/my-topic?auth=x", format: "ntfy", judge: ntfy },
  telegram: { address: "/bot123:token/sendMessage?chat_id=-100123", format: "telegram", judge: telegram },
  gotify: { address: "/message?token=AzyoeNS", format: "gotify", judge: gotify },
};

/** Starts them all; `shown` fills with what a person reads, by service. */
export function startChatServices() {
  const shown: Record<string, string> = {};
  const server = startHttpServer((asked) => {
    const { pathname, searchParams: query } = new URL(asked.path, "http://x");
    const [name, service] =
      Object.entries(services).find(([, { address }]) => address.split("?")[0] === pathname) ?? [];
    if (!name || !service || asked.method !== "POST") return new Response("not found", { status: 404 });
    const verdict = service.judge({ ...asked, query });
    if (verdict.shown !== undefined) shown[name] = verdict.shown;
    return new Response(verdict.status === 204 ? null : verdict.answer, { status: verdict.status });
  });
  const all = Object.values(services);
  return {
    server,
    shown,
    names: Object.keys(services),
    /** The settings that lead to all of them. */
    settings: {
      NOTIFY_WEBHOOK_URL: all.map(({ address }) => server.url + address).join(" "),
      NOTIFY_WEBHOOK_FORMAT: all.map(({ format }) => format).join(" "),
    },
  };
}
