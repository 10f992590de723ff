/** What a restore is going to do, in words: the question on a terminal, a line of the log, the dry run. */
import { ageText, bytesText, counted, timeText } from "../base/text.ts";
import type { Planned, Way } from "./plan-restore.ts";
import type { RestoreOptions } from "./options.ts";

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
    `the present state is ${noSafetyBackup ? "not backed up" : "backed up first"}, ` +
      `then everything in the database (${counted(planned.target.tables.size, "table")}) is replaced by the backup (${tablesOf(planned)})`,
  ],
  beside: (planned, { dropBefore }) => {
    const { database, target } = planned;
    const present = `${counted(target.tables.size, "table")}, about ${bytesText(target.dataBytes)}`;
    return [
      `the backup (${tablesOf(planned)}) is loaded into a new database, which then takes the place of the present one (${present})`,
      `the present one is kept as ${database.name}_before_TIME${dropBefore ? " until the restore has succeeded" : ""}, with everything ` +
        "that is written during the load",
      `the exchange ends all sessions (${target.sessions} now)`,
    ];
  },
};

function notes({ way, target, contents }: Planned): string[] {
  const { freeBytes, earlier } = target;
  const free = freeBytes === undefined ? "" : ` (${bytesText(freeBytes)} free)`;
  const sizes = earlier.map(({ name, bytes }) => `${name} (${bytesText(bytes)})`);
  return [
    ...(way === "in place" || way === "fill" ? [] : [`it needs about ${bytesText(contents.bytes)} of room${free}`]),
    ...(earlier.length > 0 ? [`kept by earlier restores: ${sizes.join(", ")}`] : []),
  ];
}
