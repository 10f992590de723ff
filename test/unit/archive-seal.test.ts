/** Encrypted files: both ways with the stock program age (Debian's), and what must never be taken for a good one. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { decrypt, openJson, seal, sealJson } from "../../scripts-src/archive/age.ts";
import { type AgeKey, newAgeKey } from "../support/expect/age.ts";
import { removeDir, tempDir } from "../support/machine/temp.ts";

let dir: string;
let key: AgeKey;
let other: AgeKey;
beforeAll(() => {
  dir = tempDir("age");
  key = newAgeKey(join(dir, "key.txt"));
  other = newAgeKey(join(dir, "other.txt"));
});
afterAll(() => removeDir(dir));

async function* inBlocks(data: Uint8Array, bytes = 10_007): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < data.length; at += bytes) yield data.subarray(at, at + bytes);
}

const sealed = async (data: Uint8Array, ...recipients: string[]) =>
  Buffer.concat(await Array.fromAsync(seal(inBlocks(data), recipients)));
const opened = async (file: Uint8Array, ...secrets: string[]) =>
  Buffer.concat(await Array.fromAsync(decrypt(inBlocks(file), "x.age", secrets, undefined)));

function age(words: string[], input: Uint8Array): Buffer {
  const { stdout, stderr, success } = Bun.spawnSync(["age", ...words], { stdin: input, stderr: "pipe" });
  if (!success) throw new Error(stderr.toString());
  return stdout;
}

const chunk = 65_536;
const sizes = [0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 5 * chunk + 12_345];

describe.each(sizes)("%i bytes", (size) => {
  const data = randomBytes(size);

  test("that we encrypt are decrypted by age, with the key of each recipient", async () => {
    const file = await sealed(data, key.recipient, other.recipient);
    for (const { file: keyFile } of [key, other]) expect(age(["-d", "-i", keyFile], file).equals(data)).toBe(true);
    for (const { secret } of [key, other]) expect((await opened(file, secret)).equals(data)).toBe(true);
  });

  test("that age encrypts are decrypted by us, with the key of each recipient", async () => {
    const file = age(["-r", key.recipient, "-r", other.recipient], data);
    for (const { secret } of [key, other]) expect((await opened(file, secret)).equals(data)).toBe(true);
    expect((await opened(file, newAgeKey(join(dir, "stranger.txt")).secret, other.secret)).equals(data)).toBe(true);
  });
});

test("two files of the same content share nothing behind the header's first line", async () => {
  const data = Buffer.alloc(3 * chunk, "a");
  const [one, two] = [await sealed(data, key.recipient), await sealed(data, key.recipient)];
  const blocks = (file: Buffer) => file.subarray(200).toString("latin1").match(/.{16}/gs) ?? [];
  expect(new Set([...blocks(one), ...blocks(two)]).size).toBe(blocks(one).length + blocks(two).length);
});

test("a file for somebody else says so, and yields nothing", async () => {
  const file = await sealed(Buffer.from("secret"), other.recipient);
  await expect(opened(file, key.secret)).rejects.toThrow("x.age cannot be decrypted with the key in AGE_IDENTITY_FILE");
});

describe("a file that was tampered with", () => {
  const data = randomBytes(3 * chunk + 1000);
  const headOf = (file: Buffer) => file.indexOf("\n", file.indexOf("\n--- ") + 1) + 1;
  /** Where encrypted chunk `i` starts. */
  const at = (file: Buffer, i: number) => headOf(file) + 16 + i * (chunk + 16);
  const flipped = (file: Buffer, position: number) => {
    const copy = Buffer.from(file);
    copy[position]! ^= 1;
    return copy;
  };
  const part = (file: Buffer, i: number) => file.subarray(at(file, i), at(file, i + 1));
  const cases: Record<string, (file: Buffer) => Buffer> = {
    empty: () => Buffer.alloc(0),
    "cut in the header": (file) => file.subarray(0, 60),
    "cut in the nonce": (file) => file.subarray(0, headOf(file) + 9),
    "cut behind the nonce": (file) => file.subarray(0, at(file, 0)),
    "cut in the first chunk": (file) => file.subarray(0, at(file, 0) + 1000),
    "cut between two chunks": (file) => file.subarray(0, at(file, 2)),
    "cut by its last byte": (file) => file.subarray(0, -1),
    "with a byte more": (file) => Buffer.concat([file, Buffer.from("x")]),
    "with another file behind it": (file) => Buffer.concat([file, file]),
    "changed in the version": (file) => flipped(file, 20),
    "changed in a stanza": (file) => flipped(file, 60),
    "changed in the header's MAC": (file) => flipped(file, headOf(file) - 5),
    "changed in the nonce": (file) => flipped(file, headOf(file) + 3),
    "changed in the first chunk": (file) => flipped(file, at(file, 0) + 5),
    "changed in the last byte": (file) => flipped(file, file.length - 1),
    "without its first chunk": (file) => Buffer.concat([file.subarray(0, at(file, 0)), file.subarray(at(file, 1))]),
    "without a chunk in the middle": (file) =>
      Buffer.concat([file.subarray(0, at(file, 1)), file.subarray(at(file, 2))]),
    "with two chunks exchanged": (file) =>
      Buffer.concat([file.subarray(0, at(file, 0)), part(file, 1), part(file, 0), file.subarray(at(file, 2))]),
    "with a chunk twice": (file) =>
      Buffer.concat([file.subarray(0, at(file, 1)), part(file, 0), file.subarray(at(file, 1))]),
  };

  test.each(Object.entries(cases))("%s is refused, after no more than a true beginning", async (_, tamper) => {
    const file = tamper(await sealed(data, key.recipient));
    const seen: Uint8Array[] = [];
    const read = async () => {
      for await (const block of decrypt(inBlocks(file), "x.age", [key.secret], undefined)) seen.push(block);
    };
    await expect(read()).rejects.toThrow();
    const prefix = Buffer.concat(seen);
    expect(prefix.equals(data.subarray(0, prefix.length))).toBe(true);
    expect(prefix.length).toBeLessThan(data.length);
    writeFileSync(join(dir, "tampered.age"), file);
    expect(Bun.spawnSync(["age", "-d", "-i", key.file, join(dir, "tampered.age")]).success).toBe(false);
  });

  test("a header without an end does not fill the memory", async () => {
    let read = 0;
    async function* endless() {
      yield Buffer.from("age-encryption.org/v1\n");
      for (; ; read += 10_000) yield Buffer.alloc(10_000, "-> X25519 abc\n");
    }
    await expect(Array.fromAsync(decrypt(endless(), "x.age", [key.secret], undefined))).rejects.toThrow(
      "its header is not age's",
    );
    expect(read).toBeLessThan(200_000);
  });
});

