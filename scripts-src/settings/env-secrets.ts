/** Secrets: the files that they come from, and what must never be printed of them. */
import { readFileSync, statSync } from "node:fs";
import { codeOf, messageOf } from "../base/errors.ts";
import { distrust } from "../base/trust.ts";
import { aboutSetting, type SettingName } from "./settings.ts";

/** The content of a secret's file without its last line end, or why it cannot be used (then the content is only to be hidden). */
export function readSecretFile(file: string): { value?: string; refused?: string } {
  try {
    const content = new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(file));
    const value = content.replace(/\r?\n$/, "");
    // a pipe is nobody's file
    const why = statSync(file).isFile() ? distrust(file) : undefined;
    if (why) return { value, refused: `other users can change the file: ${why.cause}; ${why.hint}` };
    if (value === "") return { refused: "the file is empty; write the value into it" };
    // eslint-disable-next-line no-control-regex
    if (/[\0\r\n]/.test(value))
      return { value, refused: "the file has more than one line; leave only the value in it" };
    return { value };
  } catch (error) {
    return { refused: `the file cannot be read: ${explain(file, error)}` };
  }
}

function explain(file: string, error: unknown): string {
  if (codeOf(error) === "EISDIR")
    return `${file} is a folder, not a file. Docker makes one when the file on the host is missing: remove it there, write the file, and start again`;
  return `${messageOf(error)}; name a text file that this user can read`;
}

/** What must not be printed of a secret setting: the value, and the passwords within URLs and connection strings. */
export function secretsOf(name: SettingName, value: string | undefined): string[] {
  if (value === undefined || !aboutSetting(name).secret) return [];
  const login = /:\/\/[^:/]*:(.*)@/s.exec(value)?.[1] ?? "";
  const words = [...value.matchAll(/password\s*=\s*(?:'((?:[^'\\]|\\.)*)'|([^\s&]*))/g)].map((m) => m[1] ?? m[2] ?? "");
  // A password that was not encoded ends up as the host or the port in other programs' messages, piece by piece.
  const pieces = [login, ...login.split(/[@:/?#]/), ...words];
  const keys = name === "MANIFEST_KEY" ? value.split(" ") : [];
  const addresses = value.match(/https?:\/\/\S+/g) ?? [];
  return [
    value,
    ...keys,
    ...addresses.flatMap((address) => [address, ...tokensIn(address)]),
    ...pieces,
    ...pieces.map((piece) => piece.replaceAll(/\\(.)/g, "$1")),
    ...pieces.map(percentDecode),
  ];
}

/** What of a webhook's address a server may repeat without its host: the path, the pieces of it that look made up, values. */
function tokensIn(address: string): string[] {
  if (!URL.canParse(address)) return [];
  const { pathname, search, searchParams } = new URL(address);
  const pieces = pathname.split("/").filter((piece) => piece.length >= 8 && /\d/.test(piece));
  return [...(pathname === "/" ? [] : [pathname, `${pathname}${search}`]), ...pieces, ...searchParams.values()];
}

function percentDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
