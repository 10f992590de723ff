import { expect } from "bun:test";

/** Fails when one of the secrets, plain or as it stands in a URL or a libpq string, is in the text. */
export function expectNoSecrets(text: string, secrets: readonly string[]): void {
  const forms = secrets.flatMap((secret) => [
    secret,
    encodeURIComponent(secret),
    encodeURI(secret),
    JSON.stringify(secret).slice(1, -1),
    secret.replace(/[\\']/g, "\\$&"),
    Buffer.from(secret).toString("base64"),
  ]);
  const leaked = [...new Set(forms)].filter((form) => text.includes(form));
  expect(leaked, `secrets in: ${text}`).toEqual([]);
}
