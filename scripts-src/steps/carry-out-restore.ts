/** Restores in the way that was decided. Each returns the last word. */
import { Failure, messageOf, Stopped } from "../base/errors.ts";
import { showProgress } from "../base/progress.ts";
import { counted, durationText } from "../base/text.ts";
import type { Loaded, Scratch } from "../database/restoring.ts";
import type { Job } from "../run/script.ts";
import type { Planned } from "./plan-restore.ts";
import { restoreCommand, type RestoreOptions } from "./options.ts";
import { propertiesOf } from "./properties.ts";
import { takeSafetyBackup } from "./safety-backup.ts";

/** Throws `Failure`. */
export async function carryOut(job: Job<RestoreOptions>, planned: Planned): Promise<string> {
  const { way } = planned;
  if (way === "in place" || way === "fill") return restoreInPlace(job, planned);
  try {
    return await (way === "into" ? restoreInto(job, planned, job.options.into ?? "") : restoreBeside(job, planned));
  } catch (error) {
    throw await withState(planned, error);
  }
}

/** Says that nothing was changed, after looking. */
async function withState({ database, target }: Planned, error: unknown): Promise<unknown> {
  if (!(error instanceof Failure) || error instanceof Stopped) return error;
  const now = await database.target().catch(() => undefined);
  const names = (tables: ReadonlyMap<string, number>) => [...tables.keys()].join("\n");
  const isSame = now?.exists === target.exists && now.others === target.others;
  if (!isSame || names(now.tables) !== names(target.tables)) return error;
  const state = target.exists ? `nothing was changed in ${database.where}` : `${database.where} was not created`;
  return error.reworded(`${error.message}\n${state}`);
}

const done = ({ database, file }: Planned) => `restore done: ${database.where} now holds what ${file.name} holds`;

async function restoreBeside(job: Job<RestoreOptions>, planned: Planned): Promise<string> {
  const { log, options } = job;
  const properties = await propertiesOf(job, planned.file, { roles: !options.noOwner });
  await using scratch = await planned.database.createScratch({ purpose: "restore", properties });
  await load(job, planned, scratch);
  const exchanged = await scratch.exchange();
  const { before, undo, drop } = exchanged;
  if (before === undefined) return done(planned);
  if (options.dropBefore) {
    const failure = await exchanged.dropBefore().then(() => undefined, messageOf);
    if (failure === undefined) return `${done(planned)}; the state before the restore was dropped`;
    log.warn(`the state before the restore stays as ${before}: ${failure}`);
  }
  log.info(`to take the restore back: ${typeof undo === "string" ? undo : restoreCommand(job, undo)}`);
  log.info(`to drop the state before the restore: ${drop}`);
  return `${done(planned)}; the state before is kept as ${before}`;
}

async function restoreInto(job: Job<RestoreOptions>, planned: Planned, name: string): Promise<string> {
  const { database, file } = planned;
  const properties = await propertiesOf(job, file, { roles: !job.options.noOwner });
  await using scratch = await database.createScratch({ purpose: "into", name, properties });
  const { skipped } = await load(job, planned, scratch);
  await scratch.keep();
  const copy = `the database ${name} now holds`;
  if (skipped.length === 0) return `restore done: ${copy} what ${file.name} holds`;
  return `restore done: ${copy} what could be loaded of ${file.name}; ${counted(skipped.length, "item")} could not, see the warnings`;
}

async function restoreInPlace(job: Job<RestoreOptions>, planned: Planned): Promise<string> {
  const { database, way } = planned;
  const safety = way === "in place" && !job.options.noSafetyBackup ? await takeSafetyBackup(job) : undefined;
  const into: Loader = { load: (...words) => database.loadInPlace(...words) };
  await load(job, planned, into).catch((error: unknown) => {
    throw safety ? safety.explain(error) : error;
  });
  return `${done(planned)}${safety ? `; the state before is kept in ${safety.path}` : ""}`;
}

type Loader = Pick<Scratch, "load">;

/** Loads the backup, with its progress; logs what was loaded and what was not. */
async function load(
  job: Job<RestoreOptions>,
  { database, file, contents, way, load: options }: Planned,
  into: Loader,
): Promise<Loaded> {
  const started = Date.now();
  const progress = showProgress("restore", file.bytes);
  try {
    const loaded = await into.load(file.sql(progress.add), contents, options);
    progress.stop();
    for (const warning of loaded.warnings) job.log.warn(warning);
    for (const what of loaded.skipped) job.log.warn(`not loaded: ${what}`);
    job.log.info(`${counted(contents.tables.length, "table")} loaded in ${durationText(Date.now() - started)}`);
    return loaded;
  } catch (error) {
    progress.stop();
    if (error instanceof Stopped) {
      const half = (way === "in place" || way === "fill") && !database.atomicLoad;
      job.log.warn(`the database is ${half ? "half restored" : "as it was before the restore"}`);
    }
    throw database.keepsGoing && (way === "beside" || way === "new") ? withWayOut(error) : error;
  }
}

/** A backup that is not clean can still be looked into. */
function withWayOut(error: unknown): unknown {
  if (!(error instanceof Failure) || error instanceof Stopped) return error;
  const hint = "to load what can be loaded, and see what cannot: restore --into NAME --keep-going";
  return error.reworded(error.message, [...error.hints, hint]);
}
