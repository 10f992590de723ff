/** The secrets that reading a backup may need: the private key that decrypts it, and the key that proves where it comes from. */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { bech32 } from "@scure/base";
import { diskFailure } from "../base/disk.ts";
import { Failure } from "../base/errors.ts";
import { hideSecrets } from "../base/secrets.ts";
import { distrust } from "../base/trust.ts";
import type { Settings } from "../settings/settings.ts";

export interface Keys {
  /** Absolute path of AGE_IDENTITY_FILE. */
  identityFile?: string | undefined;
  /** MANIFEST_KEY: a backup must be signed with one of these; undefined: signatures are not asked for. */
  manifestKeys?: readonly string[] | undefined;
}

/** What the settings say. */
export const keysFrom = ({ settings, home }: { settings: Settings; home: string }): Keys => ({
  identityFile: settings.AGE_IDENTITY_FILE === undefined ? undefined : resolve(home, settings.AGE_IDENTITY_FILE),
  manifestKeys: settings.MANIFEST_KEY,
});

/** The private keys in a file as `age-keygen` and `help --new-key` write it. Throws `Failure`. */
export async function readIdentities(path: string): Promise<string[]> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    const { message } = diskFailure(`cannot read the private key in ${path} (AGE_IDENTITY_FILE)`, error);
    throw new Failure(message, { hints: ["bring the key file here, readable only by the user who restores"] });
  });
  const why = distrust(path);
  if (why) throw new Failure(`AGE_IDENTITY_FILE ${path} is not safe: ${why.cause}`, { hints: [why.hint] });
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  const entries = lines.filter((line) => line !== "" && !line.startsWith("#"));
  hideSecrets(entries);
  const strange = entries.find((entry) => !entry.startsWith("AGE-SECRET-KEY-1") || !bech32.decodeUnsafe(entry));
  if (entries.length === 0 || strange !== undefined) throw noIdentity(path, strange);
  return entries;
}

const kinds: readonly (readonly [start: RegExp, what: string, hint: string])[] = [
  [/^age1/, "it holds a public key", "name the file with the private key (AGE-SECRET-KEY-1…)"],
  [
    /^age-encryption\.org|^-----BEGIN AGE/,
    "it is protected by a passphrase",
    "decrypt it first: age -d FILE > KEYFILE",
  ],
  [/^-----BEGIN/, "it holds a key of SSH or TLS", "name the file that help --new-key or age-keygen made"],
  [/^AGE-SECRET-KEY-1/, "a key in it is mistyped or cut short", "copy the complete file again, as it was made"],
  [/^AGE-PLUGIN-/, "it needs a plugin of age", "decrypt the backup with age -d -i FILE, and restore the result"],
  [
    /^AGE-SECRET-KEY-PQ-/,
    "it holds a post-quantum key",
    "decrypt the backup with age -d -i FILE, and restore the result",
  ],
];

function noIdentity(path: string, entry = ""): Failure {
  const [, what, hint] = kinds.find(([start]) => start.test(entry)) ?? [
    undefined,
    entry === "" ? "it holds no key" : "it holds something else than private keys",
    "it must hold lines that start with AGE-SECRET-KEY-1, and may hold comments (#)",
  ];
  return new Failure(`AGE_IDENTITY_FILE ${path} cannot be used: ${what}`, { hints: [hint] });
}
