import { expect, test } from "bun:test";
import { hideSecrets, redact } from "../../scripts-src/base/secrets.ts";

const secrets = ["p@$$ w'rd<&\"\\/", "hunter2-hunter2", "größer als 7", "abc+/=?d"];
hideSecrets([...secrets, "short"]);

const lowerHex = (text: string) => text.replaceAll(/%../g, (hex) => hex.toLowerCase());
const allHex = (text: string) => Array.from(Buffer.from(text), (byte) => `%${byte.toString(16).padStart(2, "0")}`);
const codings: Record<string, (secret: string) => string> = {
  plain: (secret) => secret,
  "percent-encoded": encodeURIComponent,
  "percent-encoded in lower case": (secret) => lowerHex(encodeURIComponent(secret)),
  "percent-encoded as a whole": (secret) => allHex(secret).join(""),
  "a form of a web page": (secret) => new URLSearchParams({ secret }).toString().slice("secret=".length),
  "a URL's login": (secret) => {
    const url = new URL("http://host/");
    url.password = secret;
    return url.password;
  },
  JSON: (secret) => JSON.stringify(secret).slice(1, -1),
  "JSON with all but ASCII escaped": (secret) =>
    JSON.stringify(secret)
      .slice(1, -1)
      .replace(/[^ -~]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`),
  "quoted for a shell": (secret) => secret.replaceAll("'", String.raw`'\''`),
  "quoted for SQL": (secret) => secret.replaceAll("'", "''"),
  "quoted for libpq": (secret) => secret.replace(/[\\']/g, String.raw`\$&`),
  "in double quotes of a shell": (secret) => secret.replace(/[\\"$`]/g, String.raw`\$&`),
  HTML: (secret) => Bun.escapeHTML(secret),
  base64: (secret) => Buffer.from(secret).toString("base64"),
  base64url: (secret) => Buffer.from(secret).toString("base64url"),
  "base64 in a URL": (secret) => encodeURIComponent(Buffer.from(secret).toString("base64")),
};

test.each(Object.keys(codings))("S10: a secret is redacted: %s", (coding) => {
  for (const secret of secrets) expect(redact(`<${codings[coding]?.(secret)}>`)).toBe("<***>");
});

test("S10: a secret is redacted in base64 behind and in front of anything: what is left tells nothing of it", () => {
  for (const secret of secrets)
    for (const [before, after] of [1, 2, 3, 4, 5].flatMap((a) => [0, 1, 2, 3].map((b) => [a, b] as const))) {
      const text = Buffer.from(`${"u".repeat(before)}${secret}${"z".repeat(after)}`).toString("base64");
      const left = redact(text);
      const [head = "", tail = ""] = left.split("***");
      expect(left).toContain("***");
      expect(Buffer.from(head, "base64").toString()).toMatch(/^u*$/);
      expect(tail).toMatch(/^[A-Za-z0-9+/]{0,4}={0,2}$/);
    }
});

test("S10: AUTH PLAIN and AUTH LOGIN, as a mail server that echoes them would", () => {
  const [secret = ""] = secrets;
  const plain = Buffer.from(`\0backup@example.com\0${secret}`).toString("base64");
  const login = Buffer.from(secret).toString("base64");
  for (const line of [`535 5.7.8 no: AUTH PLAIN ${plain}`, `535 5.7.8 no: ${login}`]) {
    const left = redact(line);
    expect(left).toContain("***");
    for (const word of left.split(/[ *]+/))
      expect(Buffer.from(word, "base64").toString("latin1")).not.toContain("w'rd");
  }
});

test("what is too short to be told from other words stays", () => {
  expect(redact("short and hunter2")).toBe("short and hunter2");
});

test("a secret that begins another leaves nothing of the longer one", () => {
  hideSecrets(["abcdef", "abcdefghij"]);
  expect(redact("abcdefghij abcdef")).toBe("*** ***");
});

test("a file of 200 KB that was named by mistake is hidden too, as it is", () => {
  const content = "0123456789abcdef".repeat(12_500);
  hideSecrets([content]);
  expect(redact(`password ${content} is wrong`)).toBe("password *** is wrong");
});
