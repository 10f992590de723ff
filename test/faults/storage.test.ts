/** Faults of the network and of servers: no upload is reported done that is not, and none that succeeded is lost. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { CreateMultipartUploadCommand } from "@aws-sdk/client-s3";
import { inBucket } from "../../scripts-src/places/bucket.ts";
import { answerTime } from "../../scripts-src/storage/bucket.ts";
import { type Fault, type S3Server, startS3Server } from "../support/servers/s3-server.ts";
import { fetchAll, namesOf, noise, open, plainClient, sendAll, sha256 } from "../support/servers/storage.ts";
import { startTcpProxy, type TcpProxy } from "../support/servers/tcp-proxy.ts";
import { until } from "../support/machine/until.ts";

const part = 8 * 1024 * 1024;
const busy = { status: 503, code: "SlowDown" };
const broken = { status: 500, code: "InternalError" };

let server: S3Server;
let bucket: string;
beforeEach(async () => {
  server = startS3Server();
  bucket = await server.newBucket();
});
afterEach(() => server.stop());

const opened = (...faults: Fault[]) => {
  server.faults.push(...faults);
  return open(server, bucket);
};
const count = (operation: string) => server.asked.filter((asked) => asked.operation === operation).length;
/** The server has exactly this object and no half upload. */
function expectStored(name: string, data: Buffer): void {
  expect([...server.objects(bucket).keys()]).toEqual([name]);
  expect(sha256(server.objects(bucket).get(name)!.body)).toBe(sha256(data));
  expect(server.uploads(bucket)).toEqual([]);
}
function expectNothing(): void {
  expect([...server.objects(bucket).keys()]).toEqual([]);
  expect(server.uploads(bucket)).toEqual([]);
}

describe("a server that does not answer", () => {
  const usual = { ...answerTime };
  beforeEach(() => void Object.assign(answerTime, { POST: 200, other: 200, begin: 100 }));
  afterEach(() => void Object.assign(answerTime, usual));

  test.each([
    ["says nothing", ""],
    [
      "stops in the middle",
      "HTTP/1.1 200 OK\r\ncontent-type: application/xml\r\ncontent-length: 900\r\n\r\n<ListBucketResult>",
    ],
  ])("%s: tried again, then given up", async (_, words) => {
    using silent = Bun.listen({
      hostname: "127.0.0.1",
      port: 0,
      socket: { data: (socket) => void socket.write(words) },
    });
    const { storage, lines } = await open({ ...server, url: `http://127.0.0.1:${silent.port}` }, bucket, {}, [1, 1, 1]);
    const listing = Array.fromAsync(storage.list());
    await expect(listing).rejects.toThrow(/^cannot list s3:.*no answer in time/);
    expect(lines.filter((line) => line.includes("no answer in time")).length).toBeGreaterThanOrEqual(2);
  });

  test("the begin of an upload is tried again", async () => {
    const { storage, lines } = await opened({ operation: "CreateMultipartUpload", times: 1, delay: 60_000 });
    Object.assign(answerTime, usual, { begin: 500 });
    const data = noise(2 * part);
    await sendAll(storage, "x", data);
    expect(sha256(server.objects(bucket).get("x")!.body)).toBe(sha256(data));
    expect(lines.filter((line) => line.includes("begin of the upload of x")).length).toBeGreaterThanOrEqual(1);
  });
});

