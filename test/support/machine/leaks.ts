/**
 * The suite's memory of what the executables were told in secret and of what they showed to anybody: output, mails,
 * posts and manifests. When all tests have run, one must not hold the other.
 */
import { expect } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { secretNames } from "../../../scripts-src/settings/settings.ts";
import { leakedIn } from "../expect/secrets.ts";

const secrets = new Set<string>();
const shown = new Map<string, string>();

/** Settings given to an executable, in its file or its environment; what is secret of them is remembered. */
export function giveSettings(settings: Record<string, string>): void {
  for (const name of secretNames) {
    const file = settings[`${name}_FILE`];
    const value = settings[name] ?? (file && existsSync(file) ? readFileSync(file, "utf8").trim() : "");
    for (const secret of [value, passwordIn(value)]) if (secret.length >= 6) secrets.add(secret);
  }
}

/** The password within a URL or a libpq string. */
function passwordIn(value: string): string {
  const encoded = /:\/\/[^:/]*:([^@]*)@/.exec(value)?.[1];
  return encoded ? decodeURIComponent(encoded) : (/password=([^'\s]+)/.exec(value)?.[1] ?? "");
}

/** A text that an executable has shown, and to whom. */
export function show(where: string, text: string): void {
  if (text) shown.set(text, where);
}

/** Fails when anything shown so far holds a secret. */
export function expectNoLeaks(): void {
  const leaks = [...shown].flatMap(([text, where]) =>
    leakedIn(text, secrets).map((secret) => `${where} shows ${secret}: ${text}`),
  );
  expect(leaks, "secrets that leaked anywhere in the suite").toEqual([]);
}
