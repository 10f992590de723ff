/** The dead man's switch: healthchecks.io's convention, which others follow. */
import type { Settings } from "../settings/settings.ts";
import { type Patience, post } from "./http.ts";

/** What to tell: `log` leaves the state of the check as it is. */
export type Ping = "start" | "success" | "fail" | "log";

/** Start must not hold up the job. */
const patience: Record<Ping, Patience> = {
  start: { total: 3_000, each: 3_000 },
  success: { total: 12_000, each: 5_000 },
  fail: { total: 12_000, each: 5_000 },
  log: { total: 12_000, each: 5_000 },
};

/** The address of a ping: a path below the check's own one, whatever query string that has. */
export function pingAddress(base: string, kind: Ping): URL {
  const url = new URL(base);
  if (kind !== "success") url.pathname = `${url.pathname.replace(/\/+$/, "")}/${kind}`;
  return url;
}

/** Pings with `body` as the message, retried briefly; throws a `Failure` with cause and hint. */
export async function ping(settings: Pick<Settings, "HEALTHCHECK_URL">, kind: Ping, body: string): Promise<string> {
  const url = pingAddress(settings.HEALTHCHECK_URL ?? "", kind);
  await post({ setting: "HEALTHCHECK_URL", url, body, contentType: "text/plain; charset=utf-8" }, patience[kind]);
  return `health check pinged at ${url.host} (${kind})`;
}