describe("a server that errs for a while", () => {
  test("container 6.7: parts are sent again, with growing waits, each logged", async () => {
    server.faults.push({ operation: "UploadPart", after: 1, times: 3, instead: broken });
    const { storage, lines } = await open(server, bucket, {}, [40, 80, 160, 320]);
    const data = noise(part + 9);
    await sendAll(storage, "x", data);
    expectStored("x", data);
    const waits = lines.map((line) =>
      /^warn upload of part [12] of x failed \(try (\d) of 5\), next try in (.*) s: InternalError, status 500/.exec(
        line,
      ),
    );
    expect(waits.map((found) => found?.[1])).toEqual(["1", "2", "3"]);
    const seconds = waits.map((found) => Number(found?.[2]));
    expect([0.04, 0.08, 0.16].every((wait, i) => Math.abs(seconds[i]! / wait - 1) <= 0.3)).toBe(true);
  });

  test.each(["PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "HeadObject"] as const)(
    "a burst of 503 SlowDown at %s",
    async (operation) => {
      const data = noise(operation === "PutObject" ? 100 : 3 * part);
      const { storage, lines } = await opened({ operation, times: 6, instead: busy });
      await sendAll(storage, "x", data);
      expectStored("x", data);
      expect(lines.filter((line) => line.includes("SlowDown, status 503") || line.includes("status 503")).length).toBe(
        6,
      );
    },
  );

  test("listing, reading and deleting try again too", async () => {
    const { storage } = await opened(
      { operation: "ListObjectsV2", times: 2, instead: busy },
      { operation: "GetObject", times: 2, instead: broken },
      { operation: "DeleteObject", times: 2, instead: broken },
    );
    await storage.put("x", Buffer.from("x"));
    expect(await namesOf(storage)).toEqual(["x"]);
    expect((await fetchAll(storage, "x")).toString()).toBe("x");
    await storage.delete("x");
    expectNothing();
  });
});

describe("a server that errs for good", () => {
  test.each(["PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"] as const)(
    "%s fails: an error, nothing stored, nothing left",
    async (operation) => {
      const { storage, lines } = await opened({ operation, instead: busy });
      const sending = sendAll(storage, "x", noise(operation === "PutObject" ? 100 : 7 * part));
      await expect(sending).rejects.toThrow(
        /cannot upload x to s3:.*overloaded or limits our rate \(SlowDown, status 503/,
      );
      expectNothing();
      expect(lines.filter((line) => line.includes("(try 7 of 8)")).length).toBeGreaterThan(0);
      expect(lines.filter((line) => line.startsWith("error"))).toEqual([]);
    },
  );

  test("an error that trying again cannot mend is not tried again", async () => {
    const { storage } = await opened({ operation: "PutObject", instead: { status: 403, code: "AccessDenied" } });
    await expect(storage.put("x", Buffer.from("x"))).rejects.toThrow("AccessDenied, status 403");
    expect(count("PutObject")).toBe(1);
  });

  test("what cannot be cleaned up is said, and swept by a later run", async () => {
    const { storage, lines } = await opened(
      { operation: "UploadPart", after: 1, instead: { status: 403, code: "AccessDenied" } },
      { operation: "AbortMultipartUpload", times: 8, instead: broken },
    );
    await expect(sendAll(storage, "x", noise(2 * part))).rejects.toThrow("AccessDenied, status 403");
    expect(lines.at(-1)).toContain("warn cannot clean up after the upload of s3://");
    expect(server.uploads(bucket)).toHaveLength(1);
    // the clock of the server, by which they are old, is told in whole seconds
    expect(await storage.sweepStaleUploads(-60_000, () => true)).toBe(1);
    expectNothing();
  });

  test("uploads count as left behind after seven days by the server's clock, not by this machine's", async () => {
    const { storage } = await opened();
    const name = "app_2026-01-01_03-00-00.sql.gz";
    await plainClient(server).send(new CreateMultipartUploadCommand({ Bucket: bucket, Key: name }));
    const [upload] = server.uploads(bucket);
    const day = 86_400_000;
    const sweep = async (age: number) => {
      upload!.initiated = new Date(Date.now() + server.behaviour.clockAhead - age);
      await inBucket(storage).sweep("app");
      return server.uploads(bucket).length;
    };
    server.behaviour.clockAhead = -30 * day;
    expect(await sweep(6 * day)).toBe(1);
    server.behaviour.clockAhead = 0;
    expect(await sweep(6 * day)).toBe(1);
    expect(await sweep(8 * day)).toBe(0);
  });

  test("a key that may not list unfinished uploads only loses the sweep", async () => {
    server.behaviour.denied = ["ListMultipartUploads"];
    const { storage, lines } = await opened();
    expect(await storage.sweepStaleUploads(0, () => true)).toBe(0);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain("debug unfinished uploads cannot be swept: AccessDenied, status 403");
  });
});

describe("answers that lie", () => {
  test.each([
    ["500 although it succeeded", { afterwards: broken }],
    ["200 with an error although it succeeded", { afterwards: { status: 200, code: "InternalError" } }],
    ["an empty answer", { mangle: () => "" }],
    ["an answer cut short", { mangle: (body: string) => body.slice(0, -30) }],
  ] as const)("CompleteMultipartUpload: %s", async (_, fault) => {
    for (const ifAbsent of [false, true]) {
      server.faults.push({ operation: "CompleteMultipartUpload", times: 1, ...fault });
      const { storage } = await open(server, bucket);
      const data = noise(2 * part + 1);
      await sendAll(storage, "x", data, { ifAbsent });
      expectStored("x", data);
      await storage.delete("x");
    }
  });

  test.each([
    ["500", { instead: broken }],
    ["200 with an error", { instead: { status: 200, code: "InternalError" } }],
  ] as const)("CompleteMultipartUpload: %s and it did not succeed", async (_, fault) => {
    const { storage } = await opened({ operation: "CompleteMultipartUpload", times: 2, ...fault });
    const data = noise(2 * part + 1);
    await sendAll(storage, "x", data);
    expectStored("x", data);
    expect(count("CompleteMultipartUpload")).toBe(3);
  });

  test("an older object of the same name and size is not taken for the new one", async () => {
    const data = noise(2 * part);
    const old = Buffer.from(data).fill(1, 0, 100);
    const first = await open(server, bucket);
    await sendAll(first.storage, "x", old);
    const { storage } = await opened({ operation: "CompleteMultipartUpload", instead: broken });
    await expect(sendAll(storage, "x", data)).rejects.toThrow("InternalError, status 500");
    expectStored("x", old);
  });

  test("PutObject: 500 although it succeeded, under the condition that the name is free", async () => {
    const { storage } = await opened({ operation: "PutObject", times: 1, afterwards: broken });
    await sendAll(storage, "x", Buffer.from("mine"), { ifAbsent: true });
    expectStored("x", Buffer.from("mine"));
  });

  test.each(["empty", "wrong"] as const)("an %s ETag of CompleteMultipartUpload does not matter", async (etag) => {
    server.behaviour.completeEtag = etag;
    const { storage } = await opened();
    const data = noise(part + 1);
    await sendAll(storage, "x", data);
    expectStored("x", data);
  });

  test.each([100, 2 * part])("bytes that the server lost are noticed (%i), and nothing is left", async (size) => {
    const operation = size > part ? "CompleteMultipartUpload" : "PutObject";
    const { storage } = await opened({ operation, lose: 1 });
    await expect(sendAll(storage, "x", noise(size))).rejects.toThrow(`has ${size - 1} bytes, but ${size} were sent`);
    expectNothing();
  });

  test("a key that may not read uploads all the same, with a warning", async () => {
    server.behaviour.denied = ["HeadObject"];
    const { storage, lines } = await opened();
    const data = noise(part + 1);
    await sendAll(storage, "x", data, { ifAbsent: true });
    expectStored("x", data);
    expect(lines).toEqual([
      `warn s3://${bucket}/x: the size cannot be compared, the access key may not read (s3:GetObject)`,
    ]);
  });

  test("half a listing never passes for a whole one", async () => {
    server.behaviour.pageSize = 2;
    const { storage } = await opened();
    for (const name of ["a", "b", "c"]) await storage.put(name, Buffer.from(name));
    server.faults.push({
      operation: "ListObjectsV2",
      times: 1,
      mangle: (body) => body.replace(/<NextCont.*Token>/, ""),
    });
    await expect(namesOf(storage)).rejects.toThrow("there is more, but not how to get it");
    server.faults.push({ operation: "ListObjectsV2", times: 1, mangle: (body) => body.slice(0, body.length - 60) });
    expect(await namesOf(storage)).toEqual(["a", "b", "c"]);
    const again = "<IsTruncated>true</IsTruncated><NextContinuationToken>a</NextContinuationToken>";
    server.faults.push({
      operation: "ListObjectsV2",
      mangle: (body) => body.replace(/<NextCont.*Token>/, "").replace(/<IsTruncated>.*<.IsTruncated>/, again),
    });
    await expect(namesOf(storage)).rejects.toThrow("there is more, but not how to get it");
  });

  test("a clock that is an hour off is put right by the server's, and logged", async () => {
    server.behaviour.clockAhead = 3_600_000;
    const { storage, lines } = await opened();
    await storage.put("x", Buffer.from("x"));
    expectStored("x", Buffer.from("x"));
    expect(lines[0]).toContain("RequestTimeTooSkewed");
  });
});

describe("connections that break", () => {
  let proxy: TcpProxy;
  beforeEach(async () => {
    proxy = await startTcpProxy(Number(new URL(server.url).port));
  });
  afterEach(() => proxy.stop());
  /** Storage behind the proxy that has been reached once: then a broken line is tried for long. */
  const through = async () => {
    const reached = await open({ ...server, url: proxy.url }, bucket);
    await reached.storage.head("none");
    return reached;
  };

  test.each([1, 1_000, 4_000_000, part - 10])("uploads reset after %i bytes are sent again", async (after) => {
    const { storage, lines } = await through();
    proxy.cut = { direction: "up", after, times: 4 };
    const data = noise(3 * part);
    await sendAll(storage, "x", data);
    expectStored("x", data);
    expect(proxy.broken).toBe(4);
    expect(lines.some((line) => line.includes("ECONNRESET"))).toBe(true);
  });

  test("answers that are lost on their way: the upload is done once", async () => {
    const { storage } = await through();
    const data = noise(part + 1);
    const upload = storage.upload("x");
    await upload.write(data);
    await until("the first part is there", () => count("UploadPart") === 1);
    proxy.cut = { direction: "down", after: 0, times: 3 };
    await upload.complete();
    expectStored("x", data);
  });

  test.each([0, 1_000, 3_000_000])("a download reset after %i bytes goes on from there", async (after) => {
    const data = noise(2 * part);
    await sendAll((await open(server, bucket)).storage, "x", data);
    const { storage, lines } = await through();
    proxy.cut = { direction: "down", after, times: 3 };
    expect(sha256(await fetchAll(storage, "x"))).toBe(sha256(data));
    expect(proxy.broken).toBe(3);
    // a kept connection that turns out to be closed is replaced by Bun without a word
    expect(lines.length).toBeGreaterThanOrEqual(after === 0 ? 1 : 3);
    // What was read before the break is not read again. A reset takes what the system has not handed over yet along with it.
    const asked = server.asked.filter(({ operation, headers }) => operation === "GetObject" && headers.range);
    const read = lines.flatMap((line) => /broke off after (\d+) bytes/.exec(line)?.[1] ?? []);
    expect(new Set(asked.map(({ headers }) => headers.range))).toEqual(new Set(read.map((bytes) => `bytes=${bytes}-`)));
    if (after > 1_000) expect(read.length).toBeGreaterThan(0);
  });

  test("an object that is replaced while it is read is no whole object", async () => {
    const { storage } = await through();
    await sendAll(storage, "x", noise(2 * part));
    const replaced = Promise.withResolvers<void>();
    proxy.cut = { direction: "down", after: 4_000_000, times: 1, when: replaced.promise };
    const reading = storage.get("x")[Symbol.asyncIterator]();
    await reading.next();
    await sendAll((await open(server, bucket)).storage, "x", Buffer.alloc(2 * part, 7));
    replaced.resolve();
    const rest = (async () => {
      while (!(await reading.next()).done);
    })();
    await expect(rest).rejects.toThrow("changed while it was read");
  });

  test("a line that stays dead ends in an error that says so", async () => {
    const { storage } = await through();
    const upload = storage.upload("x");
    await upload.write(noise(part + 1));
    proxy.cut = { direction: "up", after: 0, times: Number.POSITIVE_INFINITY };
    await expect(upload.complete()).rejects.toThrow(/cannot upload x to .*ECONNRESET/);
  });
});

test("a server that takes nothing holds the writer back: memory stays bounded", async () => {
  server.faults.push({ operation: "UploadPart", delay: 60_000 });
  const { storage, stop } = await open(server, bucket);
  const upload = storage.upload("x");
  let taken = 0;
  const writing = (async () => {
    for (let i = 0; i < 20; i++) {
      await upload.write(noise(part));
      taken++;
    }
  })();
  await until("four parts are on their way", () => count("UploadPart") === 4);
  await until("one more is full", () => taken === 5);
  await Bun.sleep(100); // whatever else was to come
  // four on their way, one full, and one write that waits
  expect([count("UploadPart"), taken]).toEqual([4, 5]);
  stop();
  await expect(writing).rejects.toThrow("stopped by the test");
  await upload.abort();
  expectNothing();
});

describe("a run that is stopped", () => {
  test("ends a wait between tries at once", async () => {
    server.faults.push({ operation: "PutObject", instead: busy });
    const { storage, lines, stop } = await open(server, bucket, {}, [3_600_000]);
    const putting = storage.put("x", Buffer.from("x"));
    await until("the first try failed", () => lines.length > 0);
    stop(new Error("stopped by SIGTERM"));
    await expect(putting).rejects.toThrow("stopped by SIGTERM");
    expectNothing();
  });

  test("ends a request that hangs, and what was sent is taken back", async () => {
    server.faults.push({ operation: "UploadPart", delay: 60_000 });
    const { storage, stop } = await open(server, bucket);
    const upload = storage.upload("x");
    await upload.write(noise(2 * part));
    await until("parts are on their way", () => count("UploadPart") > 0);
    const ending = upload.complete();
    stop(new Error("stopped by SIGTERM"));
    await expect(ending).rejects.toThrow("stopped by SIGTERM");
    await upload.abort();
    expectNothing();
  });
});
