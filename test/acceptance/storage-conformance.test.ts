/**
 * What the storage room promises, on every S3 server at hand: our own strict one, a real Ceph, and the one that
 * TEST_S3_URL, TEST_S3_KEY, TEST_S3_SECRET and TEST_S3_BUCKET (empty, writable) name.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  CreateMultipartUploadCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import { type Member, members } from "../support/servers/s3-members.ts";
import { startS3Server } from "../support/servers/s3-server.ts";
import {
  fetchAll,
  namesOf,
  noise,
  open,
  plainClient,
  sendAll,
  sha256,
  unfinished,
} from "../support/servers/storage.ts";
import { removeDir, tempDir } from "../support/machine/temp.ts";

const all: Record<string, () => Promise<Member>> = {
  ...members,
  "the strict server as Ceph 16": async () =>
    startS3Server({ conditions: "ceph16", completeEtag: "empty", silent: true }),
  "the strict server as R2 with Object Lock": async () => startS3Server({ equalParts: true, needsMd5: true }),
  "the strict server as Swift": async () => startS3Server({ conditions: "swift", pageSize: 100 }),
};
const { TEST_S3_URL, TEST_S3_KEY, TEST_S3_SECRET, TEST_S3_BUCKET } = process.env;
if (TEST_S3_URL) {
  const member = { url: TEST_S3_URL, key: TEST_S3_KEY ?? "", secret: TEST_S3_SECRET ?? "", stop: async () => {} };
  all[TEST_S3_URL] = async () => ({ ...member, newBucket: async () => TEST_S3_BUCKET ?? "" });
}

const MiB = 1024 * 1024;
const part = 8 * MiB;

describe.each(Object.entries(all))("storage on %s", (_, start) => {
  let server: Member;
  let bucket: string;
  let client: S3Client;
  beforeAll(async () => {
    server = await start();
    client = plainClient(server);
    bucket = await server.newBucket();
  });
  afterAll(() => server?.stop());

  /** A folder of its own for each test. */
  const folder = () => `t-${crypto.randomUUID().slice(0, 8)}`;
  const opened = (settings: Record<string, string> = {}) => open(server, bucket, { S3_PATH: folder(), ...settings });
  /** Everything in the bucket below a folder, behind the room's back. */
  const keysBelow = async (prefix: string) => {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix }));
    return Contents.map(({ Key }) => Key);
  };

  test.each([0, 1, part - 1, part, part + 1, 2 * part, 2 * part + 1, 3 * part - 1])(
    "stores %i bytes exactly, by blocks and from a file",
    async (size) => {
      const { storage } = await opened();
      const data = noise(size);
      await sendAll(storage, "by-blocks", data);
      const dir = tempDir("upload");
      writeFileSync(join(dir, "file"), data);
      let sent = 0;
      await storage.uploadFile(join(dir, "file"), "from-file", (bytes) => (sent += bytes));
      removeDir(dir);
      expect(sent).toBe(size);
      for (const name of ["by-blocks", "from-file"]) {
        expect((await storage.head(name))?.bytes).toBe(size);
        expect(sha256(await fetchAll(storage, name))).toBe(sha256(data));
      }
      expect(await unfinished(client, bucket)).toEqual([]);
    },
  );

  test("an expected size makes larger parts, and a wrong expectation does no harm", async () => {
    const { storage } = await opened();
    const data = noise(21 * MiB);
    await sendAll(storage, "expected", data, { expectedBytes: 60_000 * MiB });
    expect(sha256(await fetchAll(storage, "expected"))).toBe(sha256(data));
  });

  test("keeps what it is told: put, head, get, replace", async () => {
    const { storage } = await opened();
    await storage.put("a.json", Buffer.from("one"));
    expect((await storage.head("a.json"))?.bytes).toBe(3);
    await storage.put("a.json", Buffer.from("other"));
    expect((await fetchAll(storage, "a.json")).toString()).toBe("other");
    expect(await storage.head("b.json")).toBeUndefined();
  });

  test("the old object stays until the new one is complete", async () => {
    const { storage } = await opened();
    await storage.put("x", Buffer.from("old"));
    const upload = storage.upload("x");
    await upload.write(noise(2 * part));
    expect((await fetchAll(storage, "x")).toString()).toBe("old");
    await upload.complete();
    expect((await storage.head("x"))?.bytes).toBe(2 * part);
  });

  test("container 4.5: an object of another run is never replaced", async () => {
    const { storage } = await opened();
    await storage.put("taken", Buffer.from("theirs"));
    await expect(sendAll(storage, "taken", noise(10), { ifAbsent: true })).rejects.toThrow("another run wrote it");
    await expect(sendAll(storage, "taken", noise(part + 1), { ifAbsent: true })).rejects.toThrow(
      "another run wrote it",
    );
    expect((await fetchAll(storage, "taken")).toString()).toBe("theirs");
    expect(await unfinished(client, bucket)).toEqual([]);
    await sendAll(storage, "free", Buffer.from("ours"), { ifAbsent: true });
    await sendAll(storage, "free-too", noise(part + 1), { ifAbsent: true });
    expect(await namesOf(storage)).toEqual(["free", "free-too", "taken"]);
  });

  test("lists more than a page, and only its own folder", async () => {
    const path = folder();
    const { storage } = await opened({ S3_PATH: path });
    const names = Array.from({ length: 1_050 }, (_, i) => `n${String(i).padStart(5, "0")} +%&é`);
    const rest = [...names];
    const worker = async () => {
      for (let name = rest.pop(); name; name = rest.pop()) await storage.put(name, Buffer.from(name));
    };
    await Promise.all(Array.from({ length: 24 }, worker));
    for (const Key of [`${path}/deep/n1`, `${path}x/n2`, `${path}n3`])
      await client.send(new PutObjectCommand({ Bucket: bucket, Key, Body: "foreign" }));
    const found = await Array.fromAsync(storage.list());
    expect(found.map(({ name }) => name)).toEqual(names);
    expect(found.every(({ bytes, name }) => bytes === Buffer.byteLength(name))).toBe(true);
    expect(await namesOf(storage, "n0000")).toEqual(names.slice(0, 10));
    expect(await namesOf(storage, "none")).toEqual([]);

    const folders = new Map<string, number>();
    for await (const { folder: one, names } of storage.explore(2_000))
      folders.set(one, (folders.get(one) ?? 0) + names.length);
    expect(folders.get(`${path}/`)).toBe(1_050);
    expect([folders.get(`${path}/deep/`), folders.get(`${path}x/`)]).toEqual([1, 1]);
    expect(await Array.fromAsync(storage.explore(1))).toHaveLength(1);
  });

  const odd = [
    "a b+c%20d&e=f?g#h",
    "ünïcødé-日本語-😀",
    "quote'\"<>&",
    "tilde~!*()",
    "back\\slash",
    "a:b;c,d@e$f",
    "trailing ",
    ".hidden",
    "e\u0301 nfd",
    "x".repeat(900),
  ];
  test.each(odd)("takes the odd name %p, alone and in an odd folder", async (name) => {
    const { storage } = await opened({ S3_PATH: `${folder()}/über +%41&='(x)` });
    await storage.put(name, Buffer.from(name));
    expect(await namesOf(storage)).toEqual([name]);
    expect((await fetchAll(storage, name)).toString()).toBe(name);
    await sendAll(storage, name, noise(part + 1));
    expect((await storage.head(name))?.bytes).toBe(part + 1);
    await storage.delete(name);
    expect(await namesOf(storage)).toEqual([]);
  });

  test("a stranger's key that XML cannot hold does not spoil the listing", async () => {
    const path = folder();
    const { storage } = await opened({ S3_PATH: path });
    await client.send(new PutObjectCommand({ Bucket: bucket, Key: `${path}/\u0001\n`, Body: "odd" }));
    await storage.put("z", Buffer.from("z"));
    expect(await namesOf(storage)).toEqual(["\u0001\n", "z"]);
  });

  test.each([0, 5, part, 2 * part + 5, 5 * part])("an upload given up after %i bytes leaves nothing", async (size) => {
    const path = folder();
    const { storage, lines } = await opened({ S3_PATH: path });
    const upload = storage.upload("given-up");
    await upload.write(noise(size));
    await upload.abort();
    await upload.abort();
    await expect(upload.write(Buffer.from("more"))).rejects.toThrow();
    await expect(upload.complete()).rejects.toThrow();
    expect(await keysBelow(path)).toEqual([]);
    expect(await unfinished(client, bucket)).toEqual([]);
    expect(lines).toEqual([]);
  });

  test("a stopped run leaves nothing and ends with the reason it was given", async () => {
    const path = folder();
    const { storage, stop } = await opened({ S3_PATH: path });
    const upload = storage.upload("stopped");
    await upload.write(noise(2 * part));
    stop(new Error("stopped by SIGTERM"));
    await expect(upload.write(noise(4 * part))).rejects.toThrow("stopped by SIGTERM");
    await upload.abort();
    await expect(storage.put("x", Buffer.from("x"))).rejects.toThrow("stopped by SIGTERM");
    await expect(namesOf(storage)).rejects.toThrow("stopped by SIGTERM");
    expect(await keysBelow(path)).toEqual([]);
    expect(await unfinished(client, bucket)).toEqual([]);
  });

  test.each([5, part + 1])(
    "an upload of %i bytes is taken back after it was completed, even when the run was stopped",
    async (size) => {
      const { storage, stop } = await opened();
      await storage.put("other", Buffer.from("other"));
      const [first, second] = [storage.upload("x"), storage.upload("x")];
      for (const upload of [first, second]) {
        await upload.write(noise(size));
        await upload.complete();
      }
      await first.abort(); // what the second one stored is not its own
      expect(await namesOf(storage)).toEqual(["other", "x"]);
      stop();
      await second.abort();
      const { storage: again } = await open(server, bucket, { S3_PATH: storage.location("").split("/").at(-2) ?? "" });
      expect(await namesOf(again)).toEqual(["other"]);
    },
  );

  test("deletes one object and no other; none is no error", async () => {
    const { storage } = await opened();
    for (const name of ["a", "ab", "b"]) await storage.put(name, Buffer.from(name));
    await storage.delete("a");
    await storage.delete("a");
    expect(await namesOf(storage)).toEqual(["ab", "b"]);
    await expect(fetchAll(storage, "a")).rejects.toThrow("there is no such object (NoSuchKey, status 404");
  });

  test("sweeps old unfinished uploads of its own, not young ones and not those of others", async () => {
    const path = folder();
    const { storage, lines } = await opened({ S3_PATH: path });
    for (const Key of [`${path}/ours`, `${path}/theirs`, `${path}x/ours`])
      await client.send(new CreateMultipartUploadCommand({ Bucket: bucket, Key }));
    const isOurs = (name: string) => name === "ours";
    expect(await storage.sweepStaleUploads(86_400_000, isOurs)).toBe(0);
    expect(await storage.sweepStaleUploads(-86_400_000, isOurs)).toBe(1);
    expect((await unfinished(client, bucket)).toSorted()).toEqual([`${path}/theirs`, `${path}x/ours`]);
    expect(lines.filter((line) => line.startsWith("info aborted an unfinished upload"))).toHaveLength(1);
    await (await opened({ S3_PATH: path })).storage.sweepStaleUploads(-86_400_000, () => true);
    await (await opened({ S3_PATH: `${path}x` })).storage.sweepStaleUploads(-86_400_000, () => true);
    expect(await unfinished(client, bucket)).toEqual([]);
  });

  test("an error means nothing stored: wrong key, wrong secret, no such bucket", async () => {
    const path = folder();
    const cases = [
      [{ S3_ACCESS_KEY: "nosuchkey000" }, "does not know the access key (InvalidAccessKeyId, status 403"],
      [
        { S3_SECRET_KEY: "wrongsecret000" },
        "the secret key does not belong to the access key (SignatureDoesNotMatch, status 403",
      ],
      [{ S3_BUCKET: "no-such-bucket-at-all" }, "there is no bucket no-such-bucket-at-all"],
    ] as const;
    for (const [settings, message] of cases) {
      const { storage } = await opened({ S3_PATH: path, ...settings });
      await expect(storage.put("x", Buffer.from("x"))).rejects.toThrow(message);
      await expect(sendAll(storage, "x", noise(part + 1))).rejects.toThrow(message);
      await expect(namesOf(storage)).rejects.toThrow(message);
      await expect(fetchAll(storage, "x")).rejects.toThrow(message);
      await expect(storage.delete("x")).rejects.toThrow(message);
    }
    expect(await keysBelow(path)).toEqual([]);
    expect(await unfinished(client, bucket)).toEqual([]);
  });
});
