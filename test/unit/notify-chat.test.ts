/** N10: which service an address belongs to, and messages that the strictest reading of its documentation accepts. */
import { afterAll, expect, test } from "bun:test";
import * as fc from "fast-check";
import type { Outcome } from "../../scripts-src/notify/outcome.ts";
import { chatFormatOf, webhooks } from "../../scripts-src/notify/webhook.ts";
import { settingsFrom } from "../../scripts-src/settings/settings.ts";
import { startChatServices } from "../support/servers/chat-services.ts";
import { startHttpServer } from "../support/servers/http.ts";

const services = startChatServices();
afterAll(() => services.server.stop());

test.each([
  ["https://hooks.slack.com/services/T0/B0/x", "slack"],
  ["https://hooks.slack-gov.com/services/T0/B0/x", "slack"],
  ["https://chat.example.com/hooks/xxgenerated26characterskey", "slack"],
  ["https://rocket.example.com/hooks/5f8a1b2c3d4e5f6a7/abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuv", "slack"],
  ["https://discord.com/api/webhooks/1/t", "discord"],
  ["https://canary.discordapp.com/api/webhooks/1/t", "discord"],
  ["https://firm.webhook.office.com/webhookb2/x", "teams"],
  ["https://prod-25.westeurope.logic.azure.com:443/workflows/x", "teams"],
  ["https://default0.1.environment.api.powerplatform.com/powerautomate/x", "teams"],
  ["https://ntfy.sh/my-topic", "ntfy"],
  ["https://ntfy.example.com/my-topic", "ntfy"],
  ["https://api.telegram.org/bot1:x/sendMessage?chat_id=1", "telegram"],
  ["https://gotify.example.com/message?token=A1", "gotify"],
  ["https://push.example.com/message?token=A1", "gotify"],
  ["https://hooks.example.com/backup", undefined],
  ["https://example.com/hooks/backup", undefined],
  ["https://notdiscord.com/api", undefined],
])("N10: the service of %s is %p", (address, format) => {
  expect(chatFormatOf(new URL(address))).toBe(format as "slack");
});

const now = new Date();
const outcome = (text: string): Outcome => ({
  script: "backup",
  status: "failure",
  exitStatus: 1,
  site: text,
  host: "h",
  version: "1",
  startedAt: now,
  endedAt: now,
  facts: { database: text },
  summary: text,
  warnings: [text],
  error: { message: text, hints: [text] },
  logTail: [],
});

async function send(text: string, settings = services.settings): Promise<void> {
  await Promise.all(webhooks(outcome(text), settingsFrom(settings), 5_000).map((way) => way()));
}

test("N10: every service accepts every text", async () => {
  const nasty = fc.constantFrom(
    "```",
    "<!channel>",
    "@everyone",
    "&lt;",
    "&",
    "<b>",
    "*x*",
    "[a](https://a.b)",
    "\u0000",
    "😀",
    "\ud800",
  );
  const text = fc
    .array(fc.oneof(nasty, fc.string({ unit: "grapheme" })), { maxLength: 40 })
    .map((parts) => parts.join(""));
  await fc.assert(
    fc.asyncProperty(text, async (value) => send(value)),
    { numRuns: 60, examples: [[""], ["x".repeat(50_000)], ["漢".repeat(5_000)]] },
  );
});

test("N10: what a person reads has the failure first, without links, mentions or markup", async () => {
  await send("cannot write <x> & `y` to https://s3.example.com: @everyone");
  expect(Object.keys(services.shown).toSorted()).toEqual(services.names.toSorted());
  for (const [name, shown] of Object.entries(services.shown)) {
    expect(shown.replace("```\n", "")).toStartWith("FAILED: cannot write <x> & `y`");
    // code blocks, plain text (Telegram, ntfy, Gotify) and RichTextBlock know no markup
    expect(/^```\n[^]*\n```$/.test(shown)).toBe(["slack", "mattermost", "discord"].includes(name));
  }
});

test("N10: one format for all addresses, and an answer that refuses although its status is 200", async () => {
  const server = startHttpServer(({ path }) => {
    if (path === "/teams") return new Response("Webhook message delivery failed with error: HTTP error 429");
    return path === "/page" ? new Response("<!DOCTYPE html><html>log in</html>") : undefined;
  });
  const settings = settingsFrom({
    NOTIFY_WEBHOOK_URL: `${server.url}/teams ${server.url}/page ${server.url}/good`,
    NOTIFY_WEBHOOK_FORMAT: "discord",
  });
  const told = await Promise.all(webhooks(outcome("x"), settings, 5_000).map((way) => way().catch(String)));
  expect(told).toEqual([
    expect.stringContaining("answered: Webhook message delivery failed"),
    expect.stringContaining("answered with a web page instead of a receipt"),
    `webhook posted to ${new URL(server.url).host} (discord)`,
  ]);
  expect(server.asked.map(({ body }) => Object.keys(JSON.parse(body) as object)[0])).toEqual([
    "content",
    "content",
    "content",
  ]);
  await server.stop();
});
