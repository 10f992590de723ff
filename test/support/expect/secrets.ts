import { expect } from "bun:test";

/** How a secret may look where it does not belong: plain, in a URL, in JSON, in a libpq string, in HTML, in a mail. */
function formsOf(secret: string): Set<string> {
  return new Set([
    secret,
    encodeURIComponent(secret),
    encodeURI(secret),
    JSON.stringify(secret).slice(1, -1),
    secret.replace(/[\\']/g, "\\$&"),
    Bun.escapeHTML(secret),
    Buffer.from(secret).toString("base64"),
  ]);
}

/** What is written in base64 in a text, with anything before and behind the secret. */
const decoded = (text: string) =>
  (text.match(/[\w+/-]{8,}/g) ?? []).map((word) => Buffer.from(word, "base64").toString()).join("\n");

/** The secrets that a text shows in any form. */
export const leakedIn = (text: string, secrets: Iterable<string>): string[] => {
  const inBase64 = decoded(text);
  return [...secrets].filter(
    (secret) =>
      inBase64.includes(secret) ||
      formsOf(secret)
        .values()
        .some((form) => text.includes(form)),
  );
};

/** Fails when one of the secrets, plain or as it stands in a URL or a libpq string, is in the text. */
export function expectNoSecrets(text: string, secrets: readonly string[]): void {
  expect(leakedIn(text, secrets), `secrets in: ${text}`).toEqual([]);
}
