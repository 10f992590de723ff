/** The report: `list --html` and REPORT_FILE. report-browser.test.ts looks at it in a browser. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { formatBackupName } from "../../scripts-src/archive/name.ts";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { readManifest } from "../support/machine/files.ts";
import { type PostgresServer, startPostgres } from "../support/servers/postgres.ts";
import { type S3Server, startS3Server } from "../support/servers/s3-server.ts";
import { s3Settings } from "../support/servers/storage.ts";

let server: PostgresServer;
let s3: S3Server;
let bucket: string;
let scripts: Installation;
const hostile = `<img src=x onerror=alert(1)>"'\u202e\n&amp;`;

beforeAll(async () => {
  server = await startPostgres(15);
  s3 = startS3Server();
  bucket = await s3.newBucket();
  await server.createDatabase("shop", "CREATE TABLE t AS SELECT generate_series(1, 1203) AS id");
  scripts = installScripts({
    ...server.settings("shop"),
    ...s3Settings(s3, bucket, "prod"),
    SITE_NAME: "shop & <b>co</b>",
    LOCAL_RETENTION_DAYS: "30",
    BACKUP_RETENTION_DAYS: "30",
  });
});
afterAll(async () => {
  await Promise.all([server.stop(), s3.stop()]);
  scripts.remove();
});

/** The page as elements: name and attributes, and the text of each section. Fails on anything that is not of this page. */
function read(page: string) {
  const elements: { tag: string; attributes: Record<string, string> }[] = [];
  const sections: string[] = [];
  new HTMLRewriter()
    .on("*", {
      element: (found) => void elements.push({ tag: found.tagName, attributes: Object.fromEntries(found.attributes) }),
    })
    .on("section", { element: () => void sections.push("") })
    .on("section *", { text: ({ text }) => void (sections[sections.length - 1] += text) })
    .transform(page);
  for (const { tag, attributes } of elements) {
    expect(["script", "img", "iframe", "object", "b>"]).not.toContain(tag);
    for (const [name, value] of Object.entries(attributes)) {
      expect(name).not.toMatch(/^on|^src$/);
      if (name === "href") expect(value).toBe("data:,");
    }
  }
  return { elements, sections: sections.map((text) => text.replaceAll(/\s+/g, " ")) };
}
const withClass = ({ elements }: ReturnType<typeof read>, name: string) =>
  elements.filter(({ tag, attributes }) => tag === "i" && attributes["title"] && attributes["class"] === name).length;

test("after every run, of each database 90 days, charts, the last proof, what retention deletes next; hostile names escaped", async () => {
  const env = { REPORT_FILE: "report.html" };
  const { stdout } = await scripts.run("backup", ["--upload"], { env });
  const path = join(scripts.dir, "report.html");
  expect(statSync(path).mode & 0o777).toBe(0o644);
  const first = read(readFileSync(path, "utf8"));
  expect(first.sections).toHaveLength(1);
  expect(first.sections[0]).toContain("never proved");
  expect([withClass(first, "good"), withClass(first, "none")]).toEqual([1, 89]);

  // of a week ago, of 40 days ago, and of another database; the day before yesterday's has lost its manifest
  const taken = stdout.trim();
  const copy = (database: string, days: number, ends = ["", ".json"]) => {
    const time = new Date(Date.now() - days * 86_400_000);
    const name = formatBackupName({ database, time, sequence: 1, compression: "gzip", encrypted: false });
    for (const end of ends) copyFileSync(taken + end, join(scripts.backups, name + end));
    return name;
  };
  const doomed = copy("shop", 40);
  copy("shop", 7);
  copy("shop", 2, [""]);
  const odd = copy(hostile, 0);
  const manifest = readManifest(taken);
  writeFileSync(
    join(scripts.backups, `${odd}.json`),
    JSON.stringify({ ...manifest, suspicious: ["<script>alert(1)</script>"] }),
  );
  const verified = await scripts.run("verify", [taken], { env });
  expect(verified.status, verified.stderr).toBe(0);
  const page = read(readFileSync(path, "utf8"));
  expect(page.elements.filter(({ tag }) => tag === "svg")).toHaveLength(6);
  const [other, shop] = page.sections;
  expect(other).toContain("&lt;img src=x onerror=alert(1)&gt;");
  expect(other).toContain("&lt;script&gt;alert(1)&lt;/script&gt;");
  expect(other).toContain("\\u202e\\n&amp;amp;");
  expect(withClass(page, "warning")).toBe(1);
  expect(shop).toContain(`${doomed} in the folder: older than 30 days (LOCAL_RETENTION_DAYS)`);
  expect(shop).toMatch(/last proved [^,]* ago, time to recover \d/);
  expect([withClass(page, "good proved"), withClass(page, "good")]).toEqual([1, 2]);
  // between the first backup and today: of the last 30 days, those without one
  expect(withClass(page, "missing")).toBe(28);
  const strip = page.elements.find(({ attributes }) => attributes["class"] === "strip");
  expect(strip?.attributes["role"]).toBe("img");
  expect(
    page.elements
      .filter(({ attributes }) => attributes["aria-label"])
      .map(({ attributes }) => attributes["aria-label"]),
  ).toContainEqual("The last 90 days: 3 good, 0 with a warning, 28 failed or missing, 1 proved");

  const failed = await scripts.run("backup", [], { env: { ...env, DB_PASSWORD: "wrong" } });
  expect(failed.status).toBe(1);
  const text = readFileSync(path, "utf8").replaceAll(/\s+/g, " ");
  expect(text).toContain("Last run: backup failed");
});

test("REPORT_FILE in S3: a page for browsers; list --html writes one by hand; a place outside S3_PATH is refused", async () => {
  const REPORT_FILE = `s3://${bucket}/prod/report.html`;
  const ran = await scripts.run("sync", [], { env: { REPORT_FILE } });
  expect(ran.status, ran.stderr).toBe(0);
  expect(s3.objects(bucket).get("prod/report.html")?.body.toString()).toContain("<!doctype html>");
  const put = s3.asked.findLast(({ operation, key }) => operation === "PutObject" && key === "prod/report.html");
  expect(put?.headers["content-type"]).toBe("text/html; charset=utf-8");

  const path = join(scripts.dir, "by-hand.html");
  const listed = await scripts.run("list", ["--html", path, "--database", "shop"]);
  expect(listed.stdout).toBe(`${path}\n`);
  expect(read(readFileSync(path, "utf8")).sections).toHaveLength(1);

  const outside = await scripts.run("sync", [], { env: { REPORT_FILE: `s3://${bucket}/report.html` } });
  expect(outside.status).toBe(2);
  expect(outside.stderr).toContain(`it must lie below S3_PATH; begin it with s3://${bucket}/prod/`);

  const unwritable = await scripts.run("sync", [], { env: { REPORT_FILE: "/nowhere/report.html" } });
  expect(unwritable.status).toBe(0);
  expect(unwritable.stderr).toContain("cannot write REPORT_FILE /nowhere/report.html");
});
