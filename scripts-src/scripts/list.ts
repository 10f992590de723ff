/** list: which backups exist, locally and in S3, how old, proved when, and what retention will do with them. */
import { resolve } from "node:path";
import { Failure, noSuchBackup } from "../base/errors.ts";
import { painterFor } from "../base/text.ts";
import { refuseCompanion } from "../places/choose.ts";
import { flag, type Job, type OptionsOf, type Result, type Script, value } from "../run/script.ts";
import { backupsAsJson, describeBackups, describeOneBackup } from "../steps/describe-backups.ts";
import { findAllBackups, type Found, readBackups } from "../steps/find-all-backups.ts";
import { writePage } from "../steps/write-report.ts";

/** How many backups are shown without --all. */
const newest = 50;

const argument = { name: value("Name of a backup") };
const options = {
  database: value("Only the backups of this database"),
  all: flag(`All backups, not only the newest ${newest}`),
  json: flag("As JSON; its fields are described in the documentation"),
  html: value("Write a page with charts into FILE"),
} as const;
type Options = OptionsOf<typeof argument & typeof options>;

export const list: Script<Options> = {
  name: "list",
  summary:
    "Shows which backups exist, in BACKUP_DIR and in S3: how old, how large, how many rows, proved when, whose, and what retention\n" +
    "will do with each of them. With NAME: everything about one backup, and the command that restores it.",
  usage: "[NAME] [--database NAME] [--all] [--json] [--html FILE]",
  examples: [
    ["list", "the newest 50 backups, of every database"],
    ["list --database app", "those of one database"],
    ["list app_2026-01-31_03-00-00.sql.gz", "everything about one backup"],
    ["list --html report.html", "a page with charts: 90 days of every database"],
    ["list --all --json", "everything, for a program"],
  ],
  argument,
  options,
  contradiction: ({ name, json, html }) =>
    html !== undefined && (json || name !== undefined) ? "--html: leave out --json and NAME" : undefined,
  needs: () => [],
  reports: () => false,

  async act(job) {
    const { database, all, html, name, json } = job.options;
    if (html !== undefined) {
      const path = resolve(html);
      await writePage(job, path, database);
      return { summary: "", output: path };
    }
    const found = await findAllBackups(job, database, all);
    if (found.places.length === 0) throw nothingListed(found, json);
    if (name !== undefined) return showOne(job, found);
    const shown = await readBackups(job, all ? found.backups : found.backups.slice(0, newest));
    const now = new Date();
    if (json) return { summary: "", output: backupsAsJson(shown, found, now) };
    const look = { now, width: Math.min(process.stdout.columns ?? 80, 120), paint: painterFor(process.stdout) };
    const elsewhere = found.backups.length === 0 ? await hints(job, found) : [];
    return { summary: "", output: [describeBackups(shown, found, look), ...elsewhere].join("\n") };
  },
};

/** When no place could be listed, "no backups" would be a guess. */
function nothingListed(found: Found, json: boolean): Failure {
  const output = json ? backupsAsJson([], found, new Date()) : undefined;
  return new Failure(`no backups could be listed: ${found.troubles.join("\n")}`, { output });
}

async function showOne(job: Job<Options>, { backups, ...found }: Found): Promise<Result> {
  refuseCompanion(job.options.name ?? "");
  const named = backups.find(({ name }) => name === job.options.name?.split("/").at(-1));
  const [one] = await readBackups(job, named ? [named] : []);
  if (one && job.options.json) return { summary: "", output: backupsAsJson([one], { backups, ...found }, new Date()) };
  if (one) return { summary: "", output: await describeOneBackup(job, one) };
  throw noSuchBackup(
    [`there is no backup ${job.options.name}`, ...found.troubles.map(notLooked)].join("\n"),
    "list shows those that exist, list --database NAME those of one database",
  );
}

const notLooked = (trouble: string) => `but not all could be listed: ${trouble}`;

/** Where else backups lie, when nothing was found. */
async function hints({ options, settings }: Job<Options>, { places }: Found) {
  const database = options.database ?? settings.DB_NAME;
  const looked = places.map(({ where }) => `looked in ${where}`);
  return [...looked, ...(await Promise.all(places.map((place) => place.elsewhere(database)))).flat()];
}
