/** One HTTP request that has to be accepted: tried again briefly, and explained when it was not. */
import type { SettingName } from "../settings/settings.ts";
import { explainFetch, hintForStatus, isCertificateProblem, refusalIn } from "./http-errors.ts";
import { quoteAnswer } from "./smtp-errors.ts";
import { trusted } from "../base/authorities.ts";
import { Undelivered } from "./undelivered.ts";

export interface Post {
  /** The setting that the address came from: messages name it instead of the address, which is secret. */
  setting: SettingName;
  url: URL;
  /** Default: POST. */
  method?: "GET" | "POST";
  body?: string;
  headers?: Record<string, string>;
}

/** How long to go on (ms): in all, and with one try. */
export interface Patience {
  total: number;
  each: number;
}

const tries = 3;
/** Wait (ms) after the first try; it grows with each. */
const pauseMs = 500;

/**
 * Sends until an answer 2xx comes. A lost connection, 429 and 5xx are tried again, up to three times within the
 * patience. Throws an `Undelivered` with the cause of the last failure. A redirect is not followed: the body would get lost.
 */
export async function post(request: Post, patience: Patience): Promise<void> {
  const end = Date.now() + patience.total;
  for (let attempt = 1; ; attempt++) {
    const { failure, waitMs = 0 } = await tryOnce(request, Math.min(patience.each, end - Date.now()));
    if (!failure) return;
    const wait = Math.max(pauseMs * attempt, waitMs);
    if (failure.again !== "soon" || attempt === tries || Date.now() + wait >= end) throw failure;
    await Bun.sleep(wait);
  }
}

async function tryOnce(request: Post, timeout: number): Promise<{ failure?: Undelivered; waitMs?: number }> {
  const { setting, url, method = "POST", body, headers } = request;
  try {
    const response = await fetch(url, {
      method,
      headers: { "User-Agent": "backup_scripts", ...headers },
      ...(body !== undefined && { body }),
      redirect: "manual",
      signal: AbortSignal.timeout(timeout),
      ...trusted(),
    });
    const answer = await beginningOf(response);
    const refusal = response.ok ? refusalIn(answer) : undefined;
    if (response.ok && !refusal) return {};
    const [cause, hint] = refusal ?? [
      `answered ${response.status}${answer ? `: ${answer}` : ""}`,
      hintForStatus(response.status, setting),
    ];
    const again = response.status === 429 || response.status >= 500 ? "soon" : "never";
    const failure = new Undelivered(`${serverOf(setting, url)} ${cause}`, {
      hints: [hint],
      again,
      status: response.status,
    });
    return { failure, waitMs: Number(response.headers.get("retry-after") ?? 0) * 1000 || 0 };
  } catch (error) {
    return { failure: unreachable(setting, url, error, timeout) };
  }
}

/**
 * Makes sure that the server of an address answers, without triggering anything: it is asked for its options, and not for
 * that address. Throws a `Failure` after `timeout` ms at most.
 */
export async function reach(setting: SettingName, url: URL, timeout: number): Promise<void> {
  try {
    const signal = AbortSignal.timeout(timeout);
    await fetch(new URL("/", url), { method: "OPTIONS", redirect: "manual", signal, ...trusted() });
  } catch (error) {
    throw unreachable(setting, url, error, timeout);
  }
}

const serverOf = (setting: SettingName, url: URL) => `the server of ${setting} (${url.host})`;

function unreachable(setting: SettingName, url: URL, error: unknown, timeout: number): Undelivered {
  const [cause, hint] = explainFetch(error, timeout);
  const again = isCertificateProblem(error) ? "never" : "soon";
  return new Undelivered(`${serverOf(setting, url)} ${cause}`, {
    hints: [`${hint} (${setting})`],
    cause: error,
    again,
  });
}

/** The first words of an answer; the rest is not read. */
async function beginningOf(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  const first = await reader?.read();
  await reader?.cancel();
  return quoteAnswer(first?.value ? new TextDecoder().decode(first.value) : "");
}
