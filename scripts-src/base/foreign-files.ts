/** Files that people try to restore and that are no plain dump, by how they begin: what each is, and what turns it into one. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "./errors.ts";

/** As many of the first bytes as `refuseForeign` looks at: a tar file says what it is at byte 257. */
export const foreignBytes = 512;

const unpack = (command: string) => `turn it into a plain dump first: ${command} FILE > dump.sql`;
const unpackOnce = (file: string) => `unpack it once: gzip -dc FILE > ${file} (what zstd has packed: zstd -dc)`;
const pgRestore = "turn it into a plain dump first: pg_restore -f dump.sql FILE";

const foreign: readonly (readonly [start: RegExp, what: string, hint: string])[] = [
  [/^\xfd7zXZ/, "an xz file", unpack("xz -dc")],
  [/^BZh[1-9]/, "a bzip2 file", unpack("bzip2 -dc")],
  [/^PK\p{Cc}{2}/u, "a zip file", unpack("unzip -p")],
  [/^\p{Cc}"M\p{Cc}/u, "an lz4 file", unpack("lz4 -dc")],
  [/^7z\xbc\xaf/, "a 7-Zip file", unpack("7z x -so")],
  [/^PGDMP/, "a dump in pg_dump's custom format", pgRestore],
  [/^toc\.dat[^]{250}ustar/, "a dump in pg_dump's tar format", pgRestore],
  [/^[^]{257}ustar/, "a tar file", "unpack it with tar -xf FILE, and restore the dump that is in it"],
  [/^(\xff\xfe\0\0|\0\0\xfe\xff)/, "text in UTF-32", unpack("iconv -f UTF-32 -t UTF-8")],
  [/^(\xff\xfe|\xfe\xff)/, "text in UTF-16, as PowerShell writes it", unpack("iconv -f UTF-16 -t UTF-8")],
  [/^(?:\0[^\0]){8}/, "text in UTF-16", unpack("iconv -f UTF-16BE -t UTF-8")],
  [/^(?:[^\0]\0){8}/, "text in UTF-16", unpack("iconv -f UTF-16LE -t UTF-8")],
  [/^\xef\xbb\xbf/, "text with a byte order mark, as Windows editors write it", unpack("tail -c +4")],
  [/^(?:\x8c\r\p{Cc}|-----BEGIN PGP MESSAGE)/u, "encrypted with GnuPG", unpack("gpg -d")],
  [/^Salted__/, "encrypted with OpenSSL", "decrypt it first, as the one who encrypted it knows: openssl enc -d …"],
  [/^SQLite format 3/, "an SQLite database", "choose a backup of this database"],
  [
    /^\s*(?:<!doctype html|<html|<\?xml[^]{0,60}<Error>)/i,
    "a web page or a server's error message, saved instead of the file",
    "read it (head FILE), and fetch the backup again",
  ],
  [
    /^(mysqldump|mariadb-dump|pg_dump|Warning): /i,
    "a dump after a line that the dump program wrote to its error output",
    unpack("sed 1d"),
  ],
];
const compressed: typeof foreign = [
  [/^$/, "empty", "choose another backup"],
  [/^\p{Cc}\x8b/u, "compressed twice, with gzip inside", unpackOnce("dump.sql.gz")],
  [/^\x28\xb5\x2f\xfd/, "compressed twice, with zstd inside", unpackOnce("dump.sql.zst")],
];

/** Throws `Failure` when a file or, with `unpacked`, what was compressed in it, begins as one of these kinds. */
export function refuseForeign(head: Uint8Array, name: string, { unpacked = false } = {}): void {
  const text = Buffer.from(head).toString("latin1", 0, foreignBytes);
  const kinds = unpacked ? [...foreign, ...compressed] : foreign;
  const [, what, hint = ""] = kinds.find(([start]) => start.test(text)) ?? [];
  if (what !== undefined) throw notReadable(name, what, hint);
}

/** Throws `Failure` when a file with the name of a compressed one begins with text. */
export function refusePlain(head: Uint8Array, name: string): void {
  if (!/^(?:\P{Cc}|[\t\r\n])+$/u.test(Buffer.from(head).toString())) return;
  throw new Failure(`${name} is plain text, although its name says that it is compressed`, {
    hints: ["rename it: mv FILE dump.sql"],
  });
}

/** What a folder is when `pg_dump --format=directory` wrote it. */
export const foreignFolder = (path: string): Failure | undefined =>
  existsSync(join(path, "toc.dat"))
    ? notReadable(path, "a dump in pg_dump's directory format", pgRestore.replace("FILE", "FOLDER"))
    : undefined;

const notReadable = (name: string, what: string, hint: string) =>
  new Failure(`${name} is ${what}, which is not a backup this program can read`, { hints: [hint] });
