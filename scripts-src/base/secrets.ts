/** What must never be printed, in whatever coding it comes back to us. */

/** Every known secret and the patterns of its codings. */
const known = new Map<string, (string | RegExp)[]>();

/** Characters: of a longer secret (a file that was named by mistake) a pattern would take seconds, or be refused. */
const longestPattern = 5_000;

/** Values that must never be printed; shorter than 6 characters they would only garble the log. */
export function hideSecrets(values: Iterable<string>): void {
  for (const value of values)
    if (value.length >= 6 && !known.has(value))
      known.set(value, value.length > longestPattern ? [value] : [inAnyCoding(value), ...inBase64(value)]);
}

/** The text with every known secret replaced, also where it is encoded. */
export function redact(text: string): string {
  // longest first: a secret may begin another
  for (const [, patterns] of [...known].toSorted(([a], [b]) => b.length - a.length))
    for (const pattern of patterns) text = text.replaceAll(pattern, "***");
  return text;
}

const entities: Record<string, string> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#(?:39|x27);",
};
/** How the quotes of a shell, of SQL and of HTML write a sign, beside a backslash in front of it. */
const ownForms: Record<string, string[]> = { "'": [String.raw`'\\''`, "''"], '"': ['""'], " ": [String.raw`\+`] };

/**
 * Each character plain, percent-encoded (hexadecimal digits of either case), behind a backslash (shell, JSON, libpq), as `\uXXXX`
 * or as an entity of HTML; the longer forms come first.
 */
function inAnyCoding(secret: string): RegExp {
  const characters = Array.from(secret, (character) => {
    const forms = ownForms[character] ?? [];
    const plain = RegExp.escape(character);
    if (/[\w-]/.test(character)) return `(?:${plain}|${percent(character)})`;
    const json = RegExp.escape(JSON.stringify(character).slice(1, -1));
    const entity = entities[character] ?? [];
    return `(?:${[...forms, json, unicode(character), percent(character), entity, String.raw`\\?${plain}`].flat().join("|")})`;
  });
  return new RegExp(characters.join(""), "g");
}

const eitherCase = (hex: string) => hex.replaceAll(/[a-f]/g, (digit) => `[${digit}${digit.toUpperCase()}]`);
const percent = (character: string) =>
  Array.from(Buffer.from(character), (byte) => `%${eitherCase(byte.toString(16).padStart(2, "0"))}`).join("");
const unicode = (character: string) =>
  Array.from({ length: character.length }, (_, at) => character.charCodeAt(at).toString(16).padStart(4, "0"))
    .map((hex) => String.raw`\\u${eitherCase(hex)}`)
    .join("");

/**
 * The secret in base64, alone or in the middle of something else (AUTH PLAIN of SMTP has the user in front): three alignments. Only
 * the characters that are the secret's own can be known; one at either end holds bits of its neighbours too.
 */
function inBase64(secret: string): RegExp[] {
  const bytes = Buffer.from(secret);
  return [0, 1, 2].map((before) => {
    const coded = Buffer.concat([Buffer.alloc(before), bytes]).toString("base64");
    const own = coded.slice(Math.ceil((before * 8) / 6), Math.floor(((before + bytes.length) * 8) / 6));
    const pattern = Array.from(own, (character) => base64Forms[character] ?? character).join("");
    return new RegExp(`${before > 0 ? anyBase64 : ""}${pattern}${anyBase64}(?:=|%3[dD]){0,2}`, "g");
  });
}

/** At most one more character; `-` and `_` are those of URLs. */
const anyBase64 = "[A-Za-z0-9+/_-]?";
const base64Forms: Record<string, string> = { "+": "(?:[+-]|%2[bB])", "/": "(?:[/_]|%2[fF])" };
