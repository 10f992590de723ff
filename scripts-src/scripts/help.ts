/** help: what the scripts do and what can be set, from the scripts and the settings schema themselves. */
import { distance } from "fastest-levenshtein";
import { manual, type Page, pageFor, settingPage } from "../manual/manual.ts";
import { isKnown, likelyName, settingOf } from "../settings/env-names.ts";
import { usageFailure } from "../base/errors.ts";
import { testNotice as sendTestNotice } from "../notify/notify.ts";
import { flag, type OptionsOf, type Script, value } from "../run/script.ts";
import { newKeyFile } from "../archive/age.ts";
import usages from "../manual/usage.json" with { type: "json" };

const argument = { topic: value("Name of a script, a setting or a chapter") };
const options = {
  "test-notice": flag("Send a test message over every configured way, and report the results"),
  "new-key": flag("Print a new private and public key for encrypted backups, and where to keep them"),
} as const;

export const help: Script<OptionsOf<typeof argument & typeof options>> = {
  name: "help",
  summary: "Explains the scripts and every setting; works without any settings.",
  usage: "[TOPIC | --test-notice | --new-key]",
  examples: [
    ["help", "everything"],
    ["help restore", "one script"],
    ["help S3_BUCKET", "one setting"],
    ["help cron", "one chapter: scripts, settings, mail, cron, systemd, storage, disaster"],
    ["help disaster", "the server is lost: how to bring everything back, on one page"],
    ["help --test-notice", "try the settings of mail, webhook and health check; no job runs"],
    ["help --new-key > backup-key.txt", "make a pair of keys for encrypted backups"],
  ],
  argument,
  options,
  needs: () => [],
  reports: () => false,

  answer({ topic, testNotice, newKey }, home) {
    if (newKey) return newKeyFile(new Date());
    return testNotice ? undefined : find(topic, pageFor(process.stdout, process.env), home);
  },
  async act({ settings, log }) {
    return { summary: "", output: await sendTestNotice(settings, log) };
  },
};

/** What people call a chapter. */
const otherNames: Record<string, string> = {
  s3: "storage",
  notices: "mail",
  notifications: "mail",
  exit: "exit-status",
};
/** It ends every usage text. */
const exitStatus = usages.help.split("\n\n").at(-1) ?? "";

/** The text about a topic, or about everything. Throws a `Failure` with status 2 when there is no such topic. */
function find(topic: string | undefined, page: Page, home: string): string {
  const chapters = manual(usages, page, home);
  if (topic === undefined) return Object.values(chapters).join("\n\n");
  const pages: Record<string, string> = { ...chapters, ...usages, "exit-status": exitStatus };
  const name = topic.toLowerCase();
  const text = pages[otherNames[name] ?? name];
  if (text !== undefined) return text;
  const setting = topic.toUpperCase();
  if (isKnown(setting)) return settingPage(settingOf(setting), page);
  const likely = Object.keys(pages).find((one) => distance(one, name) <= 2) ?? likelyName(topic, "file");
  throw usageFailure(
    `there is no script, chapter or setting called ${topic}`,
    likely === undefined ? `there are: ${Object.keys(pages).join(", ")}` : `did you mean ${likely}?`,
  );
}
