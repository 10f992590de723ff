/** What went wrong with a webhook or a health check, in words that lead to the setting to change. */
import { codeOf, messageOf } from "../base/errors.ts";
import type { SettingName } from "../settings/settings.ts";
import { quoteAnswer } from "./smtp-errors.ts";

const proxyLogin =
  "the proxy wants a login: write it into HTTPS_PROXY and HTTP_PROXY (http://user:password@proxy:3128)";

/** What to do about a proxy's answer such as `403 Forbidden`. */
const hintForProxy = (answer: string) =>
  answer.startsWith("407") ? proxyLogin : "check the proxy, or except the host with NO_PROXY";

export function hintForStatus(status: number, setting: SettingName): string {
  if (status === 407) return proxyLogin;
  if (status >= 300 && status < 400) return `redirects are not followed: set ${setting} to the final address`;
  if (status === 413) return "the message is too large for that server, or for a proxy in between";
  if (status === 429 || status >= 500) return "look at the state of that service";
  return `check ${setting}: that server does not know or does not accept it`;
}

/** Services that refuse a message with an answer 200, by the beginning of their answer. */
export function refusalIn(answer: string): readonly [cause: string, hint: string] | undefined {
  if (/^Webhook message delivery failed/i.test(answer))
    return [`answered: ${answer}`, "look at the state of that service"];
  if (/^(<!doctype html|<html)/i.test(answer))
    return [
      "answered with a web page instead of a receipt",
      "a proxy or a login page stands in between, or the address is one for people; check the address",
    ];
  return undefined;
}

export const isCertificateProblem = (error: unknown): boolean =>
  /CERT|UNABLE_TO_(GET|VERIFY)/.test(codeOf(error) ?? "");

type Explanation = readonly [cause: string, hint: string];

const known: Record<string, Explanation> = {
  ECONNREFUSED: ["cannot be reached: connection refused", "check the address"],
  ENOTFOUND: ["cannot be found: no such host", "check the host name"],
  EAI_AGAIN: ["cannot be found: no such host", "check the host name"],
  EPROTO: ["does not speak TLS", "http:// instead of https:// may be meant"],
  ECONNRESET: ["closed the connection without an answer", "check the address"],
};

export function explainFetch(error: unknown, timeout: number): Explanation {
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
