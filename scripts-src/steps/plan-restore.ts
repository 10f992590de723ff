/** Decides how a backup is restored, and says so, before anything happens. */
import type { OpenBackup } from "../archive/read.ts";
import { Failure, usageFailure } from "../base/errors.ts";
import { ageText, bytesText, counted, listed, timeText } from "../base/text.ts";
import type { Connected, Contents } from "../database/database.ts";
import type { LoadOptions, RestorePlan, TargetState } from "../database/restoring.ts";
import type { Job } from "../run/script.ts";
import { type ChosenBackup, isTrusted } from "./open-chosen.ts";
import type { RestoreOptions } from "./options.ts";

/**
 * `new`: the database does not exist and is created. `fill`: it is empty and is filled. `beside`: a new database is exchanged for the
 * present one. `in place`: everything in the present one is removed first. `into`: another, new database.
 */
export type Way = "new" | "fill" | "beside" | "in place" | "into";

interface Decision {
  way: Way;
  /** Why it is not done beside the present database. */
  reasons: string[];
  /** Why it cannot be done at all. */
  problems: string[];
}

export interface Planned {
  database: Connected;
  file: ChosenBackup;
  contents: Contents;
  target: TargetState;
  way: Way;
  reasons: string[];
  load: LoadOptions;
}

/** Which way, by what was asked for and what is possible. */
export function decideWay(
  { into, inPlace }: Pick<RestoreOptions, "into" | "inPlace">,
  { exists, empty }: Pick<TargetState, "exists" | "empty">,
  plan: Omit<RestorePlan, "warnings">,
  { atomicLoad }: Pick<Connected, "atomicLoad">,
): Decision {
  const { problems, createProblems, besideProblems, inPlaceProblems, fillsEmpty } = plan;
  const reasons = [...createProblems, ...besideProblems];
  const inside = (way: Way, why: string[]) => ({ way, reasons: why, problems: [...problems, ...inPlaceProblems] });
  if (into !== undefined) return { way: "into", reasons: [], problems: [...problems, ...createProblems] };
  if (!exists) return { way: "new", reasons: [], problems: [...problems, ...createProblems] };
  if (fillsEmpty && empty) return inside("fill", reasons);
  if (inPlace) return inside("in place", ["--in-place was given"]);
  if (reasons.length === 0) return { way: "beside", reasons: [], problems };
  if ((atomicLoad && inPlaceProblems.length === 0) || fillsEmpty) return inside("in place", reasons);
  if (atomicLoad) return { way: "in place", reasons, problems: [...problems, ...reasons, ...inPlaceProblems] };
  return { way: "beside", reasons: [], problems: [...problems, ...reasons] };
}

/** What the server would refuse only after the backup was fetched and read, or loaded. Throws `Failure`. */
export async function refuseTaken(database: Connected, { into }: Pick<RestoreOptions, "into">): Promise<void> {
  if (into !== undefined && (await database.databases()).some(({ name }) => name === into))
    throw usageFailure(`--into ${into}: this database exists already`, "choose another name, or drop it first");
}

/** Compares the backup with the target and decides. Throws a `Failure` that lists everything that stands in the way. */
export async function planRestore(
  job: Job<RestoreOptions>,
  database: Connected,
  file: ChosenBackup,
  contents: Contents,
): Promise<Planned> {
  const { options, log } = job;
  const load = loadOptions(job, file);
  const target = await database.target();
  const plan = await database.plan(contents, target, load);
  for (const warning of [...plan.warnings, ...tightRoom(contents, target)]) log.warn(warning);
  const { way, reasons, problems } = decideWay(options, target, plan, database);
  const loses = way === "beside" || way === "in place";
  const refused = loses && !options.replace ? partialProblems(file, contents, target) : [];
  const others = room(contents, target);
  if (problems.length + refused.length + others.length > 0)
    throw cannotRestore(database, file, [...problems, ...refused, ...others], {
      offersInPlace: refused.length + others.length === 0 && offersInPlace(database, way, plan),
    });
  return { database, file, contents, target, way, reasons, load };
}

function loadOptions(job: Job<RestoreOptions>, file: OpenBackup): LoadOptions {
  const { noOwner, keepGoing, into } = job.options;
  return { noOwner, keepGoing, asleep: into !== undefined, trusted: isTrusted(job, file) };
}

const shown = 10;

/** A backup that leaves something out by its options, or of which nothing is known, would take away what it lacks. */
export function partialProblems(
  { name, manifest }: Pick<OpenBackup, "name" | "manifest">,
  { tables, rows }: Contents,
  target: Pick<TargetState, "tables">,
): string[] {
  const remedy = "add --replace if that is what you want, or --into NAME to restore it beside";
  if (manifest && manifest.dumpOptions.length === 0) return [];
  const inBackup = new Set(tables);
  const missing = [...target.tables.keys()].filter((table) => !inBackup.has(table));
  const says = (lack: string) => [`${name} ${lack}: ${remedy}`];
  if (missing.length > 0)
    return says(
      `holds ${counted(tables.length, "table")}, the database ${target.tables.size}; ${missing.length} would be missing (${listed(missing, shown)})`,
    );
  const emptied = [...target.tables].filter(([table, count]) => count > 0 && !rows.get(table));
  // a table may have been empty then: of a file of which nothing is known, only one without any row is odd
  if (emptied.length > 0 && (manifest || ![...rows.values()].some(Boolean))) {
    const names = emptied.map(([table, count]) => `${table} (about ${counted(count, "row")})`);
    return says(`holds no rows of tables that have some in the database: ${listed(names, shown)}`);
  }
  return [];
}

