/** The kinds of values that a setting can have. */
import { bech32 } from "@scure/base";
import { parsePatterns, parseQueries } from "./name-patterns.ts";

export interface Rule<T> {
  /** The value of a text. Throws an `Error` that says what the text must be. */
  read: (text: string) => T;
  /** The valid values in words, where the kind of value says them all. */
  values?: string;
}

function must(holds: boolean, be: string): void {
  if (!holds) throw new Error(`must be ${be}`);
}

/** `rule` with the value that holds when nothing is set. */
export const or = <T extends string | number | boolean>(rule: Rule<T>, standard: T): Rule<T> & { standard: T } => ({
  ...rule,
  standard,
});

export const text: Rule<string> = { read: (value) => value };

export const flag: Rule<boolean> = {
  values: "true, false",
  read(value) {
    const [yes, no] = [/^(true|1|yes|on|y|enabled)$/i, /^(false|0|no|off|n|disabled)$/i];
    must(yes.test(value) || no.test(value), "true or false");
    return yes.test(value);
  },
};

export const oneOf = <const T extends string>(...choices: T[]): Rule<T> => ({
  values: choices.join(", "),
  read(value) {
    const found = choices.find((choice) => choice === value);
    if (found === undefined) throw new Error(`must be one of ${choices.join(", ")}`);
    return found;
  },
});

export const whole = (min: number, max: number, values = `${min} to ${max}`): Rule<number> => ({
  values,
  read(value) {
    const fits = /^\d+$/.test(value) && Number(value) >= min && Number(value) <= max;
    must(fits, `a whole number from ${values.replaceAll(", ", ", from ")}`);
    return Number(value);
  },
});

export const url: Rule<string> = {
  read(value) {
    const isWeb = URL.canParse(value) && ["http:", "https:"].includes(new URL(value).protocol);
    must(isWeb, "a URL that starts with http:// or https://");
    return value;
  },
};

/** A login in the URL has no effect, and the log would show its password. */
export const endpoint: Rule<string> = {
  read(value) {
    const { username, password } = new URL(url.read(value));
    must(username + password === "", "a URL without user and password: keys stand in S3_ACCESS_KEY and S3_SECRET_KEY");
    return value;
  },
};

/** Several values separated by spaces. */
export const listOf = <T>(rule: Rule<T>): Rule<T[]> => ({
  ...rule,
  read: (value) => value.split(/\s+/).filter(Boolean).map(rule.read),
});

const databaseTypes = oneOf("postgresql", "mysql", "mariadb");
export const databaseType: typeof databaseTypes = {
  ...databaseTypes,
  read: (value) => databaseTypes.read(value === "postgres" ? "postgresql" : value),
};

export const addresses: Rule<string[]> = {
  read(value) {
    const list = value.split(",").flatMap((one) => one.trim() || []);
    const areAddresses = list.every((one) => /^[^\s@]+@[^\s@]+$|<[^\s@]+@[^\s@]+>$/.test(one));
    must(list.length > 0 && areAddresses, "mail addresses separated by commas");
    return list;
  },
};

export const address: Rule<string> = {
  read(value) {
    const [one = "", ...others] = addresses.read(value);
    must(others.length === 0, "one mail address");
    return one;
  },
};

/** age's public keys of X25519: what every version of `age` knows. */
export const recipients: Rule<string[]> = {
  read(value) {
    if (/AGE-SECRET-KEY/i.test(value)) throw new Error("it holds a private key; put the public key (age1…) here");
    const keys = value.split(/[,\s]+/).filter(Boolean);
    const areKeys = keys.length > 0 && keys.every(isPublicKey);
    must(areKeys, "public keys of age (age1 and 58 characters, copied exactly) separated by commas");
    return keys;
  },
};

/** Every key ends in a checksum: a mistyped one would make backups that nobody can decrypt. */
const isPublicKey = (key: string) => /^age1.{58}$/.test(key) && bech32.decodeUnsafe(key)?.prefix === "age";

/** Characters of a key; a shorter one can be guessed from a manifest. */
const shortestKey = 20;

export const manifestKeys: Rule<string[]> = {
  values: `${shortestKey} characters or more`,
  read(value) {
    const keys = value.split(" ");
    const areKeys = keys.length <= 2 && keys.every((key) => key.length >= shortestKey);
    must(areKeys, `one key, or two separated by one space, of at least ${shortestKey} characters each`);
    return keys;
  },
};

/** Kept as text: who uses them parses them again. */
export const patterns: Rule<string> = {
  read(value) {
    parsePatterns(value);
    return value;
  },
};

/** Kept as text, as the patterns are. */
export const queries: Rule<string> = {
  read(value) {
    parseQueries(value);
    return value;
  },
};

export const timeZone: Rule<string> = {
  values: "a name of the IANA time zone database",
  read(value) {
    try {
      Intl.DateTimeFormat("en", { timeZone: value });
      return value;
    } catch {
      throw new Error("must be a time zone name such as UTC or Europe/Berlin");
    }
  },
};

export const pathInBucket: Rule<string> = {
  read(value) {
    const isPath = !value.includes("://");
    must(isPath, "the path within the bucket alone, such as production/app; the bucket's name stands in S3_BUCKET");
    // the URL standard (so Bun's fetch) resolves them in any spelling: such a key could not be reached
    must(!value.split("/").some((part) => part === "." || part === ".."), "a path without . or .. as a folder");
    return value.replace(/^\/+|\/+$/g, "");
  },
};