test("a value in a manifest is opened by us and by hand, and by nobody else", async () => {
  const tables = { "public.note": 3, "odd \u2028 \ud83d\ude00": 0 };
  const text = await sealJson(tables, [key.recipient, other.recipient]);
  expect(text).toMatch(/^[A-Za-z0-9+/]+=*$/);
  for (const { file } of [key, other]) {
    expect(await openJson(text, { identityFile: file }, "the list of tables")).toEqual(tables);
    const { stdout } = Bun.spawnSync(["sh", "-c", `base64 -d | age -d -i ${file} | gunzip`], {
      stdin: Buffer.from(text),
    });
    expect(JSON.parse(stdout.toString())).toEqual(tables);
  }
  const third = newAgeKey(join(dir, "third.txt"));
  await expect(openJson(text, { identityFile: third.file }, "the list of tables")).rejects.toThrow(
    "the list of tables cannot be decrypted",
  );
  await expect(openJson(text, {}, "the list of tables")).rejects.toThrow("AGE_IDENTITY_FILE is not set");
  const changed = Buffer.from(text.slice(0, -8), "base64").toString("base64");
  await expect(openJson(changed, { identityFile: key.file }, "the list of tables")).rejects.toThrow(
    "the list of tables is damaged",
  );
});

test("an error of what is encrypted or decrypted comes through as it is", async () => {
  async function* failing() {
    yield randomBytes(100_000);
    throw new Error("pg_dump was killed");
  }
  await expect(Array.fromAsync(seal(failing(), [key.recipient]))).rejects.toThrow("pg_dump was killed");
  const file = await sealed(randomBytes(100_000), key.recipient);
  async function* broken() {
    yield file.subarray(0, 90_000);
    throw new Error("cannot read x");
  }
  await expect(Array.fromAsync(decrypt(broken(), "x.age", [key.secret], undefined))).rejects.toThrow("cannot read x");
  expect(readFileSync(key.file, "utf8")).toContain(key.secret);
});
