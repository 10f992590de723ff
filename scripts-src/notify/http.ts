/** One HTTP request that has to be accepted: tried again briefly, and explained when it was not. */
import type { SettingName } from "../settings/settings.ts";
import { quoteAnswer } from "./smtp-errors.ts";
import { trusted } from "../base/authorities.ts";
import { retry } from "../base/retry.ts";
import { isSoon, Undelivered } from "./undelivered.ts";
import { codeOf, messageOf } from "../base/errors.ts";

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

/** Waits (ms) between tries, unless the server asks for longer ones. */
const waits = [500, 1_000];

/**
 * Sends until an answer 2xx comes. A lost connection, 429 and 5xx are tried again, up to three times within the
 * patience. Throws an `Undelivered` with the cause of the last failure. A redirect is not followed: the body would get lost.
 */
export async function post(request: Post, { total, each }: Patience): Promise<void> {
  const end = Date.now() + total;
  await retry(request.setting, () => tryOnce(request, Math.min(each, end - Date.now())), {
    waits,
    atLeast: (error) => (error instanceof Undelivered ? error.waitMs : 0),
    again: (error, wait) => isSoon(error) && Date.now() + wait < end,
  });
}

async function tryOnce(request: Post, timeout: number): Promise<void> {
  const { setting, url } = request;
  const { status, ok, headers, answer } = await ask(request, timeout).catch((error: unknown) => {
    throw unreachable(setting, url, error, timeout);
  });
  const refusal = ok ? refusalIn(answer) : undefined;
  if (ok && !refusal) return;
  const [cause, hint] = refusal ?? [`answered ${status}${answer ? `: ${answer}` : ""}`, hintForStatus(status, setting)];
  throw new Undelivered(`${serverOf(setting, url)} ${cause}`, {
    hints: [hint],
    again: status === 429 || status >= 500 ? "soon" : "never",
    status,
    waitMs: Number(headers.get("retry-after") ?? 0) * 1000 || 0,
  });
}

async function ask({ url, method = "POST", body, headers }: Post, timeout: number) {
  const response = await fetch(url, {
    method,
    headers: { "User-Agent": "backup_scripts", ...headers },
    ...(body !== undefined && { body }),
    redirect: "manual",
    signal: AbortSignal.timeout(timeout),
    ...trusted(),
  });
  return { status: response.status, ok: response.ok, headers: response.headers, answer: await beginningOf(response) };
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

const proxyLogin =
  "the proxy wants a login: write it into HTTPS_PROXY and HTTP_PROXY (http://user:password@proxy:3128)";

/** What to do about a proxy's answer such as `403 Forbidden`. */
const hintForProxy = (answer: string) =>
  answer.startsWith("407") ? proxyLogin : "check the proxy, or except the host with NO_PROXY";

function hintForStatus(status: number, setting: SettingName): string {
  if (status === 407) return proxyLogin;
  if (status >= 300 && status < 400) return `redirects are not followed: set ${setting} to the final address`;
  if (status === 413) return "the message is too large for that server, or for a proxy in between";
  if (status === 429 || status >= 500) return "look at the state of that service";
  return `check ${setting}: that server does not know or does not accept it`;
}

/** Services that refuse a message with an answer 200, by the beginning of their answer. */
function refusalIn(answer: string): readonly [cause: string, hint: string] | undefined {
  if (/^Webhook message delivery failed/i.test(answer))
    return [`answered: ${answer}`, "look at the state of that service"];
  if (/^(<!doctype html|<html)/i.test(answer))
    return [
      "answered with a web page instead of a receipt",
      "a proxy or a login page stands in between, or the address is one for people; check the address",
    ];
  return undefined;
}

const isCertificateProblem = (error: unknown): boolean => /CERT|UNABLE_TO_(GET|VERIFY)/.test(codeOf(error) ?? "");

type Explanation = readonly [cause: string, hint: string];

const known: Record<string, Explanation> = {
  ECONNREFUSED: ["cannot be reached: connection refused", "check the address"],
  ENOTFOUND: ["cannot be found: no such host", "check the host name"],
  EAI_AGAIN: ["cannot be found: no such host", "check the host name"],
  EPROTO: ["does not speak TLS", "http:// instead of https:// may be meant"],
  ECONNRESET: ["closed the connection without an answer", "check the address"],
};

function explainFetch(error: unknown, timeout: number): Explanation {
  if (error instanceof Error && error.name === "TimeoutError")
    return [`did not answer within ${(timeout / 1000).toFixed(1)} s`, "check the address and the firewall"];
  const code = codeOf(error) ?? "";
  if (isCertificateProblem(error))
    return [`has a certificate that is not trusted: ${code}`, "name the file of its certificate authority in CA_FILE"];
  const proxy = /^Proxy refused to open a tunnel: (.*)$/.exec(messageOf(error))?.[1];
  if (proxy !== undefined)
    return [`cannot be reached: the proxy in HTTPS_PROXY answered ${proxy}`, hintForProxy(proxy)];
  return known[code] ?? [`cannot be reached: ${code || quoteAnswer(messageOf(error))}`, "check the address"];
}
