/** Writes the report: `list --html FILE`, and REPORT_FILE after every run. */
import { resolve } from "node:path";
import { diskFailure } from "../base/disk.ts";
import { exitStatus, messageOf } from "../base/errors.ts";
import { replaceFile } from "../base/replace-file.ts";
import type { Outcome } from "../notify/outcome.ts";
import { reportPage } from "../report/page.ts";
import type { Job } from "../run/script.ts";
import { openStorage } from "../storage/open.ts";
import { reportFacts } from "./report-facts.ts";

/** How long (ms) the report of a run may take. */
const patience = 120_000;

/** Writes the page into a file. Throws `Failure`. */
export async function writePage(job: Job, path: string, database: string | undefined): Promise<void> {
  const page = reportPage(await reportFacts(job, database));
  try {
    writeFile(path, page);
  } catch (error) {
    throw diskFailure(`cannot write the report ${path}`, error);
  }
}

const writeFile = (path: string, page: string): void => replaceFile(path, page, 0o644);

/** After a run: writes REPORT_FILE, if it is set. That it cannot be written is logged only. */
export async function writeReport(
  job: Job,
  { script, status, summary, warnings, exitStatus: exit }: Outcome,
): Promise<void> {
  const { settings, home, log, signal } = job;
  const file = settings.REPORT_FILE;
  if (file === undefined || signal.aborted || exit === exitStatus.usage) return;
  try {
    const patient = { ...job, signal: AbortSignal.any([signal, AbortSignal.timeout(patience)]) };
    const run = { script, status, text: [summary, ...warnings] };
    const page = reportPage({ ...(await reportFacts(patient, undefined)), run });
    if (!file.startsWith("s3://")) return writeFile(resolve(home, file), page);
    const storage = await openStorage(settings, patient);
    await storage.put(file.slice(storage.location("").length) || "report.html", Buffer.from(page));
  } catch (error) {
    log.warn(`cannot write REPORT_FILE ${file}: ${messageOf(error)}`);
  }
}
