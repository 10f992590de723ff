/** The dead man's switch: healthchecks.io's convention, which others follow, and Uptime Kuma's push monitors. */
import type { Settings } from "../settings/settings.ts";
import { type Patience, type Post, post, reach } from "./http.ts";
import { clip, oneLine } from "../base/text.ts";
import { Undelivered } from "./undelivered.ts";

/** `log` does not change the state of the check. */
export type Ping = "start" | "success" | "fail" | "log";

/** A ping of the start must not hold up the job. */
const patienceFor = (kind: Ping): Patience =>
  kind === "start" ? { total: 3_000, each: 3_000 } : { total: 12_000, each: 5_000 };

/** Uptime Kuma's column for messages. */
const longestKumaMessage = 250;

const isUptimeKuma = ({ pathname }: URL) => /\/api\/push\/[^/]+\/?$/.test(pathname);

/** The request of a ping; undefined when the service has none of that kind. */
export function pingRequest(base: string, kind: Ping, body: string): Omit<Post, "setting"> | undefined {
  const url = new URL(base);
  if (!isUptimeKuma(url)) {
    // below the check's own path, whatever query string it has
    if (kind !== "success") url.pathname = `${url.pathname.replace(/\/+$/, "")}/${kind}`;
    return { url, body, headers: { "Content-Type": "text/plain; charset=utf-8" } };
  }
  if (kind === "start" || kind === "log") return undefined;
  url.searchParams.set("status", kind === "success" ? "up" : "down");
  url.searchParams.set("msg", clip(oneLine(body), longestKumaMessage) || "OK");
  return { method: "GET", url };
}

/**
 * Pings with `body` as the message, tried again briefly, and returns a line about it. Throws an `Undelivered` with cause and hint;
 * that a service knows no ping of the start is none.
 */
export async function ping(settings: Pick<Settings, "HEALTHCHECK_URL">, kind: Ping, body: string): Promise<string> {
  const base = settings.HEALTHCHECK_URL ?? "";
  const request = pingRequest(base, kind, body);
  const { host } = new URL(base);
  if (!request) {
    if (kind === "log") await reach("HEALTHCHECK_URL", new URL(base), patienceFor(kind).each);
    return `health check at ${host}: Uptime Kuma has no ping of the kind "${kind}"; not pinged`;
  }
  try {
    await post({ setting: "HEALTHCHECK_URL", ...request }, patienceFor(kind));
    return `health check pinged at ${host} (${kind})`;
  } catch (error) {
    if (kind !== "start" || !(error instanceof Undelivered) || !error.unknownAddress) throw error;
    return `health check at ${host}: it does not know a ping of the start; not pinged`;
  }
}