/** The restored database is at least about as large as the SQL, or as the present one where that is smaller. */
function room({ bytes }: Contents, { exists, empty, dataBytes, freeBytes }: Room): string[] {
  const needed = exists && !empty ? Math.min(bytes, dataBytes) : bytes;
  if (freeBytes === undefined || freeBytes >= needed) return [];
  return [
    `the server has ${bytesText(freeBytes)} of free space, the restored database needs about ${bytesText(needed)}: free some`,
  ];
}

/** Bytes. The size of the present database includes indexes, and dead rows. */
const likelyRoom = ({ bytes }: Pick<Contents, "bytes">, { exists, empty, dataBytes }: Omit<Room, "freeBytes">) =>
  Math.max(bytes, exists && !empty ? dataBytes : 0);

type Room = Pick<TargetState, "exists" | "empty" | "dataBytes" | "freeBytes">;

/** A database server whose disk becomes full can stop, with all its databases. */
export function tightRoom(contents: Pick<Contents, "bytes">, target: Room): string[] {
  const [{ freeBytes }, likely] = [target, likelyRoom(contents, target)];
  if (freeBytes === undefined || freeBytes >= likely) return [];
  return [
    `the server has ${bytesText(freeBytes)} of free space, the restored database may need ${bytesText(likely)}: a full disk can stop the whole server`,
  ];
}

/** It helps only against what keeps another database from taking the place of this one. */
const offersInPlace = (
  { atomicLoad }: Connected,
  way: Way,
  { problems, createProblems, besideProblems, inPlaceProblems }: RestorePlan,
): boolean =>
  way === "beside" &&
  !atomicLoad &&
  createProblems.length + besideProblems.length > 0 &&
  problems.length + inPlaceProblems.length === 0;

const cannotRestore = (
  { where }: Connected,
  { name }: OpenBackup,
  problems: readonly string[],
  { offersInPlace }: { offersInPlace: boolean },
) =>
  new Failure(`cannot restore ${name} into ${where}; nothing was changed:\n${problems.join("\n")}`, {
    hints: [
      "fix what is listed, then restore again",
      ...(offersInPlace
        ? [
            "or restore with --in-place: the present state is backed up first, then everything in the database is replaced",
          ]
        : []),
    ],
  });

/** One statement a line, each ends without a full stop. */
export function describeRestore(planned: Planned, options: RestoreOptions): string {
  const { database, file } = planned;
  const time = file.manifest && new Date(file.manifest.startedAt);
  const made = time ? ` of ${timeText(time)} (${ageText(Date.now() - time.getTime())})` : "";
  const [first = "", ...more] = how[planned.way](planned, options);
  const what = planned.way === "into" ? "restore" : `restore of ${database.where}`;
  return [`${what} from ${file.name}${made}: ${first}`, ...more, ...notes(planned)].join("\n");
}

type Words = Record<Way, (planned: Planned, options: RestoreOptions) => string[]>;

const tablesOf = ({ contents }: Planned) => counted(contents.tables.length, "table");

const how: Words = {
  new: (planned) => [`the database does not exist yet: it is created and filled with ${tablesOf(planned)}`],
  fill: (planned) => [`the database is empty: it is filled with ${tablesOf(planned)}`],
  into: (planned, { into }) => [
    `the backup (${tablesOf(planned)}) is loaded into the new database ${into}; the database ${planned.database.name} is not touched`,
    "nothing in the copy runs by itself (events, event triggers, subscriptions)",
  ],
  "in place": (planned, { noSafetyBackup }) => [
    `in place, because ${planned.reasons.join("; ")}`,
    `the present state is ${noSafetyBackup ? "not backed up" : "backed up first (what is written after that is lost)"}, ` +
      `then everything in the database (${counted(planned.target.tables.size, "table")}) is replaced by the backup (${tablesOf(planned)})`,
  ],
  beside: (planned, { dropBefore }) => {
    const { database, target } = planned;
    const present = `${counted(target.tables.size, "table")}, about ${bytesText(target.dataBytes)}`;
    const kept = `kept as ${database.name}_before_TIME`;
    return [
      `the backup (${tablesOf(planned)}) is loaded into a new database, which then takes the place of the present one (${present})`,
      target.empty
        ? `the present one is empty: it is ${kept} only if something is written into it during the load`
        : `the present one is ${kept}${dropBefore ? " until the restore has succeeded" : ""}, with everything that is written during the load`,
      ...(target.sessions === undefined ? [] : [`the exchange ends all sessions (${target.sessions} now)`]),
    ];
  },
};

function notes({ way, target, contents }: Planned): string[] {
  const { freeBytes, earlier } = target;
  const free = freeBytes === undefined ? "" : ` (${bytesText(freeBytes)} free)`;
  const sizes = earlier.map(({ name, bytes }) => `${name} (${bytesText(bytes)})`);
  return [
    ...(way === "in place" || way === "fill"
      ? []
      : [`it needs about ${bytesText(likelyRoom(contents, target))} of room${free}`]),
    ...(earlier.length > 0 ? [`kept by earlier restores: ${sizes.join(", ")}`] : []),
  ];
}
