/** The report in a real browser: on a phone and on a desk, dark and on paper, for eyes and for a screen reader. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { formatManifest, formatProof } from "../../scripts-src/archive/manifest.ts";
import { formatBackupName, manifestName, proofName } from "../../scripts-src/archive/name.ts";
import { manifestFacts } from "../support/expect/backups.ts";
import { type Browser, hasChromium, startBrowser } from "../support/machine/chromium.ts";
import { type Installation, installScripts } from "../support/machine/executables.ts";
import { describeWhere } from "../support/machine/where.ts";
import { noise, sha256 } from "../support/servers/storage.ts";

setDefaultTimeout(180_000);

const hostile = `<img src=x onerror=alert(1)>"'\u202e\n&amp;`;
const day = 86_400_000;

/** A backup of so many days ago, which grew by a row a day, with a proof or a doubt. */
function write(folder: string, database: string, days: number, { proved = false, suspicious = "" } = {}): void {
  const time = new Date(Date.now() - days * day);
  const name = formatBackupName({ database, time, sequence: 1, compression: "gzip", encrypted: false });
  const data = noise(4000 - 20 * days);
  const rows = 1000 - days;
  const facts = {
    ...manifestFacts,
    database,
    startedAt: time.toISOString(),
    endedAt: new Date(time.getTime() + 60_000 - days * 500).toISOString(),
    bytes: data.length,
    sha256: sha256(data),
    rows,
    ...(suspicious && { suspicious: [suspicious] }),
  };
  writeFileSync(join(folder, name), data);
  writeFileSync(join(folder, manifestName(name)), formatManifest(facts));
  if (!proved) return;
  const proof = {
    backup: name,
    sha256: facts.sha256,
    provedAt: new Date().toISOString(),
    serverVersion: facts.serverVersion,
    server: "proof:5432",
    durationMs: 300_000,
    programVersion: facts.programVersion,
    restoreMs: 243_000,
    tables: 1,
    rows,
    compared: ["rows"],
    leftOut: [],
  };
  writeFileSync(join(folder, proofName(name)), formatProof(proof, undefined));
}

describeWhere(hasChromium, "Chromium")("in Chromium", () => {
  let scripts: Installation;
  let browser: Browser;
  let page: string;

  beforeAll(async () => {
    scripts = installScripts({ DB_NAMES: "*", SITE_NAME: "shop & <b>co</b>", LOCAL_RETENTION_DAYS: "50" });
    mkdirSync(scripts.backups, { mode: 0o700 });
    for (let days = 1; days <= 60; days++)
      if (days !== 20) write(scripts.backups, "shop", days, { proved: days % 7 === 1 });
    for (let days = 1; days <= 5; days++)
      write(scripts.backups, hostile, days, {
        suspicious: days === 1 ? "<script>document.title = 'hacked'</script>" : "",
      });
    page = join(scripts.dir, "report.html");
    const ran = await scripts.run("list", ["--html", page]);
    expect(ran.status, ran.stderr).toBe(0);
    browser = await startBrowser();
  });
  afterAll(async () => {
    await browser[Symbol.asyncDispose]();
    scripts.remove();
  });

  test.each([390, 1280])(
    "%i px wide, light and dark: nothing is cut off, and the console stays empty",
    async (width) => {
      const grounds = [];
      for (const dark of [false, true]) {
        const seen = await browser.open(page, { width, dark });
        expect(seen.complaints).toEqual([]);
        expect(await seen.valueOf("document.documentElement.scrollWidth - document.documentElement.clientWidth")).toBe(
          0,
        );
        grounds.push(await seen.valueOf("getComputedStyle(document.body).backgroundColor"));
      }
      expect(grounds).toEqual(["rgb(255, 255, 255)", "rgb(13, 17, 23)"]);
    },
  );

  test("a screen reader reads the state of each database; hostile names are text", async () => {
    const { spoken, valueOf } = await browser.open(page, { width: 1280 });
    expect(spoken).toEqual(
      expect.arrayContaining([
        "heading: Backups of shop & <b>co</b>",
        `heading: ${hostile.replace("\u202e", "\\u202e").replace("\n", "\\n")}`,
        "image: The last 90 days: 4 good, 1 with a warning, 0 failed or missing, 0 proved",
        "StaticText: The newest backup: <script>document.title = 'hacked'</script>",
        "heading: shop",
        "image: The last 90 days: 59 good, 0 with a warning, 1 failed or missing, 9 proved",
        "StaticText: 4m 3s",
        expect.stringMatching(/^image: Size: from 2\.73 KiB \(.*\) to 3\.89 KiB, at most 3\.89 KiB$/),
        expect.stringMatching(/^image: Rows: from 940 \(.*\) to 999, at most 999$/),
        expect.stringMatching(/^image: Duration: from 30s \(.*\) to 59\.5s, at most 59\.5s$/),
      ]),
    );
    expect(await valueOf("document.title")).toBe("Backups of shop & <b>co</b>");
    expect(await valueOf("document.querySelectorAll('img, script').length")).toBe(0);
  });

  test("on paper", async () => {
    expect((await browser.paper(page)).subarray(0, 5).toString()).toBe("%PDF-");
  });
});
