/** One POST that has to be taken: retried briefly, and explained when it was not. */
import { codeOf, Failure, messageOf } from "../base/errors.ts";
import type { SettingName } from "../settings/settings.ts";
import { quoteAnswer } from "./smtp-errors.ts";

export interface Post {
  /** The setting that the address came from: what messages name instead of the address, which is secret. */
  setting: SettingName;
  url: URL;
  body: string;
  contentType: string;
}

/** How long to go on, in ms: in all, and with one try. */
export interface Patience {
  total: number;
  each: number;
}

const tries = 3;
const waitMs = 500;

/**
 * POSTs until an answer 2xx comes; a lost connection, 429 and 5xx are tried again, up to three times within the
 * patience. Throws a `Failure` that says what the last try met. A redirect is not followed: the body would get lost.
 */
export async function post(request: Post, patience: Patience): Promise<void> {
  const end = Date.now() + patience.total;
  for (let attempt = 1; ; attempt++) {
    const { failure, again } = await tryOnce(request, Math.min(patience.each, end - Date.now()));
    if (!failure) return;
    if (!again || attempt === tries || Date.now() + waitMs * attempt >= end) throw failure;
    await Bun.sleep(waitMs * attempt);
  }
}

async function tryOnce(request: Post, timeout: number): Promise<{ failure?: Failure; again?: boolean }> {
  const { setting, url } = request;
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": request.contentType, "User-Agent": "backup_scripts" },
      body: request.body,
      redirect: "manual",
      signal: AbortSignal.timeout(timeout),
    });
    if (response.ok) return {};
    const answer = await beginningOf(response);
    const again = response.status === 429 || response.status >= 500;
    const hint = hintFor(response.status, setting);
    return {
      failure: new Failure(`${serverOf(setting, url)} answered ${response.status}${answer}`, { hints: [hint] }),
      again,
    };
  } catch (error) {
    return { failure: unreachable(setting, url, error, timeout), again: !untrusted(error) };
  }
}

/**
 * Makes sure that the server of an address answers, without triggering anything: it is asked for its options and not for
 * that address. Throws a `Failure` after `timeout` ms at most.
 */
export async function reach(setting: SettingName, url: URL, timeout: number): Promise<void> {
  try {
    await fetch(new URL("/", url), { method: "OPTIONS", redirect: "manual", signal: AbortSignal.timeout(timeout) });
  } catch (error) {
    throw unreachable(setting, url, error, timeout);
  }
}

const serverOf = (setting: SettingName, url: URL) => `the server of ${setting} (${url.host})`;

function unreachable(setting: SettingName, url: URL, error: unknown, timeout: number): Failure {
  const [cause, hint] = explainFetch(error, timeout);
  return new Failure(`${serverOf(setting, url)} ${cause}`, { hints: [`${hint} (${setting})`], cause: error });
}

/** The first words of an answer; the rest is not read. */
async function beginningOf(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  const first = await reader?.read();
  await reader?.cancel();
  const text = quoteAnswer(first?.value ? new TextDecoder().decode(first.value) : "");
  return text ? `: ${text}` : "";
}

function hintFor(status: number, setting: SettingName): string {
  if (status >= 300 && status < 400) return `redirects are not followed: set ${setting} to the final address`;
  if (status === 429 || status >= 500) return "look at the state of that service";
  return `check ${setting}: that server does not know or does not accept it`;
}

const untrusted = (error: unknown) => /CERT|UNABLE_TO_(GET|VERIFY)/.test(codeOf(error) ?? "");

function explainFetch(error: unknown, timeout: number): [cause: string, hint: string] {
  if (error instanceof Error && error.name === "TimeoutError")
    return [`did not answer within ${(timeout / 1000).toFixed(1)} s`, "check the address and the firewall"];
  const code = codeOf(error) ?? "";
  if (code === "ECONNREFUSED") return ["cannot be reached: connection refused", "check the address"];
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") return ["cannot be found: no such host", "check the host name"];
  if (code === "EPROTO") return ["does not speak TLS", "http:// instead of https:// may be meant"];
  if (code === "ECONNRESET") return ["closed the connection without an answer", "check the address"];
  if (untrusted(error))
    return [
      `has a certificate that is not trusted: ${code}`,
      "add its CA certificate to this machine's trusted ones, or name the file in the environment variable NODE_EXTRA_CA_CERTS",
    ];
  return [`could not be asked: ${code || quoteAnswer(messageOf(error))}`, "check the address"];
}
